"""The pool's numbers and moments, as a transcript: what is said is what is."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client import ClientSettings
from client.errors import ClientClosed, ConnectRefused, PoolExhausted, TooManyConnections
from client.places import FULL_S
from client.pool import SWEEP_S, Pool
from client.pool_numbers import PoolNumbers


class FakeConnection:
    def __init__(self) -> None:
        self.armed = True
        self.idle_since = 0.0
        self.expires_at = 0.0
        self.is_stale = False
        self.is_closed = False

    def begin(self, deadline: float) -> None:
        self.armed = True

    def disarm(self) -> None:
        self.armed = False

    def close(self) -> None:
        self.is_closed = True


class Clocked:
    """A pool whose connects take `connect_s` of a clock that nothing else moves."""

    def __init__(self, *, connect_s: float = 0.0, **settings: Any) -> None:
        self.now = 0.0
        self.connect_s = connect_s
        self.fails: Exception | None = None
        numbers = {"size": 2, "lifetime_s": 100.0, "lifetime_jitter": 0.0, "idle_s": 30.0}
        self.pool = Pool(
            self.connect, clock=lambda: self.now, rng=random.Random(5), **{**numbers, **settings}
        )

    def connect(self, _: float) -> FakeConnection:
        self.now += self.connect_s
        if self.fails is not None:
            raise self.fails
        return FakeConnection()

    def take(self) -> FakeConnection:
        connection: FakeConnection = self.pool.acquire(self.now, self.now + 1.0)
        return connection


def test_a_life_in_numbers() -> None:
    """Open, reuse, discard, refuse, close: every step shows at once, by its reason."""
    it = Clocked(connect_s=0.0001)
    first, second = it.take(), it.take()
    assert repr(it.pool) == "<Pool 2 in use, 0 idle, 0 waiting>"
    it.pool.release(first, it.now)
    assert it.take() is first
    it.pool.release(first, it.now)
    it.pool.discard(second, "timeout")
    it.fails = ConnectRefused()
    assert it.take() is first
    with pytest.raises(ConnectRefused):
        it.take()
    it.pool.release(first, it.now)
    it.pool.close()
    assert repr(it.pool) == "<Pool closed, 0 in use, 0 idle, 0 waiting>"
    assert it.pool.snapshot() == {
        "idle": 0,
        "in_use": 0,
        "in_care": 0,
        "waiting": 0,
        "total": 0,
        "size": 2,
        "minimum": 0,
        "created": 2,
        "closed": {"timeout": 1, "client_closed": 1},
        "timed_out": 0,
        "acquire_wait_us": {128: 2},  # the two that opened one; who found one idle is not counted
    }


def test_a_full_pool_times_out_and_leaves_no_trace() -> None:
    """With no time to wait the caller gets PoolExhausted, is counted, and is gone."""
    it = Clocked(size=1)
    held = it.take()
    with pytest.raises(PoolExhausted):
        it.pool.acquire(it.now, it.now)
    said = it.pool.snapshot()
    assert (said["timed_out"], said["waiting"], said["in_use"]) == (1, 0, 1)
    it.pool.release(held, it.now)
    assert it.take() is held


@given(seconds=st.floats(0, 1e7))
def test_every_wait_falls_below_the_upper_end_of_its_bucket(seconds: float) -> None:
    """Buckets double; a wait is at least half its bucket's upper end, up to the last bucket."""
    numbers = PoolNumbers()
    numbers.waited(seconds)
    ((upper, count),) = numbers.snapshot()["acquire_wait_us"].items()
    us = int(seconds * 1e6)
    assert count == 1
    assert upper == 2**40 or us < upper
    assert upper == 1 or upper <= 2 * us or upper == 2**40


def test_lifetimes_are_spread() -> None:
    """With jitter no two connections opened together end together, and none lives too long."""
    it = Clocked(size=20, lifetime_jitter=0.5)
    ends = {it.take().expires_at for _ in range(20)}
    assert len(ends) == 20
    assert all(50.0 <= end <= 100.0 for end in ends)
    assert max(ends) - min(ends) > 20.0


def test_the_newest_is_used_and_the_oldest_dies_of_idleness() -> None:
    """LIFO: one caller at a time keeps one connection busy, and a release sweeps the others."""
    it = Clocked()
    first, second = it.take(), it.take()
    it.pool.release(first, it.now)
    it.pool.release(second, it.now)
    while it.now < 31.0:
        it.now += SWEEP_S
        assert it.take() is second
        it.pool.release(second, it.now)
    assert first.is_closed
    assert it.pool.snapshot()["closed"] == {"idle": 1}


