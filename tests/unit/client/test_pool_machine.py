"""The pool's books under any order of events, with failures and kills at every step.

Callers are greenlets, so waiting is real, but nothing takes time: connections are fakes, the clock
stands still unless a rule moves it, and a kill is thrown in where the caller waits.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import gevent
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from client.errors import ConnectRefused, MemcacheClientError
from client.pool import Pool

IDLE_S = 5.0
LIFETIME_S = 12.0
FAR = 1e9


class Killed(BaseException):
    """What a caller's own timeout or a kill looks like to the pool."""


class FakeConnection:
    def __init__(self) -> None:
        self.armed = True
        self.idle_since = 0.0
        self.expires_at = 0.0
        self.is_closed = False
        self.is_dead = False
        self.holders = 0

    @property
    def is_stale(self) -> bool:
        return bool([1] if self.is_dead else [])

    def begin(self, deadline: float) -> None:
        self.armed = True

    def disarm(self) -> None:
        self.armed = False

    def close(self) -> None:
        assert not self.is_closed, "closed twice"
        self.is_closed = True


class Caller:
    """A greenlet that acquires, then holds its connection until told what to do with it."""

    def __init__(self, pool: Pool, now: float, order: list[Caller]) -> None:
        self.connection: FakeConnection | None = None
        self.error: BaseException | None = None
        self.greenlet = gevent.spawn(self._run, pool, now, order)

    def _run(self, pool: Pool, now: float, order: list[Caller]) -> None:
        try:
            connection = pool.acquire(now, FAR)
        except (MemcacheClientError, Killed) as error:
            self.error = error
            return
        assert not connection.is_closed
        assert connection.holders == 0, "two callers hold one connection"
        connection.holders += 1
        self.connection = connection
        order.append(self)


def settle() -> None:
    """Let every greenlet go as far as it can."""
    for _ in range(3):
        gevent.sleep(0)


class PoolMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.made: list[FakeConnection] = []
        self.callers: list[Caller] = []
        self.order: list[Caller] = []
        self.next_connect: BaseException | None = None

    @initialize(size=st.integers(1, 4))
    def begin(self, size: int) -> None:
        self.size = size
        self.pool = Pool(
            self.connect,
            size=size,
            lifetime_s=LIFETIME_S,
            lifetime_jitter=0.2,
            idle_s=IDLE_S,
            clock=lambda: self.now,
            rng=random.Random(3),
        )

    def connect(self, _: float) -> FakeConnection:
        if self.next_connect is not None:
            error, self.next_connect = self.next_connect, None
            raise error
        self.made.append(FakeConnection())
        return self.made[-1]

    @property
    def waiting(self) -> list[Caller]:
        return [c for c in self.callers if c.connection is None and c.error is None]

    @property
    def holding(self) -> list[Caller]:
        return [c for c in self.callers if c.connection is not None]

    @rule(seconds=st.sampled_from([0.1, 1.0, 4.0, 9.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(fails=st.sampled_from([None, ConnectRefused, Killed]))
    def acquire(self, fails: Callable[[], BaseException] | None) -> None:
        self.next_connect = fails() if fails is not None else None
        self.callers.append(Caller(self.pool, self.now, self.order))
        settle()
        self.next_connect = None

    @precondition(lambda self: self.holding)
    @rule(data=st.data(), fate=st.sampled_from(["release", "discard", "dead"]))
    def give_back(self, data: st.DataObject, fate: str) -> None:
        caller = data.draw(st.sampled_from(self.holding))
        connection = caller.connection
        assert connection is not None
        first = self.waiting[0] if self.waiting else None
        self.callers.remove(caller)
        connection.holders -= 1
        if fate == "discard":
            self.pool.discard(connection, "timeout")
        else:
            connection.is_dead = fate == "dead"  # the peer closes it just then
            self.pool.release(connection, self.now)
        settle()
        if first is not None:
            assert first.connection is not None, "the first in the queue was passed over"

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def kill_a_waiter(self, data: st.DataObject) -> None:
        caller = data.draw(st.sampled_from(self.waiting))
        caller.greenlet.kill(Killed, block=False)
        settle()
        assert isinstance(caller.error, Killed)

    @precondition(lambda self: self.waiting and self.holding)
    @rule()
    def kill_a_waiter_that_was_just_served(self) -> None:
        holder, waiter = self.holding[0], self.waiting[0]
        assert holder.connection is not None
        self.callers.remove(holder)
        holder.connection.holders -= 1
        self.pool.release(holder.connection, self.now)
        waiter.greenlet.kill(Killed, block=False)
        settle()

    @rule()
    def some_die_while_idle(self) -> None:
        for connection in self.made:
            connection.is_dead = connection.is_dead or connection.holders == 0

    @rule()
    def evict(self) -> None:
        self.pool.evict("breaker_open")
        settle()

    @invariant()
    def books_are_right(self) -> None:
        if not hasattr(self, "pool"):
            return
        said: dict[str, Any] = self.pool.snapshot()
        alive = [c for c in self.made if not c.is_closed]
        assert said["total"] == len(alive) <= self.size
        assert said["in_use"] == len(self.holding)
        assert said["idle"] == len(alive) - len(self.holding)
        assert said["waiting"] == len(self.waiting)
        assert said["created"] == len(self.made)
        assert sum(said["closed"].values()) == len(self.made) - len(alive)
        if self.waiting:
            assert said["total"] == self.size, "somebody waits though there is room"
            assert said["idle"] == 0, "somebody waits though a connection is idle"

    def teardown(self) -> None:
        """After close everything that comes back is closed and nobody waits."""
        if not hasattr(self, "pool"):
            return
        self.pool.close()
        settle()
        assert not self.waiting
        for caller in self.holding:
            assert caller.connection is not None
            self.pool.release(caller.connection, self.now)
        said = self.pool.snapshot()
        assert (said["total"], said["idle"], said["in_use"], said["waiting"]) == (0, 0, 0, 0)
        assert all(connection.is_closed for connection in self.made)


PoolMachine.TestCase.settings = hypothesis_settings(max_examples=100, deadline=None)
TestPoolMachine = PoolMachine.TestCase
