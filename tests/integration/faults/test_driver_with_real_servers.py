"""Each kind of fault is applied, felt, healed and read back on real servers."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cluster.embedded import EmbeddedCluster
from cluster.external import ExternalCluster
from cluster.probe import stats, version
from cluster.toxiproxy import Toxiproxy
from faults.driver import FaultDriver, build_backends
from faults.errors import ScenarioError
from faults.guard import Guard
from faults.journal import Journal
from faults.plan import Plan, make_plan
from faults.scenario import scenario_from_text

NODES = ("node1", "node2", "node3")
DOWN = "{id: a, at: 0.1s, duration: 1s, kind: down, target: {nodes: [node1]}}"
LONG = "{id: a, at: 0s, duration: 30s, kind: KIND, target: {nodes: [node1]}}"


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


@pytest.fixture(scope="module")
def cluster(guard: Guard) -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(3, guard=guard) as cluster:
        yield cluster


@pytest.fixture
def healthy(cluster: EmbeddedCluster) -> Iterator[EmbeddedCluster]:
    yield cluster
    cluster.check()
    for node in cluster.nodes:
        version(node.address, 2)


def plan_of(*faults: str) -> Plan:
    text = "name: x\nload: {users: 900, target_rate: 100}\nfaults:\n"
    text += "".join(f"  - {fault}\n" for fault in faults)
    return make_plan(
        scenario_from_text(text), seed=1, nodes=NODES, time_scale=1, recovers_within_s=10
    )


def driver_of(cluster: EmbeddedCluster, guard: Guard, *faults: str) -> FaultDriver:
    journal = Journal(epoch=time.monotonic())
    return FaultDriver(plan_of(*faults), build_backends(cluster), journal, guard)


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        pytest.param("down", "", id="down"),
        pytest.param("timeout", "", id="timeout"),
        pytest.param("latency", "latency: 100ms, jitter: 100ms, ", id="latency"),
        pytest.param("crash", "", id="crash"),
        pytest.param("hang", "", id="hang"),
    ],
)
def test_each_kind_is_proved_both_ways(
    healthy: EmbeddedCluster, guard: Guard, kind: str, more: str
) -> None:
    """Confirmed close to its injection, healed after its end, nothing left, guard at rest."""
    driver = driver_of(
        healthy,
        guard,
        f"{{id: a, at: 0.1s, duration: 1.5s, kind: {kind}, {more}"
        "target: {mode: fixed, value: 2}}",
    )
    driver.run_testing(time.monotonic())
    (record,) = driver.journal.faults
    assert record.why_not == ""
    assert record.injected_at_s is not None
    assert record.confirmed_at_s is not None
    assert record.heal_started_s is not None
    assert record.healed_at_s is not None
    assert 0 <= record.confirmed_at_s - record.injected_at_s < 1
    assert record.heal_started_s <= record.healed_at_s
    assert len(record.evidence) == 4
    assert driver.leftovers() == []
    assert guard.events() == []


def test_a_crashed_node_comes_back_empty(healthy: EmbeddedCluster, guard: Guard) -> None:
    """What it held is gone, the others keep theirs."""
    for node in healthy.nodes:
        with socket.create_connection(node.direct, timeout=1) as sock:
            sock.sendall(b"set k 0 0 1\r\nx\r\n")
            assert sock.recv(100) == b"STORED\r\n"
    fault = "{id: a, at: 0s, duration: 1s, kind: crash, target: {nodes: [node2]}}"
    driver = driver_of(healthy, guard, fault)
    driver.run_testing(time.monotonic())
    assert [stats(node.direct, 1)["curr_items"] for node in healthy.nodes] == [1, 0, 1]


@pytest.mark.parametrize("kind", ["down", "timeout", "crash", "hang"])
def test_abort_heals_every_kind(healthy: EmbeddedCluster, guard: Guard, kind: str) -> None:
    """A run that is cut off in the middle of a fault leaves a healthy cluster."""
    driver = driver_of(healthy, guard, LONG.replace("KIND", kind))
    runner = threading.Thread(target=driver.run_testing, args=(time.monotonic(),))
    runner.start()
    deadline = time.monotonic() + 5
    while not driver.journal.faults[0].confirmed and time.monotonic() < deadline:
        time.sleep(0.02)
    assert driver.leftovers() != []
    driver.abort()
    runner.join(5)
    assert not runner.is_alive()
    assert driver.leftovers() == []


def test_faults_on_several_nodes_overlap(healthy: EmbeddedCluster, guard: Guard) -> None:
    """Each has its own times; one fault follows another on the same node without a gap."""
    driver = driver_of(
        healthy,
        guard,
        DOWN,
        "{id: b, at: 0.2s, duration: 1.2s, kind: timeout, target: {nodes: [node2]}}",
        "{id: c, after: a, duration: 1s, kind: hang, target: {nodes: [node1]}}",
        "{id: d, at: 0.3s, duration: 1s, kind: latency, latency: 50ms, target: {nodes: [node3]}}",
    )
    driver.run_testing(time.monotonic())
    assert [(r.id, r.why_not) for r in driver.journal.faults if not r.confirmed] == []
    assert all(record.healed_at_s is not None for record in driver.journal.faults)


def test_what_an_earlier_run_left_is_cleaned(healthy: EmbeddedCluster, guard: Guard) -> None:
    """Our toxics, closed proxies, halted and dead nodes; the toxics of others stay."""
    assert healthy.toxiproxy_url is not None
    api = Toxiproxy(healthy.toxiproxy_url)
    api.set_enabled("memquake-node1", False)
    api.add_toxic("memquake-node2", "memquake-old", "timeout", {"timeout": 0}, "downstream")
    api.add_toxic("memquake-node2", "theirs", "latency", {"latency": 1}, "downstream")
    healthy.kill_node("node3")
    healthy.pause_node("node1")
    driver = driver_of(healthy, guard, DOWN)
    assert len(driver.leftovers()) == 4
    assert driver.heal_all("before the start") == []
    assert driver.leftovers() == []
    assert [toxic.name for toxic in api.proxy("memquake-node2").known_toxics] == ["theirs"]
    api.remove_toxic("memquake-node2", "theirs")
    api.close()


def test_the_heal_of_the_guard_spoils_the_record(
    healthy: EmbeddedCluster, guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A guard that acted first is named in the record, and in its events."""
    monkeypatch.setattr("faults.driver.UNDO_SLACK_S", -0.9)
    driver = driver_of(healthy, guard, DOWN)
    driver.run_testing(time.monotonic())
    assert "the guard healed node1 first" in driver.journal.faults[0].why_not
    assert [event["id"] for event in guard.events()] == ["a@node1"]
    assert driver.leftovers() == []


