"""Processor time by quota and by halting, and crashes in a row, on nodes of our own.

Which of the two ways a machine can go is its own affair; halting is tried everywhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from cluster.embedded import EmbeddedCluster
from cluster.probe import ProbeError, stats, version
from faults.backends.cgroup import find_hierarchy, make_group, try_out
from faults.backends.cpu import CpuBackend
from faults.driver import build_backends
from faults.guard import Guard
from faults.plan import Plan, make_plan
from faults.scenario import scenario_from_text

NODES = ("node1", "node2")
HALTING = pytest.mark.parametrize("halting", [False, True], ids=["as the machine can", "halting"])


@pytest.fixture(scope="module")
def cluster() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(2, with_proxies=False) as cluster:
        yield cluster


def plan_of(words: str, target: str = "{nodes: [node1]}", duration: str = "30s") -> Plan:
    text = f"name: x\nfaults: [{{id: a, at: 0s, duration: {duration}, {words}, target: {target}}}]"
    return make_plan(
        scenario_from_text(text), seed=1, nodes=NODES, time_scale=1, recovers_within_s=10
    )


def home_of(pid: int) -> Path | None:
    hierarchy = find_hierarchy()
    return hierarchy.home(pid) if hierarchy else None


@HALTING
def test_processor_time_is_taken_and_given_back(cluster: EmbeddedCluster, halting: bool) -> None:
    """Proved both ways; the stand-in is named where it is one; the group is as before."""
    homes = [home_of(cluster.pids()[name]) for name in NODES]
    backend = CpuBackend(cluster, halting=halting)
    (fault,) = plan_of("kind: cpu, share: 10%", target="{mode: all}").faults
    hierarchy = find_hierarchy()
    works = hierarchy and not try_out(hierarchy, cluster.pids()["node1"], "trial", 0.1)
    stands_in = "halted and woken in turn" in backend.stand_in(fault)
    assert stands_in == (halting or not works)
    assert backend.needs(fault) == ""
    backend.undos(fault)
    backend.inject(fault)
    assert ("halted in turn" if stands_in else "limited to 10%") in backend.read_back(fault)
    assert ("was halted in" if stands_in else "the kernel held") in backend.observe(fault)
    assert backend.leftovers() != []
    backend.heal(fault)
    backend.read_back_healed(fault)
    backend.observe_healed(fault)
    assert backend.leftovers() == []
    assert backend.clean() == []
    assert [home_of(cluster.pids()[name]) for name in NODES] == homes


@HALTING
def test_the_guard_gives_processor_time_back(
    cluster: EmbeddedCluster, halting: bool, bounded: Callable[..., Any]
) -> None:
    """The harness is gone in the middle of a fault, perhaps while the node is halted."""
    pid = cluster.pids()["node1"]
    home = home_of(pid)
    own = Guard()
    own.start()
    backend = CpuBackend(cluster, halting=halting)
    (fault,) = plan_of("kind: cpu, share: 2%").faults
    (undo,) = backend.undos(fault).values()
    own.register("a@node1", undo, 60)
    backend.inject(fault)
    backend.read_back(fault)
    own.close()
    assert [event["what"] for event in own.events()] == ["undone"]
    assert home_of(pid) == home
    for _ in range(20):
        assert psutil.Process(pid).status() != psutil.STATUS_STOPPED
        time.sleep(0.01)
    assert backend.leftovers() == []
    backend.heal(fault)
    backend.read_back_healed(fault)


def test_a_helper_that_is_killed_while_the_node_is_halted_leaves_it_awake(
    cluster: EmbeddedCluster, bounded: Callable[..., Any]
) -> None:
    """Healing wakes the node itself, whatever became of who halted it."""
    backend = CpuBackend(cluster, halting=True)
    (fault,) = plan_of("kind: cpu, share: 1%").faults
    backend.undos(fault)
    backend.inject(fault)
    (helper,) = backend._halting._helpers.values()
    bounded(lambda: cluster.is_paused("node1"), every_s=0.003, what="the node halted")
    psutil.Process(helper.pid).kill()
    bounded(lambda: not helper.alive())
    backend.heal(fault)
    backend.read_back_healed(fault)
    assert not cluster.is_paused("node1")


def test_the_group_of_a_dead_run_is_removed(
    cluster: EmbeddedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its processes go back; where no group can be made, the stand-in says why."""
    backend = CpuBackend(cluster)
    hierarchy = find_hierarchy()
    pid = cluster.pids()["node2"]
    hindrance = backend.stand_in(plan_of("kind: cpu, share: 10%").faults[0])
    if hierarchy is None or hindrance:
        assert "because" in hindrance
        return
    # A start that is not ours makes it the group of a dead run that had our number.
    monkeypatch.setattr("faults.backends.cgroup.start_time", lambda _: "1")
    group = make_group(hierarchy, pid, "node2")
    monkeypatch.undo()
    group.limit(pid, 0.5)
    assert backend.leftovers() == [f"the group {group.path.name} is there"]
    assert backend.clean() == [f"removed the group {group.path.name}"]
    assert not group.path.exists()
    assert hierarchy.home(pid) == group.home
    assert backend.leftovers() == []


def test_crashes_in_a_row_are_each_proved(cluster: EmbeddedCluster) -> None:
    """Nodes that go down together again and again are dead, and back with new processes."""
    backend = build_backends(cluster)["process"]
    plan = plan_of("kind: crash, repeat: {times: 3, every: 40s}", target="{mode: all}")
    for fault in plan.faults:
        before = cluster.pids()
        backend.undos(fault)
        backend.inject(fault)
        dead = "memcached of node1 is dead; memcached of node2 is dead"
        assert backend.read_back(fault) == dead
        assert backend.observe(fault).count("refuses connections") == 2
        assert len(backend.leftovers()) == 2
        backend.heal(fault)
        backend.read_back_healed(fault)
        backend.observe_healed(fault)
        assert not set(before.values()) & set(cluster.pids().values())
        assert backend.leftovers() == []


def test_undos_of_repeated_crashes_start_the_node_once(
    cluster: EmbeddedCluster, bounded: Callable[..., Any]
) -> None:
    """Two undos of one node, both overdue: one server answers, and the cluster takes it over."""
    own = Guard()
    own.start()
    backend = build_backends(cluster)["process"]
    plan = plan_of("kind: crash, repeat: {times: 2, every: 40s}")
    node = cluster.nodes[0]
    for fault in plan.faults:
        own.register(f"{fault.id}@node1", backend.undos(fault)["node1"], 0.1)
    backend.inject(plan.faults[0])

    def acted() -> bool:
        own.heartbeat()
        own.poll()
        return len(own.acted) == 2

    bounded(acted, what="both undos carried out")
    bounded(lambda: answers(node.direct), what="the node answering")
    backend.heal(plan.faults[1])
    assert stats(node.direct, 1)["pid"] == cluster.pids()["node1"]
    backend.inject(plan.faults[1])
    own.close()
    backend.heal(plan.faults[1])
    assert "running" in backend.read_back_healed(plan.faults[1])


def answers(address: tuple[str, int]) -> bool:
    try:
        return bool(version(address, 0.5))
    except ProbeError:
        return False
