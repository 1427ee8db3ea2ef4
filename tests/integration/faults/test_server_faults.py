"""Pressure on real memcached: in place, felt, healed, undone by the guard, nothing left.

Small nodes (64 connections, 16 MB) keep the crowds and the fillings small.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cluster.external import ExternalCluster
from cluster.node import Node
from faults.backends.memcached_admin import MemcachedAdminBackend
from faults.backends.memcached_memory import MARK
from faults.driver import FaultDriver, build_backends
from faults.errors import ScenarioError
from faults.guard import Guard
from faults.guard_child import start_time
from faults.helpers.link import Link, LinkError
from faults.journal import Journal
from faults.plan import Plan, make_plan
from faults.planned import PlannedFault
from faults.scenario import scenario_from_text

SMALL = ("-c", "64", "-m", "16")
KINDS = {
    "memory": "kind: memory, limit: 8",
    "connections": "kind: connections, free: 2",
    "flush": "kind: flush",
    "overload": "kind: overload, rate: 200, size: 20KB",
}


@pytest.fixture
def cluster(memcached: Callable[..., Any]) -> Iterator[ExternalCluster]:
    servers = [memcached(*SMALL) for _ in range(2)]
    with ExternalCluster([server.address for server in servers]) as given:
        yield given


@pytest.fixture
def node(cluster: ExternalCluster) -> Node:
    return cluster.nodes[0]


@pytest.fixture(scope="module")
def guard() -> Iterator[Guard]:
    guard = Guard()
    guard.start()
    stop = threading.Event()
    beat = threading.Thread(target=guard.run_heartbeat, args=(stop,), daemon=True)
    beat.start()
    yield guard
    stop.set()
    beat.join(2)
    guard.close()


def plan_of(words: str, target: str = "{nodes: [node1]}", duration: str = "1s") -> Plan:
    text = (
        "name: x\nload: {users: 9, target_rate: 9}\n"
        f"faults: [{{id: a, at: 0s, duration: {duration}, {words}, target: {target}}}]\n"
    )
    return make_plan(
        scenario_from_text(text),
        seed=1,
        nodes=("node1", "node2"),
        time_scale=1,
        recovers_within_s=10,
    )


def fault_of(words: str, duration: str = "30s") -> PlannedFault:
    return plan_of(words, duration=duration).faults[0]


def tell(node: Node, line: str, *endings: bytes) -> bytes:
    with Link(*node.direct) as link:
        return link.ask(line.encode() + b"\r\n", *([endings] if endings else []))


def count(node: Node, name: str, what: str = "") -> int:
    with Link(*node.direct) as link:
        return link.numbers(what)[name]


def fill(node: Node, keys: int, size: int) -> None:
    value = b"x" * size
    with Link(*node.direct) as link:
        commands = (b"set own:%d 0 0 %d noreply\r\n%s\r\n" % (n, size, value) for n in range(keys))
        link.send(b"".join(commands))
        link.ask(b"version\r\n", (b"\r\n",))


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_proved_both_ways(cluster: ExternalCluster, kind: str) -> None:
    """In place, felt, healed, answering; then nothing is left, neither helpers nor keys."""
    limits = [count(node, "limit_maxbytes") for node in cluster.nodes]
    backend = MemcachedAdminBackend(cluster.nodes)
    (fault,) = plan_of(KINDS[kind], target="{mode: all}", duration="30s").faults
    assert backend.needs(fault) == ""
    assert backend.stand_in(fault) == ""
    backend.undos(fault)
    backend.inject(fault)
    proofs = [backend.read_back(fault), backend.observe(fault)]
    backend.heal(fault)
    proofs += [backend.read_back_healed(fault), backend.observe_healed(fault)]
    assert all("node1" in proof and "node2" in proof for proof in proofs)
    backend.heal(fault)
    assert backend.leftovers() == []
    assert backend.clean() == []
    assert [count(node, "limit_maxbytes") for node in cluster.nodes] == limits
    assert all(count(node, "curr_connections") < 10 for node in cluster.nodes)
    # A flush forgets its items when they are next asked for.
    assert all(count(node, "curr_items") <= (kind == "flush") for node in cluster.nodes)


def test_the_driver_carries_a_plan_out(cluster: ExternalCluster, guard: Guard) -> None:
    """A pressure and a flush meet on one node; both are confirmed and healed in time."""
    plan = make_plan(
        scenario_from_text(
            "name: x\nfaults:\n"
            "  - {id: crowd, at: 0s, duration: 3s, kind: connections, free: 9, "
            "target: {nodes: [node1]}}\n"
            "  - {id: flush, at: 2s, duration: 1s, kind: flush, target: {nodes: [node1]}}\n"
        ),
        seed=1,
        nodes=("node1", "node2"),
        time_scale=1,
        recovers_within_s=10,
    )
    driver = FaultDriver(plan, build_backends(cluster), Journal(epoch=time.monotonic()), guard)
    driver.run_testing(time.monotonic())
    assert [record.why_not for record in driver.journal.faults] == ["", ""]
    assert all(record.confirmed and record.healed_at_s for record in driver.journal.faults)
    assert driver.leftovers() == []
    assert guard.events() == []


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "flush"])
def test_the_guard_undoes_each_kind(
    cluster: ExternalCluster, node: Node, kind: str, bounded: Callable[..., Any]
) -> None:
    """The harness is gone in the middle of the fault: the limit, the places and the helper."""
    own = Guard()
    own.start()
    backend = MemcachedAdminBackend(cluster.nodes)
    fault = fault_of(KINDS[kind])
    (undo,) = backend.undos(fault).values()
    own.register("a@node1", undo, 60)
    backend.inject(fault)
    backend.read_back(fault)
    assert backend.leftovers() != []
    own.close()
    assert [event["what"] for event in own.events()] == ["undone"]
    assert count(node, "limit_maxbytes") == 16 << 20
    bounded(lambda: count(node, "curr_connections") < 10, what="the crowd gone")
    assert all(not words.startswith("fault") for words in backend.leftovers())
    backend.heal(fault)
    assert backend.leftovers() == []


def test_less_memory_evicts_what_the_load_has_stored(
    cluster: ExternalCluster, node: Node, bounded: Callable[..., Any]
) -> None:
    """Keys of others go; at the end the limit is back and no key of ours is left."""
    fill(node, keys=3000, size=700)
    backend = MemcachedAdminBackend(cluster.nodes)
    fault = fault_of(KINDS["memory"])
    backend.undos(fault)
    backend.inject(fault)
    assert "reads back as 8 MB" in backend.read_back(fault)
    assert "evictions of node1 rose" in backend.observe(fault)

    def lost() -> bool:
        with Link(*node.direct) as link:
            return link.ask(b"get own:0 own:1 own:2\r\n").count(b"VALUE") < 3

    bounded(lost, within_s=10.0, what="a key of the load evicted")
    backend.heal(fault)
    assert "reads back as 16 MB" in backend.read_back_healed(fault)
    with Link(*node.direct) as link:
        dump = link.ask(b"lru_crawler metadump all\r\n", (b"END\r\n",))
    assert b"memquake-press" not in dump
    assert tell(node, f"get {MARK.decode()}") == b"END\r\n"


def test_a_limit_that_a_dead_run_has_lowered_is_restored(
    cluster: ExternalCluster, node: Node
) -> None:
    """The node itself remembers what its limit was, and for whom it was lowered."""
    dead = subprocess.Popen(["true"])
    dead.wait(5)
    backend = MemcachedAdminBackend(cluster.nodes)
    for pid, start, cleaned in (
        (os.getppid(), start_time(os.getppid()), []),
        (dead.pid, "1", ["restored the memory limit of node1, 16 MB"]),
    ):
        note = json.dumps({"pid": pid, "start": start, "host": socket.gethostname(), "mb": 16})
        with Link(*node.direct) as link:
            link.ask(f"set {MARK.decode()} 0 0 {len(note)}\r\n{note}\r\n".encode())
            link.ask(b"cache_memlimit 8\r\n")
        assert bool(backend.leftovers()) == bool(cleaned)
        assert backend.clean() == cleaned
        assert count(node, "limit_maxbytes") == (16 if cleaned else 8) << 20
    assert backend.leftovers() == []


def test_a_crowd_leaves_open_connections_alone_and_takes_every_place(
    cluster: ExternalCluster, node: Node, bounded: Callable[..., Any]
) -> None:
    """What is open lives on; what somebody closes is taken, but for those that stay free."""
    backend = MemcachedAdminBackend(cluster.nodes)
    fault = fault_of("kind: connections, free: 1")
    with Link(*node.direct) as stays:
        leaves = [Link(*node.direct) for _ in range(10)]
        for link in leaves:
            link.numbers()
        stays.numbers()
        backend.undos(fault)
        backend.inject(fault)
        full = stays.numbers()["curr_connections"]
        assert "refuses the next" in backend.observe(fault)
        for link in leaves:
            link.close()
        bounded(
            lambda: stays.numbers()["curr_connections"] >= full,
            what="the places of those who left taken",
        )
        with Link(*node.direct) as last:
            last.numbers()
            with Link(*node.direct) as refused, pytest.raises(LinkError):
                refused.numbers()
        backend.heal(fault)
        backend.read_back_healed(fault)
        assert stays.numbers()["curr_connections"] < 10


def test_a_helper_ends_when_the_harness_does(
    cluster: ExternalCluster, node: Node, bounded: Callable[..., Any]
) -> None:
    """The pipe is its life: no guard is needed for a crowd to go."""
    backend = MemcachedAdminBackend(cluster.nodes)
    fault = fault_of(KINDS["connections"])
    backend.undos(fault)
    backend.inject(fault)
    (helper,) = backend._treatments["connections"]._helpers.values()
    helper._link.close()
    bounded(lambda: not helper.alive(), what="the helper gone")
    bounded(lambda: count(node, "curr_connections") < 10, what="its crowd gone")
    backend.heal(fault)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("kind: memory, limit: 16", "node1 has 16 MB of memory: give a lower limit"),
        ("kind: connections, free: 64", "connections left: give a smaller `free`"),
    ],
)
def test_what_would_press_nothing_is_refused_before_the_start(
    cluster: ExternalCluster, words: str, problem: str
) -> None:
    """The line says what the node has."""
    with pytest.raises(ScenarioError, match=problem):
        FaultDriver(plan_of(words), build_backends(cluster), Journal())


def test_a_crowd_larger_than_a_process_may_open_is_refused(
    cluster: ExternalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line says which limit to raise."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, 64))
    with pytest.raises(ScenarioError, match="raise the hard limit"):
        FaultDriver(plan_of(KINDS["connections"]), build_backends(cluster), Journal())


def test_processor_time_is_taken_from_nodes_of_our_own_only(cluster: ExternalCluster) -> None:
    """Given nodes are never halted nor moved to another group."""
    with pytest.raises(ScenarioError, match="needs nodes that memquake started"):
        FaultDriver(plan_of("kind: cpu, share: 10%"), build_backends(cluster), Journal())


def test_the_guard_tells_a_node_and_hears_its_answer(
    cluster: ExternalCluster, node: Node, free_port: Callable[[], int]
) -> None:
    """A wrong answer is no undo and is said; a node that is gone has nothing to undo."""
    host, port = node.direct
    own = Guard()
    own.start()
    for name, to, line in (
        ("done", port, ["cache_memlimit 9", ["OK"]]),
        ("refused", port, ["cache_memlimit 1", ["OK"]]),
        ("gone", free_port(), ["cache_memlimit 9", ["OK"]]),
    ):
        own.register(name, {"kind": "tell", "host": host, "port": to, "lines": [line]}, 60)
    own.close()
    events = own.events()
    assert {event["id"] for event in events if event["what"] == "undone"} == {"done", "gone"}
    failed = next(event for event in events if event["what"] == "undo_failed")
    assert "MEMLIMIT_TOO_SMALL" in failed["error"]
    assert count(node, "limit_maxbytes") == 9 << 20
