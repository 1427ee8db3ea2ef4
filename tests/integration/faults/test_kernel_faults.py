"""Kernel faults on real servers: by the packet filter where this machine has one, and by stand-in.

Each test asserts what the machine it runs on can do, as the program itself finds out.
"""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cluster.embedded import EmbeddedCluster
from cluster.node import Address, Node
from cluster.probe import version
from cluster.toxiproxy import Toxiproxy
from faults.backends.base import Backend
from faults.backends.kernel import KernelBackend
from faults.backends.kernel_filter import PacketFilter
from faults.backends.kernel_rules import script
from faults.backends.nft import Nft, delete_orphans, find_nft, owner_name
from faults.backends.registry import build_backends
from faults.driver import FaultDriver
from faults.errors import FaultError, ScenarioError
from faults.guard import Guard
from faults.journal import FaultRecord, Journal
from faults.plan import Plan, make_plan
from faults.planned import PlannedFault
from faults.scenario import scenario_from_text
from memquake.paths import CHECKOUT

Bounded = Callable[..., Any]
NODES = ("node1", "node2", "node3")
LENGTH_S = 1.6  # a silence of 0.5 s has to be heard in it, on a busy machine too


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


def plan_of(*kinds: str, length_s: float = LENGTH_S) -> Plan:
    """One fault a node, all at once."""
    text = "name: x\nfaults:\n" + "".join(
        f"  - {{id: f-{number}, at: 0s, duration: {length_s}s, "
        f"target: {{nodes: [node{number}]}}, kind: {kind}}}\n"
        for number, kind in enumerate(kinds, 1)
    )
    scenario = scenario_from_text(text)
    return make_plan(scenario, seed=1, nodes=NODES, time_scale=1, recovers_within_s=10)


def backends_of(cluster: EmbeddedCluster, *, nft: bool) -> dict[str, Backend]:
    backends = build_backends(cluster)
    if not nft:
        assert cluster.toxiproxy_url is not None
        api = Toxiproxy(cluster.toxiproxy_url)
        backends["kernel"] = KernelBackend(cluster.nodes, None, backends["toxiproxy"], api)
    return backends


def why_no_filter(kind: str = "reset") -> str:
    """Give why this machine's packet filter cannot be used, "" where it can."""
    program = find_nft()
    node = Node(name="node1", address=("127.0.0.1", 1), direct=("127.0.0.1", 1))
    return PacketFilter([node], Nft(program) if program else None).needs(plan_of(kind).faults[0])


def run(driver: FaultDriver, guard: Guard) -> list[FaultRecord]:
    driver.run_testing(time.monotonic())
    assert driver.leftovers() == []
    assert guard.events() == []
    for record in driver.journal.faults:
        assert record.why_not == "", record.evidence
        assert record.confirmed_at_s is not None
        assert record.healed_at_s is not None
        assert len(record.evidence) == 4
    return driver.journal.faults


@pytest.mark.parametrize(
    "kinds",
    [
        pytest.param(
            ("loss, percent: 100", "partition, direction: from", "loss, percent: 20"),
            id="loss and partition",
        ),
        pytest.param(
            ("partition, direction: to", "reset", "no_connect, open_connections: reset"),
            id="partition, reset and no connect",
        ),
    ],
)
@pytest.mark.parametrize("nft", [True, False], ids=["this machine", "without nft"])
def test_each_kind_is_proved_both_ways(
    cluster: EmbeddedCluster, guard: Guard, kinds: tuple[str, ...], nft: bool
) -> None:
    """Confirmed, healed, nothing left, guard at rest; the record names what was really done.

    Without a packet filter every one of these has a stand-in, which carries its name.
    """
    # A stall is drawn five times a second; more time to be seen than a rule needs.
    length_s = LENGTH_S if nft else 2 * LENGTH_S
    driver = FaultDriver(
        plan_of(*kinds, length_s=length_s),
        backends_of(cluster, nft=nft),
        Journal(epoch=time.monotonic()),
        guard,
    )
    records = run(driver, guard)
    real = nft and not why_no_filter("loss, percent: 5")
    for record in records:
        assert record.emulated_by.startswith("nftables: " if real else "Toxiproxy: ")
        assert ("no packet filter: " in record.emulated_by) is not real
        assert record.backend == ("kernel" if real else "toxiproxy")
        assert ("nftables rules read back" in record.evidence[0]) is real
        assert (record.id in driver.stand_ins()) is not real
    for node in cluster.nodes:
        version(node.address, 2)


