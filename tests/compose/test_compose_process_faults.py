"""docker-compose.process-faults.yml: nodes in containers of their own are killed and halted."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.compose.project import Project, judged

pytestmark = pytest.mark.compose

SMALL = ("--time-scale", "0.3", "-u", "20", "--target-rate", "300")


@pytest.fixture(scope="module")
def project(laid_over: Callable[[str], Project]) -> Project:
    """Give a project with the override."""
    return laid_over("docker-compose.process-faults.yml")


@pytest.mark.parametrize("scenario", ["node-crash", "node-hang"])
def test_the_fault_happens_and_is_judged(project: Project, scenario: str) -> None:
    """Confirmed, felt, and over: no container was started anew for it."""
    done = judged(project, "--scenario", scenario, *SMALL)
    assert done.code == 0, done
    verdict = json.loads((project.runs() / "latest" / "verdict.json").read_text())
    assert [fault["confirmed"] for fault in verdict["faults"]] == [True]
    for number in (1, 2, 3):
        (node,) = project.of(f"memcached-{number}")
        assert node["RestartCount"] == 0
        assert node["State"]["Health"]["Status"] == "healthy"


def test_what_it_opens_is_a_folder_and_nothing_else(project: Project) -> None:
    """No engine socket, no shared processes, no capability, no port."""
    for container in project.containers():
        host = container["HostConfig"]
        assert host["PidMode"] == ""
        assert not host["Privileged"]
        assert host["CapAdd"] is None
        assert host["CapDrop"] == ["ALL"]
        assert not any("docker.sock" in mount["Source"] for mount in container["Mounts"])
        assert all(not bound for bound in (container["NetworkSettings"]["Ports"] or {}).values())


def test_a_node_that_dies_by_itself_is_started_again(project: Project) -> None:
    """By the engine, as without an agent."""
    (node,) = project.of("memcached-1")
    project.compose("exec", "-T", "memcached-1", "bash", "-c", KILL_MEMCACHED)
    project.wait_for_restart(node)


KILL_MEMCACHED = (
    "for p in /proc/[0-9]*; do [[ $(cat $p/comm) == memcached ]] && kill -9 ${p#/proc/}; done"
)
