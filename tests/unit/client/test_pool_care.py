"""Background care, round by round: what it closes, asks, opens, and whom it leaves alone."""

from __future__ import annotations

import random
from collections.abc import Collection
from typing import Any

import pytest

from client.breaker import Breaker
from client.breaker_settings import BreakerSettings
from client.errors import (
    BreakerOpen,
    ConnectRefused,
    MemcacheClientError,
    OperationTimeout,
    ProtocolError,
)
from client.pool import Pool
from client.tending import ask_alive, is_due, tend
from client.warming import drain_all, warm_up, warm_up_all

IDLE_S = 30.0
LIFETIME_S = 60.0
HERE, ELSEWHERE = ("inet", "10.0.0.1"), ("inet", "10.0.0.2")


class FakeConnection:
    def __init__(self) -> None:
        self.armed = False
        self.idle_since = 0.0
        self.expires_at = 0.0
        self.is_stale = False
        self.is_closed = False
        self.address = HERE
        self.asked = 0
        self.replies: list[bytes | MemcacheClientError] = []

    def begin(self, deadline: float) -> None:
        self.armed = True

    def disarm(self) -> None:
        self.armed = False

    def write(self, data: bytes, deadline: float) -> None:
        self.asked += 1

    def read_before(self, deadline: float) -> bytes:
        reply = self.replies.pop(0) if self.replies else b"VERSION 1.6.18\r\n"
        if isinstance(reply, MemcacheClientError):
            raise reply
        return reply

    def close(self) -> None:
        assert not self.is_closed
        self.is_closed = True


class FakeNode:
    """A real pool and breaker over fake connections, and a clock to turn."""

    def __init__(self, *, label: str = "a:1", size: int = 10, minimum: int = 0) -> None:
        self.label = label
        self.now = 0.0
        self.made: list[FakeConnection] = []
        self.fails: MemcacheClientError | None = None
        self.addresses: Collection[object] = (HERE,)
        self.settled: list[BaseException] = []
        self.breaker = Breaker(
            BreakerSettings(consecutive_failures=2), clock=self.clock, rng=random.Random(1)
        )
        self.pool = Pool(
            self.connect,
            size=size,
            minimum=minimum,
            lifetime_s=LIFETIME_S,
            lifetime_jitter=0.0,
            idle_s=IDLE_S,
            clock=self.clock,
        )

    def clock(self) -> float:
        return self.now

    def connect(self, _: float) -> FakeConnection:
        if self.fails is not None:
            raise self.fails
        self.made.append(FakeConnection())
        return self.made[-1]

    def settle(self, error: BaseException, permit: int, connection: Any) -> None:
        self.settled.append(error)
        if permit and self.breaker.done(permit, 2 if getattr(error, "blames_node", 0) else 3):
            self.pool.evict("breaker_open", BreakerOpen)
        if connection is not None:
            self.pool.discard(connection, "timeout")

    def current_addresses(self) -> Collection[object]:
        return self.addresses

    def hold(self, count: int) -> list[FakeConnection]:
        """Make `count` connections idle as of now, the last one on top."""
        taken = [self.pool.acquire(self.now, self.now + 1) for _ in range(count)]
        for connection in taken:
            self.pool.release(connection, self.now)
        return taken

    def round(self, *, check_s: float | None = None, since: float = 0.0) -> None:
        tend(self, since, check_s=check_s, timeout_s=0.5)

    @property
    def counts(self) -> tuple[int, int]:
        said = self.pool.snapshot()
        assert said["idle"] + said["in_use"] == said["total"]
        return said["idle"], said["in_use"]


REASONS: dict[str, Any] = {
    "idle": lambda c: setattr(c, "idle_since", -IDLE_S),
    "lifetime": lambda c: setattr(c, "expires_at", 0.0),
    "stale": lambda c: setattr(c, "is_stale", True),
    "moved": lambda c: setattr(c, "address", ELSEWHERE),
}


@pytest.mark.parametrize("reason", REASONS)
def test_a_round_closes_what_no_caller_should_get(reason: str) -> None:
    """Wherever in the pool it lies, and only that one; the reason is counted."""
    node = FakeNode()
    connections = node.hold(3)
    REASONS[reason](connections[1])
    node.round()
    assert [c.is_closed for c in connections] == [False, True, False]
    assert node.pool.snapshot()["closed"] == {reason: 1}
    assert node.counts == (2, 0)
    assert list(node.pool.idle) == [connections[0], connections[2]], "the order is kept"