def test_what_nothing_stands_in_for_is_done_or_refused(
    cluster: EmbeddedCluster, guard: Guard
) -> None:
    """Doubled packets and connects that hang while others live on: really, or not at all."""
    kinds = ("duplicate, percent: 50", "no_connect", "no_connect")
    if why_no_filter("duplicate, percent: 50"):
        with pytest.raises(ScenarioError, match="run as root with nft"):
            FaultDriver(plan_of(*kinds), backends_of(cluster, nft=True), guard=guard)
        return
    driver = FaultDriver(
        plan_of(*kinds), backends_of(cluster, nft=True), Journal(epoch=time.monotonic()), guard
    )
    doubled, kept, _ = run(driver, guard)
    assert re.search(r"node1: [1-9]\d* of \d+ packets to it", doubled.evidence[1])
    assert "a connection that was open before is answered" in kept.evidence[1]


@pytest.mark.parametrize("kind", ["duplicate, percent: 5", "no_connect", "partition"])
def test_neither_filter_nor_proxy_is_one_line(kind: str) -> None:
    """The fault is refused before anything starts: why, and the way out."""
    node = Node(name="node1", address=("127.0.0.1", 1), direct=("127.0.0.1", 1))
    with pytest.raises(ScenarioError) as caught:
        FaultDriver(plan_of(kind), {"kernel": KernelBackend([node], None)})
    assert "cannot be injected: nft is not installed: run as root with nft" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_program_that_hangs_or_fails_is_one_line(tmp_path: Any) -> None:
    """Nft has a deadline, and only its problem is told."""
    script = tmp_path / "nft"
    script.write_text("#!/bin/sh\necho '/dev/stdin:1:1-2: Error: No such thing' >&2\nexit 1\n")
    script.chmod(0o755)
    with pytest.raises(FaultError, match=r"^nft refuses: No such thing$"):
        Nft(str(script)).load("x")
    with pytest.raises(FaultError, match="cannot be run"):
        Nft(str(tmp_path / "none")).load("x")
    script.write_text("#!/bin/sh\nexec sleep 5\n")
    began = time.monotonic()
    with pytest.raises(FaultError, match="did not end within"):
        Nft(str(script), deadline_s=0.2).tables()
    assert time.monotonic() - began < 4


class Alone:
    """One kernel fault on a port of ours, by the packet filter alone."""

    def __init__(self, address: Address, kind: str, length_s: float = 60) -> None:
        program = find_nft()
        node = Node(name="node1", address=address, direct=address)
        self.filter = PacketFilter([node], Nft(program) if program else None)
        self.fault: PlannedFault = plan_of(kind, length_s=length_s).faults[0]
        self.refusal = self.filter.needs(self.fault)

    def __enter__(self) -> Alone:
        if not self.refusal:
            self.filter.inject(self.fault)
        return self

    def __exit__(self, *_: object) -> None:
        if not self.refusal:
            self.filter.heal(self.fault)

    def counts(self) -> list[tuple[int, int]]:
        """Heal, and give what was hit of what was seen, by side."""
        self.filter.heal(self.fault)
        told = self.filter.read_back_healed(self.fault)
        return [(int(hit), int(of)) for hit, of in re.findall(r"(\d+) of (\d+) packets", told)]


