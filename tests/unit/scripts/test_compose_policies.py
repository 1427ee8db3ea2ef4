"""What the shipped files must not say is found as text, each violation by name and way out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.compose_policies import ROOT, judge_compose, judge_file, main, with_defaults
from scripts.dockerfile_policies import Dockerfile

COMPOSE = ROOT / "docker-compose.yml"
DOCKERFILE = ROOT / "Dockerfile"

Change = Callable[[dict[str, Any]], object]


def test_what_is_shipped_breaks_no_rule() -> None:
    """The Dockerfile, the Compose file, and every override."""
    assert main() == 0


def services() -> dict[str, Any]:
    # By way of JSON each service is a copy of its own; anchors made them share.
    document: dict[str, Any] = json.loads(json.dumps(yaml.safe_load(COMPOSE.read_text())))
    return document


BROKEN: dict[str, tuple[Change, str]] = {
    "a tag latest": (
        lambda s: s["memcached-2"].update(image="memcached:latest"),
        "service memcached-2: image memcached:latest is not pinned",
    ),
    "no tag": (
        lambda s: s["grafana"].update(image="grafana/grafana"),
        "service grafana: image grafana/grafana is not pinned",
    ),
    "a registry's port is no tag": (
        lambda s: s["grafana"].update(image="registry.example:5000/grafana"),
        "service grafana: image registry.example:5000/grafana is not pinned",
    ),
    "a tag that is latest unless a variable says otherwise": (
        lambda s: s["worker"].update(image="memquake:${TAG:-latest}"),
        "service worker: image memquake:${TAG:-latest} is not pinned",
    ),
    "root by number": (
        lambda s: s["toxiproxy"].update(user="0:0"),
        "service toxiproxy: runs as root",
    ),
    "root by name": (lambda s: s["master"].update(user="root"), "service master: runs as root"),
    "root by a default": (
        lambda s: s["master"].update(user="${WHO:-0}"),
        "service master: runs as root",
    ),
    "whoever the image says": (
        lambda s: s["memcached-1"].pop("user"),
        "service memcached-1: runs as root, or as whom its image says",
    ),
    "a port on all addresses": (
        lambda s: s["master"].update(ports=["8089:8089"]),
        "service master: port 8089:8089 is published on all addresses",
    ),
    "a port on all addresses, in words": (
        lambda s: s["master"].update(ports=["0.0.0.0:8089:8089"]),
        "service master: port 0.0.0.0:8089:8089 is published on all addresses",
    ),
    "a port on all addresses, long": (
        lambda s: s["prometheus"].update(ports=[{"target": 9090, "published": "9090"}]),
        "service prometheus: port 9090 is published on all addresses",
    ),
    "a port that only a variable keeps at home": (
        lambda s: s["grafana"].update(ports=["${HOST_IP}:3000:3000"]),
        "is published on all addresses",
    ),
    "privileged": (lambda s: s["ci"].update(privileged=True), "service ci: is privileged"),
    "the machine's network": (
        lambda s: s["worker"].update(network_mode="host"),
        "service worker: network_mode host shares",
    ),
    "another container's processes": (
        lambda s: s["master"].update(pid="service:memcached-1"),
        "service master: pid service:memcached-1 shares",
    ),
    "the engine's socket": (
        lambda s: s["ci"].update(volumes=["/var/run/docker.sock:/var/run/docker.sock"]),
        "service ci: has the engine's socket",
    ),
    "capabilities": (lambda s: s["worker"].pop("cap_drop"), "service worker: keeps capabilities"),
    "new privileges": (lambda s: s["worker"].pop("security_opt"), "worker: may gain privileges"),
    "a root file system": (
        lambda s: s["toxiproxy"].pop("read_only"),
        "toxiproxy: can write its root file system",
    ),
    "no limits": (lambda s: s["worker"].pop("deploy"), "service worker: has no limit of memory"),
    "no health check": (
        lambda s: s["prometheus"].pop("healthcheck"),
        "service prometheus: has no health check",
    ),
    "no word about restarts": (
        lambda s: s["worker"].pop("restart"),
        "service worker: does not say whether it is restarted",
    ),
    "an order without a condition": (
        lambda s: s["worker"].update(depends_on=["master"]),
        "service worker: depends on master without a condition",
    ),
}


@pytest.mark.parametrize(("change", "line"), BROKEN.values(), ids=BROKEN.keys())
def test_each_mistake_is_found_by_itself(change: Change, line: str) -> None:
    """The shipped file with one mistake gives the violation of that one mistake."""
    document = services()
    change(document["services"])
    found = list(judge_compose(document, ROOT))
    assert found
    assert line in found[0]
    assert len({problem.partition(":")[0] for problem in found}) == 1, found  # of one service


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        pytest.param(
            "FROM python:3.11-slim\n", "FROM python:latest\n", "FROM python:latest", id="latest"
        ),
        pytest.param("FROM python:3.11-slim AS", "FROM python AS", "FROM python is", id="no tag"),
        pytest.param("USER 10001:10001\n", "", "runs as root", id="no user"),
        pytest.param("USER 10001:10001\n", "USER 0\n", "runs as root", id="root"),
        pytest.param("USER 10001:10001\n", "USER app\n", "or as a name", id="a user by name"),
        pytest.param(
            'ENTRYPOINT ["locust"]', "ENTRYPOINT locust", "ENTRYPOINT starts a shell", id="a shell"
        ),
        pytest.param("HEALTHCHECK", "# HEALTHCHECK", "no HEALTHCHECK", id="no health check"),
        pytest.param(
            "STOPSIGNAL SIGTERM", "RUN apt-get install -y gcc", "gcc is left", id="a compiler"
        ),
    ],
)
def test_each_mistake_in_a_dockerfile_is_found(
    tmp_path: Path, old: str, new: str, line: str
) -> None:
    """The shipped one with one mistake."""
    text = DOCKERFILE.read_text()
    assert text.count(old) == 1
    broken = tmp_path / "Dockerfile"
    broken.write_text(text.replace(old, new))
    assert any(line in problem for problem in judge_file(broken)), judge_file(broken)


def test_a_service_that_is_built_may_leave_the_user_to_its_dockerfile(tmp_path: Path) -> None:
    """Where that one names a number, and not otherwise."""
    document = services()
    del document["services"]["worker"]["user"]
    assert list(judge_compose(document, ROOT)) == []
    (tmp_path / "Dockerfile").write_text(DOCKERFILE.read_text().replace("USER 10001:10001", ""))
    assert any(
        line.startswith("service worker: runs as root")
        for line in judge_compose(document, tmp_path)
    )


def test_a_user_of_an_earlier_stage_is_not_that_of_the_image() -> None:
    """Only the last stage becomes the image."""
    text = 'FROM a:1 AS one\nUSER 5\nHEALTHCHECK CMD ["x"]\nFROM b:1\nENTRYPOINT ["y"]\n'
    assert not Dockerfile(text).runs_as_other
    assert not Dockerfile(text).has_health_check


def test_a_file_may_excuse_itself_from_two_rules_only() -> None:
    """Being root or open to the network is nothing to be excused from."""
    document = {
        "x-override": True,
        "x-allows": {"engine-socket": "to restart nodes", "root": "it is easier"},
        "services": {
            "a": {"user": "0", "volumes": ["/var/run/docker.sock:/s"], "ports": ["1:1"]},
        },
    }
    found = list(judge_compose(document, ROOT))
    assert len(found) == 2
    assert "root" in found[0]
    assert "all addresses" in found[1]


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        pytest.param("a:${TAG:-1.6}", "a:1.6", id="a default"),
        pytest.param("${A-x}:${B:-y}", "x:y", id="two of them"),
        pytest.param("${A}", "", id="no default"),
        pytest.param("$A", "", id="without braces"),
        pytest.param("plain", "plain", id="none"),
    ],
)
def test_variables_count_with_their_defaults(text: str, plain: str) -> None:
    """As in a shell that sets none of them."""
    assert with_defaults(text) == plain


def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, and no success."""
    broken = tmp_path / "docker-compose.yml"
    broken.write_text("services: [")
    assert main([str(broken), str(tmp_path / "Dockerfile")]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("policy: ") for line in lines)