def test_unknown_addresses_are_no_reason_to_close() -> None:
    """A name server that does not answer says nothing about connections that exist."""
    node = FakeNode()
    (connection,) = node.hold(1)
    node.addresses = ()
    node.round()
    assert not connection.is_closed


def test_a_connection_in_use_is_left_alone() -> None:
    """Care looks at what is idle; what a caller has is looked at when it comes back."""
    node = FakeNode()
    connection = node.pool.acquire(node.now, node.now + 1)
    connection.is_stale = True
    node.round(check_s=0.1)
    assert not connection.is_closed
    assert connection.asked == 0


def test_the_minimum_is_refilled_at_once() -> None:
    """What a round closed below the minimum it opens anew, and no more than that."""
    node = FakeNode(minimum=2)
    node.round()
    assert node.counts == (2, 0)
    node.now = LIFETIME_S
    node.round()
    assert node.counts == (2, 0)
    assert node.pool.snapshot()["closed"] == {"lifetime": 2}
    node.hold(4)
    node.round()
    assert node.counts == (4, 0), "above the minimum nothing is opened, and nothing closed"


def test_a_retired_pool_is_not_refilled() -> None:
    """A node that was taken out gets no new connections."""
    node = FakeNode(minimum=2)
    node.pool.retire()
    node.round()
    assert node.made == []
    node.pool.close()
    node.round()
    assert node.made == []
    assert node.settled == [], "that the pool is closed is no failure"


def test_background_failures_open_the_breaker_and_then_stop() -> None:
    """One failed connect a round counts like a call's; an open breaker is left to its probes."""
    node = FakeNode(minimum=2)
    node.fails = ConnectRefused()
    node.round()
    assert (len(node.settled), node.breaker.status) == (1, "closed")
    node.round()
    assert (len(node.settled), node.breaker.status) == (2, "open")
    node.now = 100.0
    node.round(check_s=0.1)
    assert len(node.settled) == 2
    assert node.breaker.status == "open", "care takes no probe's place"


def test_successful_care_does_not_whitewash_a_node() -> None:
    """Callers' failures in a row stay in a row, however many health checks succeed between."""
    node = FakeNode(minimum=3)
    node.round()
    node.breaker.done(node.breaker.acquire(), 2)
    node.now = 5.0
    node.round(check_s=1.0)
    assert sum(c.asked for c in node.made) == 3
    node.breaker.done(node.breaker.acquire(), 2)
    assert node.breaker.status == "open"


def test_a_health_check_leaves_a_connection_as_idle_as_it_was() -> None:
    """It comes back to its place, unarmed, and still grows old from when a caller used it."""
    node = FakeNode()
    connections = node.hold(2)
    node.now = 10.0
    node.round(check_s=4.0)
    assert [c.asked for c in connections] == [1, 1]
    assert [c.idle_since for c in connections] == [0.0, 0.0]
    assert not any(c.armed for c in connections)
    assert node.counts == (2, 0)


BAD_REPLIES: dict[str, bytes | MemcacheClientError] = {
    "silence": OperationTimeout(),
    "something else": b"ERROR\r\n",
    "more than was asked for": b"VERSION 1.6\r\nEND\r\n",
    "a line without end": b"VERSION " + b"x" * 600,
}


@pytest.mark.parametrize("reply", BAD_REPLIES.values(), ids=BAD_REPLIES.keys())
def test_a_failed_health_check_closes_the_connection(reply: bytes | MemcacheClientError) -> None:
    """It is settled as the node's failure and ends the round's asking: once is told once."""
    node = FakeNode()
    connections = node.hold(2)
    connections[0].replies = [reply]
    node.now = 5.0
    node.round(check_s=4.0)
    assert connections[0].is_closed
    assert connections[1].asked == 0
    assert node.counts == (1, 0)
    assert [type(error) for error in node.settled] in ([OperationTimeout], [ProtocolError])
    assert node.breaker.streak == 1


def test_a_check_that_is_cut_off_leaves_nothing_claimed() -> None:
    """A kill of the worker in mid-check closes the connection and goes on untouched."""

    class Cut(BaseException):
        pass

    node = FakeNode()
    (connection,) = node.hold(1)

    def cut(_: float) -> bytes:
        raise Cut

    connection.read_before = cut  # type: ignore[method-assign]
    node.now = 5.0
    with pytest.raises(Cut):
        node.round(check_s=1.0)
    assert connection.is_closed
    assert node.counts == (0, 0)