def test_a_short_idle_time_is_kept_too() -> None:
    """The sweep comes often enough for it: the overrun is a tenth."""
    it = Clocked(idle_s=0.2)
    assert it.pool.sweep_at == pytest.approx(0.02)


def test_a_drained_pool_admits_nobody_and_closes_what_comes_back() -> None:
    """New callers are refused from the first moment on; what is in use is let be."""
    it = Clocked()
    held, idle = it.take(), it.take()
    it.pool.release(idle, it.now)
    assert it.pool.drain(0.0) == 1
    assert idle.is_closed
    for admit in (it.take, lambda: it.pool.open_one(1.0), lambda: it.pool.open_spare(2, 1.0)):
        with pytest.raises(ClientClosed):
            admit()
    assert it.pool.take_idle(it.now) is None
    it.pool.release(held, it.now)
    assert held.is_closed
    assert it.pool.drain(0.0) == 0


def test_connections_in_care_count_as_idle() -> None:
    """No caller has them; so in_use is 0 whenever all callers have ended."""
    it = Clocked()
    connection = it.take()
    it.pool.release(connection, it.now)
    assert it.pool.claim(connection)
    assert not it.pool.claim(connection)
    said = it.pool.snapshot()
    assert (said["idle"], said["in_care"], said["in_use"], said["total"]) == (1, 1, 0, 1)
    assert it.take() is not connection
    it.pool.unclaim(connection)
    assert it.take() is connection


def test_spares_stop_at_the_number_and_the_size() -> None:
    """A spare is opened only below the number wanted, counting what is in use."""
    it = Clocked(size=3)
    it.take()
    assert it.pool.open_spare(2, 1.0)
    assert not it.pool.open_spare(2, 1.0)
    assert it.pool.open_spare(9, 1.0)
    assert not it.pool.open_spare(9, 1.0)
    assert it.pool.snapshot()["idle"] == 2


WRONG = {
    "negative minimum": ({"pool_minimum": -1}, "pool_minimum must be a whole number"),
    "minimum above size": ({"pool_minimum": 9, "pool_size": 4}, r"0 to pool_size \(4\)"),
    "minimum not whole": ({"pool_minimum": 1.5}, "pool_minimum"),
    "no time between rounds": ({"maintenance_s": 0}, "maintenance_s must be a number of seconds"),
    "checks without pause": ({"idle_check_s": 0}, "idle_check_s must be a number of seconds"),
}


@pytest.mark.parametrize(("fields", "message"), WRONG.values(), ids=WRONG.keys())
def test_settings_are_refused_in_one_line(fields: dict[str, Any], message: str) -> None:
    """The line names the setting and what would be right."""
    with pytest.raises(ValueError, match=message) as caught:
        ClientSettings(**fields)
    assert "\n" not in str(caught.value)


def test_a_node_without_a_place_is_asked_for_twice_as_many_each_second() -> None:
    """Three served, the fourth refused: three until a second is over, then up to six, then all."""
    stage = Clocked(size=10)
    served = [stage.take() for _ in range(3)]
    stage.pool.give_up(stage.take())
    assert opened_at_once(stage) == 0
    stage.now += FULL_S
    assert opened_at_once(stage) == 3
    stage.now += FULL_S
    assert opened_at_once(stage) == 4
    for connection in served:
        stage.pool.release(connection, stage.now)
    assert stage.pool.snapshot()["closed"]["node_full"] == 1


def test_a_connect_that_the_node_has_no_place_for_counts_the_same() -> None:
    """The refusal may come with the question what the node speaks; a refused port is no limit."""
    for error, left in ((TooManyConnections(), 0), (ConnectRefused(), 9)):
        stage = Clocked(size=10)
        stage.take()
        stage.fails = error
        with pytest.raises(ConnectRefused):
            stage.take()
        stage.fails = None
        assert opened_at_once(stage) == left


def test_without_any_place_the_next_caller_still_tries() -> None:
    """A pool that holds nothing would otherwise wait for nobody."""
    stage = Clocked(size=10)
    stage.pool.give_up(stage.take())
    assert opened_at_once(stage) == 1


def opened_at_once(stage: Clocked) -> int:
    """Open as many as there is room for without waiting; return how many."""
    count = 0
    while stage.pool.open_one(stage.now + 1.0) is not None:
        count += 1
    return count
