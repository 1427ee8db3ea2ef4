"""What the API server and the network of a real cluster make of the manifests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from memquake.paths import CHECKOUT
from scripts.policies import overlays, render
from tests.k8s.cluster import Namespace, applied, kubectl

pytestmark = pytest.mark.k8s

CONNECT = (
    "import socket, sys\n"
    "for where in sys.argv[1:]:\n"
    "    host, port = where.rsplit(':', 1)\n"
    "    try:\n"
    "        socket.create_connection((host, int(port)), 3).close()\n"
    "        print(where, 'open')\n"
    "    except OSError as why:\n"
    "        print(where, 'shut', type(why).__name__)\n"
)


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Namespace]:
    """Give a namespace in which the overlay ui is up."""
    with applied("monitoring", tmp_path_factory.mktemp("ui"), {}) as namespace:
        namespace.roll_out(
            "statefulset/memcached", "deployment/toxiproxy", "deployment/master",
            "deployment/worker",
        )  # fmt: skip
        yield namespace


@pytest.mark.parametrize("folder", overlays(CHECKOUT), ids=lambda folder: folder.name)
def test_make_check_sees_what_kubectl_sends(folder: Path) -> None:
    """The rendering that the rules are held against is kubectl's own, to the letter."""
    done = kubectl("kustomize", str(folder))
    assert done.code == 0, done
    theirs = {(o["kind"], o["metadata"]["name"]): o for o in yaml.safe_load_all(done.output)}
    ours = {(o["kind"], o["metadata"]["name"]): o for o in render(folder)}
    assert ours == theirs


def test_pods_that_need_more_are_refused(there: Namespace) -> None:
    """The namespace enforces the restricted standard: a container as root does not get in."""
    done = there.kubectl("run", "root", "--image=memcached:1.6", "--restart=Never")
    assert done.code != 0
    assert 'violates PodSecurity "restricted' in done.output, done


def test_no_pod_has_a_token(there: Namespace) -> None:
    """Nobody could speak to the API server even if it were let through."""
    for pod in there.get("pods")["items"]:
        mounts = [
            m["mountPath"] for c in pod["spec"]["containers"] for m in c.get("volumeMounts", [])
        ]
        assert not [path for path in mounts if "serviceaccount" in path], pod["metadata"]["name"]


def connects(namespace: Namespace, pod: str, *where: str) -> dict[str, str]:
    """Try connections from within a pod; give address -> open or shut."""
    done = namespace.kubectl(
        *("exec", f"deployment/{pod}", "-c", pod, "--", "python", "-c", CONNECT, *where)
    )
    assert done.code == 0, done
    return {words[0]: words[1] for words in map(str.split, done.output.splitlines())}


def test_only_the_paths_that_are_used_are_open(there: Namespace) -> None:
    """Master and workers reach what they use, and a worker not the API that breaks things."""
    node, api, proxy = "memcached-0.memcached:11211", "toxiproxy:8474", "toxiproxy:21211"
    assert connects(there, "master", node, api, proxy) == {
        node: "open",
        api: "open",
        proxy: "open",
    }
    ip = there.get("pods", "-l", "app.kubernetes.io/name=master")["items"][0]["status"]["podIP"]
    page, workers = f"{ip}:8089", "master:5557"
    assert connects(there, "worker", node, proxy, workers, api, page) == {
        node: "open",
        proxy: "open",
        workers: "open",
        api: "shut",
        page: "shut",
    }


def test_strangers_reach_nothing(there: Namespace, tmp_path: Path) -> None:
    """A pod of another namespace reaches neither nodes nor Toxiproxy nor the master's page."""
    found = there.get("pods")["items"]
    address = {
        pod["metadata"]["labels"]["app.kubernetes.io/name"]: pod["status"]["podIP"] for pod in found
    }
    where = [
        f"{address['memcached']}:11211",
        f"{address['toxiproxy']}:8474",
        f"{address['toxiproxy']}:21211",
        f"{address['master']}:8089",
        f"{address['master']}:5557",
    ]
    stranger = there.name + "-stranger"
    try:
        assert kubectl("create", "namespace", stranger).code == 0
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "stranger"},
            "spec": {
                "restartPolicy": "Never",
                "containers": [
                    {
                        "name": "stranger",
                        "image": "memquake:dev",
                        "imagePullPolicy": "IfNotPresent",
                        "command": ["python", "-c", CONNECT, *where],
                    }
                ],
            },
        }
        done = kubectl("-n", stranger, "apply", "-f", "-", text=json.dumps(pod))
        assert done.code == 0, done
        wait = ("wait", "pod/stranger", "--for=jsonpath={.status.phase}=Succeeded")
        done = kubectl("-n", stranger, *wait, "--timeout=120s", limit_s=130)
        assert done.code == 0, done
        said = kubectl("-n", stranger, "logs", "stranger").output
        assert said.split().count("shut") == len(where), said
        assert "open" not in said, said
    finally:
        kubectl("delete", "namespace", stranger, "--ignore-not-found", limit_s=180)


def test_what_monitoring_needs_is_there(there: Namespace) -> None:
    """Rules and dashboards are ConfigMaps with their readers' labels, the master is annotated."""
    maps = there.get("configmaps")["items"]
    labelled = {
        label: [m for m in maps if m["metadata"].get("labels", {}).get(label) == "1"]
        for label in ("prometheus_rule", "grafana_dashboard")
    }
    assert len(labelled["prometheus_rule"]) == 1
    assert labelled["grafana_dashboard"]
    for each in labelled["grafana_dashboard"]:
        for text in each["data"].values():
            assert json.loads(text)["panels"]
    for text in labelled["prometheus_rule"][0]["data"].values():
        assert yaml.safe_load(text)["groups"]
    notes = there.get("deployment", "master")["spec"]["template"]["metadata"]["annotations"]
    assert notes["prometheus.io/scrape"] == "true"
