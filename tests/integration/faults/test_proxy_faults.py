"""Each kind of Toxiproxy on real servers: done, read back, felt, undone by the guard and by us.

The effects are lower bounds (late by so much, cut after so many bytes), so a slow machine only
makes them clearer; nothing here says how fast anything is.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cluster.embedded import EmbeddedCluster
from cluster.node import Node
from cluster.probe import version
from cluster.toxiproxy import Toxiproxy
from faults.backends.toxiproxy import ToxiproxyBackend
from faults.errors import FaultError
from faults.guard_child import Guardian
from faults.kinds import KINDS
from faults.planned import PlannedFault

PATIENCE_S = 5.0  # for an answer that is to come
SILENT_S = 0.2  # for one that is not
BIG = 900_000  # many of Toxiproxy's pieces of 32 KB


@pytest.fixture(scope="module")
def cluster() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(2) as cluster:
        yield cluster


@pytest.fixture
def api(cluster: EmbeddedCluster) -> Iterator[Toxiproxy]:
    assert cluster.toxiproxy_url is not None
    api = Toxiproxy(cluster.toxiproxy_url)
    yield api
    api.close()


@pytest.fixture
def backend(cluster: EmbeddedCluster, api: Toxiproxy) -> Iterator[ToxiproxyBackend]:
    backend = ToxiproxyBackend(api, cluster.nodes)
    yield backend
    backend.clean()
    assert backend.leftovers() == []


@pytest.fixture
def node(cluster: EmbeddedCluster) -> Node:
    return cluster.nodes[0]


def fault_of(kind: str, name: str = "x", **attributes: Any) -> PlannedFault:
    return PlannedFault(
        id=name,
        kind=kind,
        effects=KINDS[kind].effects,
        nodes=("node1",),
        at_s=0,
        duration_s=30,
        attributes=attributes,
    )


class Line:
    """A connection of a client through the proxy."""

    def __init__(self, node: Node) -> None:
        self.sock = socket.create_connection(node.address, timeout=PATIENCE_S)

    def ask(self, text: bytes = b"version\r\n") -> None:
        self.sock.sendall(text)

    def hear(self, within_s: float = PATIENCE_S) -> bytes | None:
        """Give what comes, b"" for the end, None for nothing in time."""
        self.sock.settimeout(within_s)
        try:
            return self.sock.recv(65536)
        except TimeoutError:
            return None

    def answers(self) -> bool:
        try:
            self.ask()
            return (self.hear() or b"").startswith(b"VERSION ")
        except OSError:
            return False


@pytest.fixture
def line(node: Node) -> Iterator[Callable[[], Line]]:
    opened: list[Line] = []

    def make() -> Line:
        opened.append(Line(node))
        return opened[-1]

    yield make
    for one in opened:
        one.sock.close()


FAULTS = [
    pytest.param(fault_of("timeout"), id="timeout"),
    pytest.param(fault_of("timeout", direction="both"), id="timeout both ways"),
    pytest.param(fault_of("latency", latency_s=0.1, jitter_s=0.02), id="latency"),
    pytest.param(fault_of("latency", latency_s=0.1, direction="both"), id="latency both ways"),
    pytest.param(fault_of("bandwidth", bytes_per_second=100_000.0), id="bandwidth"),
    pytest.param(
        fault_of("bandwidth", bytes_per_second=100_000.0, direction="upstream"),
        id="bandwidth of requests",
    ),
    pytest.param(fault_of("slow_close", delay_s=0.2), id="slow_close"),
    pytest.param(
        fault_of("slow_close", delay_s=0.2, direction="both"), id="slow_close of either side"
    ),
    pytest.param(fault_of("reset_peer"), id="reset_peer"),
    pytest.param(
        fault_of("reset_peer", delay_s=0.2, direction="upstream"), id="reset_peer by a request"
    ),
    pytest.param(fault_of("limit_data", bytes=10.0), id="limit_data"),
    pytest.param(
        fault_of("limit_data", bytes=10.0, direction="upstream"), id="limit_data of requests"
    ),
    pytest.param(
        fault_of("slicer", average_size=10.0, size_variation=3.0, delay_s=0.01), id="slicer"
    ),
    pytest.param(fault_of("stall", stall_share=0.2), id="stall"),
    pytest.param(fault_of("stall", stall_share=1.0), id="stall of all"),
]


@pytest.mark.parametrize("fault", FAULTS)
def test_each_kind_is_done_seen_and_undone(backend: ToxiproxyBackend, fault: PlannedFault) -> None:
    """By the guard first, whose undo is told everything before the injection; then by ourselves."""
    (undo,) = backend.undos(fault).values()
    backend.inject(fault)
    assert "node1" in backend.read_back(fault)
    assert "node1" in backend.observe(fault)
    with pytest.raises(FaultError, match="still there"):
        backend.read_back_healed(fault)
    guardian = Guardian()
    guardian.undo_one("x@node1", dict(undo))
    guardian.undo_one("x@node1", dict(undo))
    assert backend.read_back_healed(fault) == "gone from node1"
    with pytest.raises(FaultError, match="reads back as"):
        backend.read_back(fault)
    backend.heal(fault)
    backend.inject(fault)
    backend.heal(fault)
    backend.heal(fault)
    assert backend.read_back_healed(fault) == "gone from node1"
    assert "answers" in backend.observe_healed(fault)
    assert backend.leftovers() == []


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(fault_of("latency", latency_s=0.5), id="latency"),
        pytest.param(fault_of("latency", latency_s=30.0), id="latency beyond a look"),
        pytest.param(fault_of("bandwidth", bytes_per_second=10_000.0), id="bandwidth"),
        pytest.param(fault_of("slow_close", delay_s=0.1), id="slow_close"),
        pytest.param(fault_of("reset_peer"), id="reset_peer"),
        pytest.param(fault_of("limit_data", bytes=10.0), id="limit_data"),
        pytest.param(fault_of("slicer", average_size=10.0, delay_s=0.01), id="slicer"),
        pytest.param(fault_of("timeout"), id="timeout"),
    ],
)
def test_an_effect_that_is_not_there_is_not_seen(
    backend: ToxiproxyBackend, fault: PlannedFault
) -> None:
    """A look at a healthy node says what it saw instead; a machine may stall for one look."""
    seen = ""
    for _ in range(3):
        try:
            seen = backend.observe(fault)
        except FaultError as why:
            seen = str(why)
            break
    assert seen.startswith("node1 was to ")


def test_a_fault_shorter_than_its_effect_is_seen_before_its_end(
    backend: ToxiproxyBackend,
) -> None:
    """200 ms of latency for 100 ms: nothing comes for a while, and that is seen before the heal."""
    fault = PlannedFault(
        id="x",
        kind="latency",
        effects=frozenset(),
        nodes=("node1",),
        at_s=0,
        duration_s=0.1,
        attributes={"latency_s": 30.0},
    )
    backend.inject(fault)
    seen = backend.observe(fault)
    assert seen.startswith("node1 did not answer `version` within ")
    backend.heal(fault)


def test_healing_a_timeout_keeps_every_connection(
    backend: ToxiproxyBackend, line: Callable[[], Line]
) -> None:
    """Idle ones live on, and what was held comes late, as it does after a cut."""
    idle = [line() for _ in range(10)]
    assert all(one.answers() for one in idle)
    waiting = line()
    fault = fault_of("timeout")
    backend.inject(fault)
    waiting.ask()
    assert waiting.hear(SILENT_S) is None
    backend.heal(fault)
    assert (waiting.hear() or b"").startswith(b"VERSION ")
    assert all(one.answers() for one in [*idle, waiting])


def test_requests_dropped_by_a_timeout_are_never_carried_out(
    backend: ToxiproxyBackend, node: Node, line: Callable[[], Line]
) -> None:
    """A write that nobody believes in any more must not land after the heal."""
    fault = fault_of("timeout", direction="upstream")
    backend.inject(fault)
    writer = line()
    writer.ask(b"set lost 0 0 1\r\nx\r\n")
    assert writer.hear(SILENT_S) is None
    backend.heal(fault)
    assert writer.hear() == b""
    with socket.create_connection(node.direct, timeout=PATIENCE_S) as direct:
        direct.sendall(b"get lost\r\n")
        assert direct.recv(100) == b"END\r\n"


def test_clients_that_left_in_mid_reply_do_not_make_healing_hang(
    backend: ToxiproxyBackend, node: Node, line: Callable[[], Line]
) -> None:
    """Deleting the toxic would wait 5 s a piece, or for ever, and every question with it."""
    with socket.create_connection(node.direct, timeout=PATIENCE_S) as direct:
        direct.sendall(b"set big 0 0 %d\r\n%s\r\n" % (BIG, b"x" * BIG))
        assert direct.recv(100) == b"STORED\r\n"
    kept = line()
    assert kept.answers()
    fault = fault_of("latency", latency_s=1.0)
    backend.inject(fault)
    for _ in range(5):
        gone = line()
        gone.ask(b"get big\r\n")
        time.sleep(0.02)
        gone.sock.close()
    time.sleep(0.2)
    began = time.monotonic()
    backend.heal(fault)
    assert time.monotonic() - began < 4
    assert kept.answers()


def test_faults_on_one_proxy_are_apart(
    backend: ToxiproxyBackend, api: Toxiproxy, node: Node
) -> None:
    """One is healed, the others stay, those of strangers too."""
    assert node.proxy is not None
    api.add_toxic(node.proxy, "theirs", "latency", {"latency": 1, "jitter": 0}, "downstream")
    slow = fault_of("latency", "slow", latency_s=0.1, direction="both")
    narrow = fault_of("bandwidth", "narrow", bytes_per_second=100_000.0, direction="both")
    stall = fault_of("stall", "stall", stall_share=0.2)
    for fault in (slow, narrow, stall):
        backend.inject(fault)
    assert len(api.proxy(node.proxy).known_toxics) == 6
    backend.heal(slow)
    assert backend.read_back(narrow)
    assert backend.read_back(stall)
    assert backend.observe(narrow)
    cleaned = backend.clean()
    assert len(cleaned) == 3
    assert [toxic.name for toxic in api.proxy(node.proxy).known_toxics] == ["theirs"]
    api.remove_toxic(node.proxy, "theirs")


def test_a_stall_that_somebody_else_ended_is_drawn_no_more(
    backend: ToxiproxyBackend, api: Toxiproxy, node: Node, bounded: Callable[..., Any]
) -> None:
    """The guard knows only the toxic; the drawing notices by itself that it is gone."""
    assert node.proxy is not None
    fault = fault_of("stall", stall_share=0.1)
    backend.inject(fault)
    assert len(backend.leftovers()) == 2
    api.remove_toxic(node.proxy, "memquake-x")
    bounded(lambda: backend.leftovers() == [], what="the drawing ended")


def test_a_toxiproxy_that_is_gone_is_one_line(cluster: EmbeddedCluster) -> None:
    """Every step says so; none raises anything but FaultError."""
    nobody = ToxiproxyBackend(Toxiproxy("http://127.0.0.1:9"), cluster.nodes)
    for fault in (fault_of("stall", stall_share=0.5), fault_of("timeout"), fault_of("down")):
        for step in (nobody.inject, nobody.read_back, nobody.heal, nobody.read_back_healed):
            with pytest.raises(FaultError, match="no Toxiproxy answers"):
                step(fault)
    with pytest.raises(FaultError, match="no Toxiproxy answers"):
        nobody.undos(fault_of("latency", latency_s=1.0))


def test_the_nodes_are_healthy_after_all_that(cluster: EmbeddedCluster) -> None:
    """Both answer through their proxies."""
    for node in cluster.nodes:
        assert version(node.address, PATIENCE_S)