def test_a_toxiproxy_that_dies_is_told_and_nothing_hangs(
    memcached: Callable[..., Any], toxiproxy: Any, guard: Guard
) -> None:
    """The fault is not confirmed, healing says what it could not do, all within seconds."""
    servers = [memcached() for _ in NODES]
    given = ExternalCluster(
        [server.address for server in servers], toxiproxy_url=toxiproxy.url, with_proxies=True
    )
    with given as cluster:
        driver = FaultDriver(
            plan_of(DOWN), build_backends(cluster), Journal(epoch=time.monotonic()), guard
        )
        toxiproxy.stop()
        began = time.monotonic()
        driver.run_testing(began)
        assert time.monotonic() - began < 10
        assert not driver.journal.faults[0].confirmed
        assert driver.heal_all("end") != []
        assert driver.leftovers() != []
    guard.done("a@node1")
    guard.events()


def test_a_crash_needs_nodes_of_our_own(memcached: Callable[..., Any], guard: Guard) -> None:
    """Given nodes are never killed."""
    servers = [memcached() for _ in NODES]
    with (
        ExternalCluster([server.address for server in servers]) as cluster,
        pytest.raises(ScenarioError, match="needs nodes that memquake started"),
    ):
        FaultDriver(
            plan_of(LONG.replace("KIND", "crash")), build_backends(cluster), Journal(), guard
        )