DUE = {
    "not idle for long enough": (0.0, 0.0, 3.9, False),
    "just long enough": (0.0, 0.0, 4.0, True),
    "asked in the round before": (0.0, 4.1, 5.1, False),
    "the second time": (0.0, 7.1, 8.1, True),
    "used since the last round": (7.5, 7.1, 8.1, False),
    "rounds further apart than checks": (0.0, 1.0, 30.0, True),
}


@pytest.mark.parametrize(("idle_since", "since", "now", "due"), DUE.values(), ids=DUE.keys())
def test_each_idle_connection_is_asked_every_four_seconds(
    idle_since: float, since: float, now: float, due: bool
) -> None:
    """Once per period of idleness, with nothing noted on the connection."""
    assert is_due(idle_since, since, now, 4.0) is due


def test_ask_alive_takes_one_whole_reply_in_any_pieces() -> None:
    """Bytes arrive as they like; the reply is the line."""
    connection = FakeConnection()
    connection.replies = [b"VER", b"SION 1.6.18", b"\r", b"\n"]
    ask_alive(connection, 1.0)
    assert connection.replies == []


def test_warm_up_opens_what_is_missing() -> None:
    """Up to the number asked for, counting what is open; never above the pool's size."""
    node = FakeNode(size=4)
    node.hold(1)
    assert warm_up(node, 3, 5.0).opened == 2
    assert warm_up(node, 3, 5.0).opened == 0
    assert warm_up(node, 9, 5.0).opened == 1
    assert node.counts == (4, 0)


def test_warm_up_reports_each_node_and_raises_nothing() -> None:
    """A node that refuses does not keep the others cold."""
    good, bad, out = (FakeNode(label=label, minimum=2) for label in ("a:1", "b:1", "c:1"))
    bad.fails = ConnectRefused()
    out.breaker.open()
    said = warm_up_all([good, bad, out], None, 5.0)
    assert (said["a:1"].opened, said["a:1"].error) == (2, None)
    assert isinstance(said["b:1"].error, ConnectRefused)
    assert isinstance(said["c:1"].error, BreakerOpen)
    assert out.made == []


def test_warm_up_gives_a_half_open_breaker_its_places_back() -> None:
    """Every connect takes a probe's place and returns it: the next caller may still probe."""
    node = FakeNode()
    node.breaker.half_open()
    assert warm_up(node, 3, 5.0).opened == 3
    node.breaker.acquire()


def test_drain_closes_all_and_tells_what_is_left() -> None:
    """With no time to give, what is in use is told and closes when it comes back."""
    busy, quiet = FakeNode(label="a:1"), FakeNode(label="b:1")
    quiet.hold(2)
    held = busy.pool.acquire(0.0, 1.0)
    assert drain_all([busy, quiet], 0.0) == {"a:1": 1, "b:1": 0}
    assert all(c.is_closed for c in quiet.made)
    assert not held.is_closed
    busy.pool.release(held, 0.0)
    assert held.is_closed
    assert busy.counts == (0, 0)


class Watched(FakeConnection):
    """Notes in which list it is whenever somebody looks whether it is stale."""

    node: FakeNode
    looks = 0

    @property
    def is_stale(self) -> bool:  # type: ignore[override]
        self.looks += 1
        assert self not in self.node.pool.idle, "a caller could take it this very moment"
        return False

    @is_stale.setter
    def is_stale(self, _: bool) -> None:
        pass


def test_only_what_nobody_else_can_have_is_looked_at() -> None:
    """Two threads must not poll one connection; the order of the idle ones stays as it was."""
    node = FakeNode()
    connections = [Watched() for _ in range(4)]
    for connection in connections:
        connection.node = node
    fresh = iter(connections)
    node.pool._connect = lambda _: next(fresh)
    node.hold(4)
    before = list(node.pool.idle)
    node.round()
    assert [one.looks for one in connections] == [1, 1, 1, 1]
    assert list(node.pool.idle) == before
    node.now = 2.0  # past the sweep that a release does
    node.pool.release(node.pool.acquire(node.now, node.now + 1), node.now)
    assert connections[0].looks == 2
    assert list(node.pool.idle) == before
    assert node.pool.counts()["in_care"] == 0
