"""Deployment files as shipped are in order, and each mistake made in them is named."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from locust.argument_parser import get_parser

from memquake.paths import CHECKOUT
from scripts.policies import (
    PolicyError,
    compose_findings,
    dockerfile_findings,
    main,
    manifest_findings,
    object_findings,
    overlays,
    render,
)
from scripts.tools import Tool
from session.options import add_options

DOCKERFILE = (CHECKOUT / "Dockerfile").read_text()
COMPOSE = CHECKOUT / "docker-compose.yml"

Objects = list[dict[str, Any]]
Services = dict[str, Any]


def test_what_is_shipped_is_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    """The Dockerfile, the Compose file with and without its override, and every overlay."""
    assert main() == 0, capsys.readouterr().err
    assert capsys.readouterr().err == ""
    names = {path.name for path in overlays(CHECKOUT)}
    assert names == {
        "base", "ci", "ci-kept", "existing-cluster", "monitoring", "pod-chaos", "ui",
    }  # fmt: skip


@pytest.mark.parametrize(("environment", "code"), [("", 0), ("true", 1)], ids=["at home", "CI"])
def test_a_missing_tool_is_said_and_fails_in_ci(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    environment: str,
    code: int,
) -> None:
    """One line for each tool that is not there, with what goes unchecked without it."""
    monkeypatch.setenv("CI", environment)
    monkeypatch.setattr(Tool, "find", lambda *_: None)
    assert main() == code
    compose, k8s = capsys.readouterr().err.splitlines()
    assert compose.startswith("policy: docker-compose.yml is not checked: compose-go")
    assert k8s.startswith("policy: k8s/ is not checked: kustomize is not there")


# -- Dockerfile --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        pytest.param(
            "FROM python:3.11-slim\n", "FROM python:latest\n", "FROM python:latest: ", id="latest"
        ),
        pytest.param(
            "FROM python:3.11-slim AS", "FROM python AS", "FROM python AS packages: ", id="no tag"
        ),
        pytest.param("USER 10001:10001\n", "", "runs as root", id="no user"),
        pytest.param("USER 10001:10001\n", "USER 0\n", "runs as root", id="root"),
        pytest.param("USER 10001:10001\n", "USER app\n", "or as a name", id="a user by name"),
        pytest.param("EXPOSE", "USER 0\nEXPOSE", "runs as root", id="root after another"),
        pytest.param(
            'ENTRYPOINT ["locust"]', "ENTRYPOINT locust", "a shell keeps signals", id="a shell"
        ),
        pytest.param("HEALTHCHECK", "# HEALTHCHECK", "no health check", id="no health check"),
        pytest.param(
            "STOPSIGNAL SIGTERM", "RUN apt-get install -y gcc", "a compiler", id="a compiler"
        ),
        pytest.param("WORKDIR /build", "ADD x.tar /", "ADD x.tar /: it may", id="fetched"),
    ],
)
def test_each_mistake_in_a_dockerfile_is_named(old: str, new: str, said: str) -> None:
    """The shipped one with one mistake."""
    assert DOCKERFILE.count(old) == 1
    (line,) = dockerfile_findings(DOCKERFILE.replace(old, new))
    assert said in line


# -- Compose -----------------------------------------------------------------------------------

SERVICE_BREACHES: dict[str, tuple[Callable[[Services], object], str]] = {
    "a tag latest": (
        lambda s: s["memcached-2"].update(image="memcached:latest"),
        "memcached-2.image: memcached:latest (an image is named by a tag",
    ),
    "no tag": (lambda s: s["grafana"].update(image="grafana/grafana"), "grafana.image: "),
    "a registry's port is no tag": (
        lambda s: s["grafana"].update(image="registry.example:5000/grafana"),
        "grafana.image: ",
    ),
    "a tag that is latest unless a variable says otherwise": (
        lambda s: s["worker"].update(image="memquake:${TAG:-latest}"),
        "worker.image: memquake:latest (an image is",
    ),
    "root by number": (
        lambda s: s["toxiproxy"].update(user="0:0"),
        "toxiproxy.user: 0:0 (runs as root",
    ),
    "root by name": (lambda s: s["master"].update(user="root"), "master.user: root (runs as root"),
    "root by a default": (
        lambda s: s["master"].update(user="${WHO:-0}"),
        "master.user: 0 (runs as root",
    ),
    "whoever the image says": (
        lambda s: s["memcached-1"].pop("user"),
        "memcached-1: 'user' is a required property",
    ),
    "a port on all addresses": (
        lambda s: s["master"].update(ports=["8089:8089"]),
        "master.ports[0]: 'host_ip' is a required property (a port on all addresses",
    ),
    "a port on all addresses, in words": (
        lambda s: s["master"].update(ports=["0.0.0.0:8089:8089"]),
        "master.ports[0].host_ip: 0.0.0.0 (a port on all addresses",
    ),
    "a port on all addresses, long": (
        lambda s: s["prometheus"].update(ports=[{"target": 9090, "published": "9090"}]),
        "prometheus.ports[0]: 'host_ip' is a required property",
    ),
    "a port that only a variable keeps at home": (
        lambda s: s["grafana"].update(ports=["${HOST_IP}:3000:3000"]),
        "grafana.ports[0]",
    ),
    "privileged": (lambda s: s["ci"].update(privileged=True), "ci.privileged: "),
    "the machine's network": (
        lambda s: s["files"].update(network_mode="host"),
        "files.network_mode: ",
    ),
    "another container's processes": (
        lambda s: s["master"].update(pid="service:memcached-1"),
        "master.pid: ",
    ),
    "the engine's socket": (
        lambda s: s["ci"].update(volumes=["/var/run/docker.sock:/var/run/docker.sock"]),
        "ci.volumes[0].source: ",
    ),
    "capabilities": (lambda s: s["worker"].pop("cap_drop"), "worker: 'cap_drop' is a required"),
    "new privileges": (lambda s: s["worker"].pop("security_opt"), "worker: 'security_opt' is a"),
    "a root file system": (lambda s: s["toxiproxy"].pop("read_only"), "toxiproxy: 'read_only' is"),
    "no limits": (lambda s: s["worker"].pop("deploy"), "worker: 'deploy' is a required property"),
    "no limit of memory": (
        lambda s: s["worker"]["deploy"]["resources"]["limits"].pop("memory"),
        "worker.deploy.resources.limits: 'memory' is a required property",
    ),
    "no health check": (lambda s: s["prometheus"].pop("healthcheck"), "(add a healthcheck)"),
    "no word about restarts": (lambda s: s["worker"].pop("restart"), "worker: 'restart' is a"),
    "an order without a condition": (
        lambda s: s["worker"].update(depends_on=["master"]),
        "worker.depends_on.master.condition: ",
    ),
}


@pytest.mark.parametrize("breach", SERVICE_BREACHES)
def test_each_mistake_in_a_compose_file_is_named(tmp_path: Path, breach: str) -> None:
    """The shipped file with one mistake gives the finding of that one mistake."""
    break_it, said = SERVICE_BREACHES[breach]
    # By way of JSON each service is a copy of its own; anchors made them share.
    document = json.loads(json.dumps(yaml.safe_load(COMPOSE.read_text())))
    break_it(document["services"])
    (tmp_path / COMPOSE.name).write_text(yaml.safe_dump(document))
    (line,) = compose_findings(tmp_path)
    assert said in line


def test_an_override_is_judged_with_what_it_is_laid_over(tmp_path: Path) -> None:
    """What it adds counts, and what it leaves out is in the file below."""
    shutil.copy(COMPOSE, tmp_path)
    override = tmp_path / "docker-compose.more.yml"
    override.write_text("services: {master: {ports: ['9000:9000']}}")
    (line,) = compose_findings(tmp_path)
    assert line.startswith("master.ports[1]: 'host_ip' is a required property")


@pytest.mark.parametrize("text", ["services: [", "services: {a: {imagee: x}}"])
def test_a_compose_file_that_cannot_be_read_is_one_line(tmp_path: Path, text: str) -> None:
    """What Compose would refuse, in its words."""
    (tmp_path / COMPOSE.name).write_text(text)
    with pytest.raises(PolicyError, match=r"^[^\n]+$"):
        list(compose_findings(tmp_path))


# -- Kubernetes --------------------------------------------------------------------------------

CI_OVERLAY = CHECKOUT / "k8s" / "overlays" / "ci"


@pytest.fixture(scope="module")
def rendered() -> Objects:
    """Return the rendering of the overlay ci."""
    return render(CI_OVERLAY)


@pytest.fixture
def objects(rendered: Objects) -> Objects:
    """Return the rendering of the overlay ci, free to be broken."""
    return copy.deepcopy(rendered)


def the(objects: Objects, kind: str, name: str) -> Any:
    return next(o for o in objects if (o["kind"], o["metadata"]["name"]) == (kind, name))


def pod(objects: Objects, kind: str = "Deployment", name: str = "worker") -> Any:
    return the(objects, kind, name)["spec"]["template"]["spec"]


def box(objects: Objects, kind: str = "Deployment", name: str = "worker") -> Any:
    return pod(objects, kind, name)["containers"][0]


def without(thing: Any, *path: str) -> None:
    for step in path[:-1]:
        thing = thing[step]
    del thing[path[-1]]


RBAC = "rbac.authorization.k8s.io/v1"
WHERE = {"name": "all", "namespace": "memquake"}
OBJECT_BREACHES: dict[str, tuple[Callable[[Objects], Any], str]] = {
    "tag latest": (
        lambda o: box(o).update(image="memquake:latest"),
        "Deployment/worker.spec.template.spec.containers[0].image: memquake:latest (an image is",
    ),
    "no tag": (lambda o: box(o).update(image="registry:5000/memquake"), "image is named by a tag"),
    "always pulled": (lambda o: box(o).update(imagePullPolicy="Always"), "a tag here never"),
    "container as root": (
        lambda o: box(o)["securityContext"].update(runAsUser=0),
        "containers[0].securityContext.runAsUser: 0 is less than the minimum of 1",
    ),
    "pod as root": (
        lambda o: pod(o)["securityContext"].update(runAsNonRoot=False),
        "securityContext.runAsNonRoot: True was expected",
    ),
    "no user": (lambda o: without(pod(o), "securityContext", "runAsUser"), "'runAsUser' is a"),
    "init container as root": (
        lambda o: pod(o, "Job", "memquake")["initContainers"][0]["securityContext"].update(
            runAsUser=0
        ),
        "Job/memquake.spec.template.spec.initContainers[0].securityContext.runAsUser: 0",
    ),
    "escalation": (
        lambda o: without(box(o), "securityContext", "allowPrivilegeEscalation"),
        "'allowPrivilegeEscalation' is a required property",
    ),
    "privileged": (lambda o: box(o)["securityContext"].update(privileged=True), ".privileged: "),
    "writable root": (
        lambda o: without(box(o), "securityContext", "readOnlyRootFilesystem"),
        "'readOnlyRootFilesystem' is a required property",
    ),
    "capabilities kept": (
        lambda o: box(o)["securityContext"].update(capabilities={"drop": ["NET_RAW"]}),
        "capabilities.drop: ",
    ),
    "capability added": (
        lambda o: box(o)["securityContext"]["capabilities"].update(add=["NET_ADMIN"]),
        "capabilities.add[0]: 'NET_BIND_SERVICE' was expected",
    ),
    "no seccomp": (
        lambda o: without(pod(o), "securityContext", "seccompProfile"),
        "'seccompProfile' is a required property",
    ),
    "port of the node": (
        lambda o: box(o, "StatefulSet", "memcached")["ports"][0].update(hostPort=11211),
        "ports[0].hostPort: ",
    ),
    "network of the node": (lambda o: pod(o).update(hostNetwork=True), "spec.hostNetwork: "),
    "folder of the node": (
        lambda o: pod(o)["volumes"].append({"name": "all", "hostPath": {"path": "/"}}),
        "volumes[1]: 'hostPath' is not one of",
    ),
    "lax namespace": (
        lambda o: without(
            the(o, "Namespace", "memquake"),
            *("metadata", "labels", "pod-security.kubernetes.io/enforce"),
        ),
        "Namespace/memquake.metadata.labels: 'pod-security.kubernetes.io/enforce' is a required",
    ),
    "stray namespace": (
        lambda o: the(o, "Service", "master")["metadata"].update(namespace="default"),
        "is in namespace default, which is not made here",
    ),
    "token": (
        lambda o: without(pod(o), "automountServiceAccountToken"),
        "'automountServiceAccountToken' is a required property",
    ),
    "cluster role": (
        lambda o: o.append(
            {"apiVersion": RBAC, "kind": "ClusterRole", "metadata": WHERE, "rules": []}
        ),
        "ClusterRole/all.kind: ",
    ),
    "role for everything": (
        lambda o: o.append(
            {
                "apiVersion": RBAC,
                "kind": "Role",
                "metadata": WHERE,
                "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["*"]}],
            }
        ),
        "Role/all.rules[0].verbs: ",
    ),
    "service links": (lambda o: without(pod(o), "enableServiceLinks"), "'enableServiceLinks' is a"),
    "no memory limit": (
        lambda o: without(box(o), "resources", "limits", "memory"),
        "resources.limits: 'memory' is a required property",
    ),
    "no requests": (
        lambda o: without(box(o), "resources", "requests"),
        "resources: 'requests' is a required property",
    ),
    "endless volume": (
        lambda o: pod(o)["volumes"][0].update(emptyDir={}),
        "volumes[0].emptyDir: 'sizeLimit' is a required property",
    ),
    "no probe": (
        lambda o: without(box(o, "Deployment", "toxiproxy"), "readinessProbe"),
        "'readinessProbe' is a dependency of 'ports'",
    ),
    "published port": (
        lambda o: the(o, "Service", "master")["spec"].update(type="NodePort"),
        "Service/master.spec.type: ",
    ),
    "load balancer": (
        lambda o: the(o, "Service", "master")["spec"].update(type="LoadBalancer"),
        "Service/master.spec.type: ",
    ),
    "external address": (
        lambda o: the(o, "Service", "master")["spec"].update(externalIPs=["192.0.2.1"]),
        "Service/master.spec.externalIPs: ",
    ),
    "ingress": (
        lambda o: o.append(
            {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "Ingress",
                "metadata": WHERE,
                "spec": {"defaultBackend": {"service": {"name": "m", "port": {"number": 1}}}},
            }
        ),
        "Ingress/all.kind: ",
    ),
    "open network": (
        lambda o: o.remove(the(o, "NetworkPolicy", "nothing-else")),
        "no NetworkPolicy shuts everything",
    ),
    "pod without policy": (
        lambda o: o.remove(the(o, "NetworkPolicy", "worker")) or o.remove(names(o)),
        "Deployment/worker: no NetworkPolicy opens what it uses",
    ),
    "policy for everybody": (
        lambda o: without(the(o, "NetworkPolicy", "memcached")["spec"]["ingress"][0], "from"),
        "NetworkPolicy/memcached.spec.ingress[0]: 'from' is a required property",
    ),
    "policy for everybody, in words": (
        lambda o: the(o, "NetworkPolicy", "memcached")["spec"]["ingress"][0].update({"from": []}),
        "NetworkPolicy/memcached.spec.ingress[0].from: ",
    ),
    "selector astray": (
        lambda o: the(o, "Service", "toxiproxy")["spec"].update(selector={"app": "proxy"}),
        "Service/toxiproxy: selects no pod",
    ),
    "budget for nobody": (
        lambda o: the(o, "PodDisruptionBudget", "worker")["spec"].update(
            selector={"matchLabels": {"app": "worker"}}
        ),
        "PodDisruptionBudget/worker: selects no pod",
    ),
    "port astray": (
        lambda o: the(o, "Service", "master")["spec"]["ports"][0].update(targetPort="zmq"),
        "Service/master: no container has the port zmq",
    ),
    "settings astray": (
        lambda o: box(o, "Job", "memquake")["envFrom"][0]["configMapRef"].update(name="settings"),
        "Job/memquake: ConfigMap settings is not there",
    ),
    "claim astray": (
        lambda o: pod(o)["volumes"].append(
            {"name": "kept", "persistentVolumeClaim": {"claimName": "runs"}}
        ),
        "PersistentVolumeClaim runs is not there",
    ),
    "account astray": (
        lambda o: pod(o).update(serviceAccountName="chaos"),
        "ServiceAccount chaos is not there",
    ),
    "too large": (
        lambda o: next(x for x in o if x["kind"] == "ConfigMap")["data"].update(x="x" * 260_000),
        "too long for what kubectl apply remembers",
    ),
    "unknown field": (lambda o: box(o).update(readinesProbe={}), "readinesProbe"),
    "wrong type": (
        lambda o: the(o, "Deployment", "worker")["spec"].update(replicas="two"),
        "Deployment/worker.spec.replicas: 'two' is not of type 'integer'",
    ),
    "unknown kind": (
        lambda o: the(o, "Service", "master").update(apiVersion="v2"),
        "Couldn't find schema for kind Service with api version v2",
    ),
}


def names(objects: Objects) -> Any:
    return the(objects, "NetworkPolicy", "names")


@pytest.mark.parametrize("breach", OBJECT_BREACHES)
def test_each_mistake_in_a_manifest_is_named(breach: str, objects: Objects) -> None:
    """One thing broken on purpose in the overlay ci, which is in order otherwise."""
    break_it, said = OBJECT_BREACHES[breach]
    break_it(objects)
    found = list(object_findings(objects))
    assert any(said in line for line in found), found
    assert all("\n" not in line for line in found)


def test_schemas_are_those_of_both_ends(objects: Objects) -> None:
    """What only a newer Kubernetes knows is refused by the oldest one that is supported."""
    box(objects)["restartPolicyRules"] = [
        {"action": "Restart", "exitCodes": {"operator": "In", "values": [3]}}
    ]
    found = list(object_findings(objects))
    assert [line for line in found if "1.29" in line]
    assert not [line for line in found if "1.37" in line], found


def test_what_kustomize_refuses_is_one_line(tmp_path: Path) -> None:
    """A file that is listed and not there."""
    (tmp_path / "kustomization.yaml").write_text("resources: [nothing.yaml]\n")
    with pytest.raises(PolicyError, match=r"^[^\n]*nothing\.yaml[^\n]*$"):
        render(tmp_path)


def test_a_dashboard_that_no_cluster_would_get_is_named(tmp_path: Path) -> None:
    """One that was added and is in no ConfigMap."""
    for name in ("k8s", "dashboard"):
        shutil.copytree(CHECKOUT / name, tmp_path / name)
    assert list(manifest_findings(tmp_path)) == []
    (tmp_path / "dashboard" / "grafana" / "dashboards" / "new.json").write_text("{}\n")
    (line,) = manifest_findings(tmp_path)
    assert line.startswith("dashboard/grafana/dashboards/new.json is in no ConfigMap")


def test_every_setting_and_flag_is_an_option() -> None:
    """A variable or flag with a typing error would be passed over in silence, or end the pod."""
    parser = get_parser()
    add_options(parser)
    variables = {getattr(action, "env_var", None) for action in parser._actions}
    flags = set(parser._option_string_actions)
    for folder in overlays(CHECKOUT):
        for body in render(folder):
            if body["kind"] == "ConfigMap" and body["metadata"]["name"].startswith("settings"):
                assert set(body["data"]) <= variables, folder
            for container in (
                body.get("spec", {}).get("template", {}).get("spec", {}).get("containers", ())
            ):
                words = container.get("command", [])
                if words[:1] == ["locust"]:
                    assert {word for word in words if word.startswith("-")} <= flags, folder
                    given = {each["name"] for each in container.get("env", [])}
                    assert given <= variables, folder


def test_a_job_and_its_deployment_run_the_same_pod(rendered: Objects) -> None:
    """The master of ci differs from that of ui in what it is told and how it is probed alone."""
    job = the(rendered, "Job", "memquake")["spec"]["template"]
    base = render(CHECKOUT / "k8s" / "base")
    deployment = the(base, "Deployment", "master")["spec"]["template"]
    assert job["metadata"] == deployment["metadata"]
    ours, theirs = copy.deepcopy(job["spec"]), copy.deepcopy(deployment["spec"])
    assert ours.pop("restartPolicy") == "Never"
    for spec in (ours, theirs):
        for container in (*spec["initContainers"], *spec["containers"]):
            for source in container["envFrom"]:
                source["configMapRef"]["name"] = "settings"
        for part in ("command", "readinessProbe", "livenessProbe", "ports"):
            spec["containers"][0].pop(part, None)
    assert ours == theirs
