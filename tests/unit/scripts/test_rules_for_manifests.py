"""Each rule for manifests catches its breach, in the manifests as shipped, and nothing else."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from locust.argument_parser import get_parser

from scripts.kustomize import Object, containers, pod_of, render
from scripts.manifests import check, findings, overlays, schema_findings, unused_files
from session.options import add_options

ROOT = Path(__file__).resolve().parents[3]
CI = ROOT / "k8s" / "overlays" / "ci"
CI_OBJECTS = render(CI)

Objects = list[Object]


@pytest.fixture
def objects() -> Objects:
    """Give the rendering of the overlay ci, free to be broken."""
    return copy.deepcopy(CI_OBJECTS)


def test_what_is_shipped_is_in_order() -> None:
    """Every overlay passes every rule and both schemas."""
    assert check(ROOT) == []
    names = {path.name for path in overlays(ROOT)}
    assert names == {
        "base", "ci", "ci-kept", "existing-cluster", "monitoring", "pod-chaos", "ui",
    }  # fmt: skip


def the(objects: Objects, kind: str, name: str) -> Object:
    return next(o for o in objects if (o["kind"], o["metadata"]["name"]) == (kind, name))


def pod(objects: Objects, kind: str = "Deployment", name: str = "worker") -> Any:
    template = pod_of(the(objects, kind, name))
    assert template is not None
    return template["spec"]


def box(objects: Objects, kind: str = "Deployment", name: str = "worker") -> Any:
    return containers(the(objects, kind, name))[-1]


def without(thing: Any, *path: str) -> None:
    for step in path[:-1]:
        thing = thing[step]
    del thing[path[-1]]


BREACHES: dict[str, tuple[Callable[[Objects], Any], str]] = {
    "tag latest": (
        lambda o: box(o).update(image="memquake:latest"),
        "Deployment/worker container worker: image memquake:latest has no fixed tag",
    ),
    "no tag": (lambda o: box(o).update(image="registry:5000/memquake"), "has no fixed tag"),
    "always pulled": (lambda o: box(o).update(imagePullPolicy="Always"), "imagePullPolicy"),
    "container as root": (
        lambda o: box(o)["securityContext"].update(runAsUser=0),
        "runAsUser 0 is no unprivileged user",
    ),
    "pod as root": (
        lambda o: pod(o)["securityContext"].update(runAsNonRoot=False),
        "runAsNonRoot is not true",
    ),
    "init container as root": (
        lambda o: containers(the(o, "Job", "memquake"))[0]["securityContext"].update(runAsUser=0),
        "Job/memquake container await-nodes: runAsUser 0",
    ),
    "escalation": (
        lambda o: without(box(o), "securityContext", "allowPrivilegeEscalation"),
        "allowPrivilegeEscalation is not false",
    ),
    "privileged": (lambda o: box(o)["securityContext"].update(privileged=True), "privileged"),
    "writable root": (
        lambda o: without(box(o), "securityContext", "readOnlyRootFilesystem"),
        "readOnlyRootFilesystem is not true",
    ),
    "capabilities kept": (
        lambda o: without(box(o), "securityContext", "capabilities"),
        "capabilities are not dropped",
    ),
    "capability added": (
        lambda o: box(o)["securityContext"]["capabilities"].update(add=["NET_ADMIN"]),
        "capabilities NET_ADMIN are added",
    ),
    "no seccomp": (
        lambda o: without(pod(o), "securityContext", "seccompProfile"),
        "seccompProfile is not RuntimeDefault",
    ),
    "port of the node": (
        lambda o: box(o, "StatefulSet", "memcached")["ports"][0].update(hostPort=11211),
        "hostPort publishes it",
    ),
    "network of the node": (lambda o: pod(o).update(hostNetwork=True), "hostNetwork"),
    "folder of the node": (
        lambda o: pod(o)["volumes"].append({"name": "all", "hostPath": {"path": "/"}}),
        "volume all is hostPath",
    ),
    "lax namespace": (
        lambda o: without(
            the(o, "Namespace", "memquake"),
            *("metadata", "labels", "pod-security.kubernetes.io/enforce"),
        ),
        "does not enforce the restricted",
    ),
    "stray namespace": (
        lambda o: the(o, "Service", "master")["metadata"].update(namespace="default"),
        "is in namespace default, which is not made here",
    ),
    "token": (
        lambda o: without(pod(o), "automountServiceAccountToken"),
        "automountServiceAccountToken is not false",
    ),
    "cluster role": (
        lambda o: o.append(
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRole",
                "metadata": {"name": "all", "namespace": "memquake"},
                "rules": [],
            }
        ),
        "ClusterRole/all: reaches beyond the namespace",
    ),
    "role for everything": (
        lambda o: o.append(
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "Role",
                "metadata": {"name": "all", "namespace": "memquake"},
                "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["*"]}],
            }
        ),
        "Role/all: verbs '*'",
    ),
    "service links": (lambda o: without(pod(o), "enableServiceLinks"), "enableServiceLinks"),
    "no memory limit": (
        lambda o: without(box(o), "resources", "limits", "memory"),
        "resources.limits.memory is missing",
    ),
    "no requests": (
        lambda o: without(box(o), "resources", "requests"),
        "resources.requests.cpu is missing",
    ),
    "endless volume": (
        lambda o: pod(o)["volumes"][0].update(emptyDir={}),
        "volume tmp has no sizeLimit",
    ),
    "no probe": (
        lambda o: without(box(o, "Deployment", "toxiproxy"), "readinessProbe"),
        "has ports and no readinessProbe",
    ),
    "published port": (
        lambda o: the(o, "Service", "master")["spec"].update(type="NodePort"),
        "type NodePort publishes it on every node's address",
    ),
    "load balancer": (
        lambda o: the(o, "Service", "master")["spec"].update(type="LoadBalancer"),
        "type LoadBalancer publishes it",
    ),
    "open network": (
        lambda o: o.remove(the(o, "NetworkPolicy", "nothing-else")),
        "no NetworkPolicy shuts everything",
    ),
    "policy for everybody": (
        lambda o: without(the(o, "NetworkPolicy", "memcached")["spec"]["ingress"][0], "from"),
        "NetworkPolicy/memcached: an ingress rule without from or ports opens everything",
    ),
    "selector astray": (
        lambda o: the(o, "Service", "toxiproxy")["spec"].update(selector={"app": "proxy"}),
        "Service/toxiproxy: selects no pod",
    ),
    "own pods not selected": (
        lambda o: the(o, "Deployment", "worker")["spec"].update(
            selector={"matchLabels": {"app": "worker"}}
        ),
        "its selector does not select its own pods",
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
        "ConfigMap settings is not there",
    ),
    "volume astray": (
        lambda o: box(o)["volumeMounts"][0].update(name="scratch"),
        "volume scratch is not there",
    ),
    "claim astray": (
        lambda o: pod(o)["volumes"].append(
            {"name": "kept", "persistentVolumeClaim": {"claimName": "runs"}}
        ),
        "PersistentVolumeClaim runs is not there",
    ),
    "too large": (
        lambda o: next(x for x in o if x["kind"] == "ConfigMap")["data"].update(x="x" * 260_000),
        "are too many for kubectl apply",
    ),
    "unknown field": (
        lambda o: box(o).update(readinesProbe={}),
        "readinesProbe",
    ),
    "wrong type": (
        lambda o: the(o, "Deployment", "worker")["spec"].update(replicas="two"),
        "Kubernetes 1.37",
    ),
    "unknown kind": (
        lambda o: the(o, "Service", "master").update(apiVersion="v2"),
        "does not know it",
    ),
}


@pytest.mark.parametrize("breach", BREACHES)
def test_each_breach_is_caught(breach: str, objects: Objects) -> None:
    """One thing broken on purpose is named; what is in order has no findings."""
    break_it, words = BREACHES[breach]
    break_it(objects)
    found = findings(objects)
    assert any(words in line for line in found), found
    assert all("\n" not in line for line in found)


def test_a_token_is_for_who_has_a_role(objects: Objects) -> None:
    """An account that a Role is bound to may have its token; the rule names everybody else."""
    template = pod(objects)
    template["serviceAccountName"] = "chaos"
    template["automountServiceAccountToken"] = True
    assert any("it needs no token" in line for line in findings(objects))
    where = {"name": "chaos", "namespace": "memquake"}
    objects.append({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": dict(where)})
    objects.append(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": dict(where),
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "chaos"},
            "subjects": [{"kind": "ServiceAccount", **where}],
        }
    )
    assert findings(objects) == []


def test_schemas_are_those_of_both_ends(objects: Objects) -> None:
    """What only a newer Kubernetes knows is refused by the oldest one that is supported."""
    box(objects)["restartPolicyRules"] = [
        {"action": "Restart", "exitCodes": {"operator": "In", "values": [3]}}
    ]
    found = list(schema_findings(objects))
    assert [line for line in found if "1.29" in line]
    assert not [line for line in found if "1.37" in line], found


def test_files_that_no_cluster_would_get_are_named(tmp_path: Path) -> None:
    """A dashboard or rule file that was added and not listed would be missing in a cluster."""
    folder = tmp_path / "dashboard"
    (folder / "prometheus" / "rules").mkdir(parents=True)
    (folder / "grafana" / "dashboards").mkdir(parents=True)
    (folder / "prometheus" / "rules" / "alerts.yml").write_text("groups: []\n")
    (folder / "grafana" / "dashboards" / "new.json").write_text("{}\n")
    (folder / "kustomization.yaml").write_text(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nconfigMapGenerator:\n"
        "  - {name: rules, files: [prometheus/rules/alerts.yml]}\n"
    )
    assert unused_files(tmp_path) == [
        "dashboard/kustomization.yaml: grafana/dashboards/new.json is in no ConfigMap"
    ]


def test_every_setting_and_flag_is_an_option() -> None:
    """A variable or flag with a typing error would be passed over in silence, or end the pod."""
    parser = get_parser()
    add_options(parser)
    variables = {getattr(action, "env_var", None) for action in parser._actions}
    flags = set(parser._option_string_actions)
    for folder in overlays(ROOT):
        for body in render(folder):
            if body["kind"] == "ConfigMap" and body["metadata"]["name"].startswith("settings"):
                assert set(body["data"]) <= variables, folder
            for container in containers(body):
                words = container.get("command", [])
                if words[:1] == ["locust"]:
                    assert {word for word in words if word.startswith("-")} <= flags, folder
                    given = {each["name"] for each in container.get("env", [])}
                    assert given <= variables, folder


def test_a_job_and_its_deployment_run_the_same_pod() -> None:
    """The master of ci differs from that of ui in what it is told and how it is probed alone."""
    job = pod_of(the(CI_OBJECTS, "Job", "memquake"))
    deployment = pod_of(the(render(ROOT / "k8s" / "base"), "Deployment", "master"))
    assert job is not None
    assert deployment is not None
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