def knock(address: Address, times: int = 1) -> None:
    """Send so many requests to connect, and wait for none."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    for _ in range(times):
        with socket.socket(family) as sock:
            sock.setblocking(False)
            sock.connect_ex(address)


def test_ten_percent_are_ten_percent(free_port: Callable[[], int]) -> None:
    """The share of lost packets is the one asked for; the bounds are five standard deviations."""
    address = ("127.0.0.1", free_port())  # nobody listens: one packet to it each
    with Alone(address, "loss, percent: 10, direction: to") as alone:
        if alone.refusal:
            assert why_no_filter("loss, percent: 10")
            return
        knock(address, 3000)
        ((lost, seen),) = alone.counts()
    assert seen >= 3000
    assert abs(lost / seen - 0.1) < 5 * (0.1 * 0.9 / seen) ** 0.5


def test_only_the_named_port_is_hit(memcached: Callable[..., Any]) -> None:
    """Another port on the same address does not notice, nor is a table of others touched."""
    hit, spared = memcached(), memcached()
    with Alone(hit.address, "partition") as alone:
        if alone.refusal:
            assert why_no_filter("partition")
            return
        version(spared.address, 2)
        with pytest.raises(OSError, match="did not take a connection"):
            version(hit.address, 0.3)
    version(hit.address, 2)


def test_ipv6_is_hit_too() -> None:
    """A node at ::1 has rules of its own protocol."""
    address = ("::1", 1)
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind((address[0], 0))
    except OSError:
        refusal = Alone(address, "partition").refusal
        assert "is not on this machine" in refusal or refusal == why_no_filter("partition")
        return
    for kind in ("partition, direction: to", "duplicate, percent: 100"):
        with Alone(address, kind) as alone:
            if alone.refusal:
                assert why_no_filter(kind)
                return
            knock(address)
            hit, seen = alone.counts()[0]
        assert hit == seen >= 1


def test_rules_that_nobody_removes_expire(memcached: Callable[..., Any], bounded: Bounded) -> None:
    """With harness and guard both gone the node is back by itself; only an idle table stays."""
    if why_no_filter("partition"):
        return
    program = find_nft()
    assert program is not None
    nft = Nft(program)
    server = memcached()
    table = ("inet", f"{owner_name()}expiry")
    fault = plan_of("partition").faults[0]
    nft.load(script(fault, table, server.port, ["127.0.0.1"], 0.7))
    try:
        with pytest.raises(OSError, match="did not take a connection"):
            version(server.address, 0.2)

        def answers() -> bool:
            try:
                version(server.address, 0.5)
            except OSError:
                return False
            return True

        bounded(answers, within_s=10, what="the node's return")
        assert nft.table(table) is not None
    finally:
        nft.delete([table])
    nft.delete([table])  # again is fine


def test_the_next_run_removes_tables_of_the_dead_only() -> None:
    """A table of a process that is gone goes, and is named; one of a living process stays."""
    if why_no_filter():
        filter_without = PacketFilter([], None)
        assert (filter_without.clean(), filter_without.leftovers()) == ([], [])
        assert delete_orphans() == []
        return
    program = find_nft()
    assert program is not None
    nft = Nft(program)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        dead = ("inet", f"{owner_name(other.pid)}x")
        living = ("inet", f"{owner_name()}0_x")
        other.kill()
        other.wait(5)
    nft.load("".join(f"table {family} {name} {{ }}\n" for family, name in (dead, living)))
    try:
        fresh = PacketFilter([], nft)
        assert f"nftables table {dead[1]}" in fresh.leftovers()
        assert any(dead[1] in line for line in delete_orphans())
        assert nft.table(dead) is None
        nft.load(f"table {dead[0]} {dead[1]} {{ }}\n")
        assert f"removed nftables table {dead[1]}" in fresh.clean()
        assert fresh.leftovers() == []
        assert nft.table(living) is not None
    finally:
        nft.delete([dead, living])


HARNESS = """
import sys, threading, time
from tests.integration.faults.test_kernel_faults import NODES, backends_of, plan_of
from cluster.embedded import EmbeddedCluster
from faults.driver import FaultDriver
from faults.guard import Guard
from faults.journal import Journal
guard = Guard()
guard.start()
threading.Thread(target=guard.run_heartbeat, args=(threading.Event(),), daemon=True).start()
cluster = EmbeddedCluster(3, guard=guard)
cluster.start()
plan = plan_of(*sys.argv[2:], length_s=60)
backends = backends_of(cluster, nft=sys.argv[1] == "nft")
driver = FaultDriver(plan, backends, Journal(epoch=time.monotonic()), guard)
threading.Thread(target=driver.run_testing, args=(time.monotonic(),), daemon=True).start()
while not all(record.confirmed for record in driver.journal.faults):
    time.sleep(0.02)
print(*[node.address[1] for node in cluster.nodes], flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("nft", [True, False], ids=["this machine", "without nft"])
def test_a_killed_harness_leaves_no_rule_and_no_port(nft: bool, bounded: Bounded) -> None:
    """SIGKILL: within 3 s no table of it is there, and nobody holds a node's port."""
    kinds = ("partition", "reset", "no_connect, open_connections: reset")
    command = [sys.executable, "-c", HARNESS, "nft" if nft else "none", *kinds]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT) as harness:
        assert harness.stdout is not None
        try:
            ports = [int(word) for word in harness.stdout.readline().split()]
            own = owner_name(harness.pid)
        finally:
            harness.kill()
        began = time.monotonic()
        harness.wait(5)
    assert len(ports) == 3
    program = find_nft()

    def is_clean() -> bool:
        tables = Nft(program).tables() if program and not why_no_filter() else []
        if any(name.startswith(own) for _, name in tables):
            return False
        return all(is_refused(("127.0.0.1", port)) for port in ports)

    bounded(is_clean, within_s=3.0, what="no rule and no port left")
    assert time.monotonic() - began < 4


def is_refused(address: Address) -> bool:
    try:
        socket.create_connection(address, timeout=0.3).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        pass
    return False
