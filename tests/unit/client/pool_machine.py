"""The pool's books under any order of events, with failures, timeouts and kills at every step.

Callers are bare greenlets and this machine is their scheduler: a caller runs only when a rule lets
it, so a kill, a timeout or another caller can come between any two steps (granted and not yet
running, in mid-connect, in background care). Nothing sleeps and no hub is involved.

`test_pool_machine` runs it on the pool and on broken twins of the pool.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from greenlet import GreenletExit, getcurrent, greenlet
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from client.errors import (
    BreakerOpen,
    ClientClosed,
    ConnectRefused,
    MemcacheClientError,
    OperationTimeout,
    PoolExhausted,
)
from client.pool import Pool

IDLE_S = 5.0
LIFETIME_S = 12.0
PATIENCE_S = 3.0
CLOSING_AFTER_STEPS = 30  # so that most of a run happens to an open pool


class Killed(BaseException):
    """What a caller's own timeout or a kill looks like to the pool."""


class FakeConnection:
    def __init__(self, now: Callable[[], float]) -> None:
        self.armed = True
        self.idle_since = 0.0
        self.expires_at = 0.0
        self.is_stale = False
        self.is_closed = False
        self.holders = 0
        self._now = now

    def begin(self, deadline: float) -> None:
        assert not self.is_closed
        if deadline <= self._now():
            raise OperationTimeout
        self.armed = True

    def disarm(self) -> None:
        self.armed = False

    def close(self) -> None:
        assert not self.is_closed, "closed twice"
        self.is_closed = True


class VirtualGate:
    """A gate at which a caller stops until the machine resumes it."""

    def __init__(self, machine: PoolMachine) -> None:
        self.machine = machine
        self.is_taken = False
        self.caller: Caller | None = None

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if not self.is_taken:
            self.is_taken = True
            return True
        caller = self.caller = self.machine.current()
        caller.gate, caller.due = self, self.machine.now + timeout
        caller.state, caller.was_slow = "waiting", True
        return bool(self.machine.scheduler.switch())

    def release(self) -> None:
        assert self.caller is not None, "a grant to nobody"
        self.machine.was_granted(self.caller)


class Caller:
    """One task: it acquires and then holds, opens a spare, or drains."""

    def __init__(self, machine: PoolMachine, run: Callable[[], Any], kind: str) -> None:
        self.machine = machine
        self.state = "running"  # then waiting, connecting, holding or over
        self.gate: VirtualGate | None = None
        self.due = 0.0
        self.is_granted = False
        self.is_refused = False
        self.error: BaseException | None = None
        self.connection: Any = None
        self.was_slow = False
        self.kind = kind
        self._run = run
        self.greenlet = greenlet(self._main)

    def _main(self, _: object) -> None:
        try:
            self.connection = self._run()
        except (MemcacheClientError, Killed) as error:
            self.error = error
            self.state = "over"
            return
        if self.connection is None or isinstance(self.connection, bool | int):
            self.state = "over"
            return
        assert not self.connection.is_closed
        assert self.connection.holders == 0, "two callers hold one connection"
        self.connection.holders += 1
        self.state = "holding"

    @property
    def is_runnable(self) -> bool:
        return self.state == "waiting" and self.is_granted

    def resume(self, value: object = None) -> None:
        self.greenlet.switch(value)

    def kill(self) -> None:
        self.greenlet.throw(Killed())


class PoolMachine(RuleBasedStateMachine):
    pool_type: type[Pool] = Pool

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.made: list[FakeConnection] = []
        self.callers: list[Caller] = []
        self.claimed: list[FakeConnection] = []
        self.is_refusing = False
        self.is_over = False
        self.steps = 0
        self.scheduler = getcurrent()

    @initialize(size=st.integers(1, 4), minimum=st.integers(0, 2))
    def begin(self, size: int, minimum: int) -> None:
        self.size = size
        self.pool = self.pool_type(
            self.connect,
            size=size,
            minimum=min(minimum, size),
            lifetime_s=LIFETIME_S,
            lifetime_jitter=0.2,
            idle_s=IDLE_S,
            clock=lambda: self.now,
            rng=random.Random(3),
            make_gate=lambda: VirtualGate(self),
        )

    # What the pool calls, in a caller's greenlet.

    def current(self) -> Caller:
        here = getcurrent()
        return next(c for c in self.callers if c.greenlet is here)

    def connect(self, _: float) -> FakeConnection:
        caller = self.current()
        caller.state, caller.was_slow = "connecting", True
        fate = self.scheduler.switch()  # the rules say when it ends, and how
        if isinstance(fate, BaseException):
            raise fate
        self.made.append(FakeConnection(lambda: self.now))
        return self.made[-1]

    def was_granted(self, caller: Caller) -> None:
        """Take note that a gate opens: it has to be that of the first of those who wait."""
        if self.is_over:
            return
        assert caller.state == "waiting", "a grant to one who has left"
        assert not caller.is_granted, "granted twice"
        if caller.kind == "call":
            assert caller is self.in_queue[0], "the first in the queue was passed over"
        caller.is_granted = True
        caller.is_refused = self.is_refusing

    # Reality, as the machine knows it.

    def in_state(self, state: str) -> list[Caller]:
        return [c for c in self.callers if c.state == state]

    @property
    def in_queue(self) -> list[Caller]:
        waiting = self.in_state("waiting")
        return [c for c in waiting if c.kind == "call" and not c.is_granted]

    @property
    def runnable(self) -> list[Caller]:
        return [c for c in self.callers if c.is_runnable]

    @property
    def late(self) -> list[Caller]:
        return [c for c in self.in_state("waiting") if c.due <= self.now]

    def start(self, run: Callable[[], Any], kind: str = "call") -> Caller:
        caller = Caller(self, run, kind)
        self.callers.append(caller)
        caller.resume()
        return caller

    def let_go(self, caller: Caller) -> None:
        caller.connection.holders -= 1
        caller.state = "over"

    # What can happen.

    @rule()
    def acquire(self) -> None:
        was_waiting = bool(self.in_queue)
        caller = self.start(lambda: self.pool.acquire(self.now, self.now + PATIENCE_S))
        assert not (was_waiting and caller.state in ("holding", "connecting")), "overtaken"

    @rule()
    def open_one(self) -> None:
        self.start(lambda: self.pool.open_one(self.now + PATIENCE_S))

    @rule()
    def refill(self) -> None:
        self.start(
            lambda: self.pool.open_spare(self.pool.minimum, self.now + PATIENCE_S),
            "spare",
        )

    @precondition(lambda self: self.in_state("connecting"))
    @rule(data=st.data(), fate=st.sampled_from(["made", "refused", "killed"]))
    def a_connect_ends(self, data: st.DataObject, fate: str) -> None:
        caller = data.draw(st.sampled_from(self.in_state("connecting")))
        if fate == "killed":
            caller.kill()
        else:
            caller.resume(ConnectRefused() if fate == "refused" else None)

    @precondition(lambda self: self.runnable)
    @rule(data=st.data())
    def one_that_was_granted_runs(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.runnable)).resume(True)

    @precondition(lambda self: self.in_state("waiting"))
    @rule(data=st.data())
    def kill_one_that_waits(self, data: st.DataObject) -> None:
        """Whether it has been granted something by now or not."""
        caller = data.draw(st.sampled_from(self.in_state("waiting")))
        caller.kill()
        assert isinstance(caller.error, Killed)

    @precondition(lambda self: self.late)
    @rule(data=st.data())
    def time_is_up_for_one(self, data: st.DataObject) -> None:
        caller = data.draw(st.sampled_from(self.late))
        self.is_refusing = caller.kind == "drain"  # it closes now
        caller.resume(False)
        self.is_refusing = False

    @precondition(lambda self: self.in_state("holding"))
    @rule(data=st.data(), fate=st.sampled_from(["release", "discard", "stale"]))
    def give_back(self, data: st.DataObject, fate: str) -> None:
        caller = data.draw(st.sampled_from(self.in_state("holding")))
        connection = caller.connection
        self.let_go(caller)
        if fate == "discard":
            self.pool.discard(connection, "timeout")
        else:
            connection.is_stale = fate == "stale"  # the peer closes it just then
            self.pool.release(connection, self.now)

    @rule(seconds=st.sampled_from([0.1, 1.0, 4.0, 9.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def the_idle_are_closed_by_the_peer(self) -> None:
        for connection in self.pool.idle:
            connection.is_stale = True

    @rule(is_refusing=st.booleans())
    def evict(self, is_refusing: bool) -> None:
        self.is_refusing = is_refusing
        self.pool.evict("breaker_open", BreakerOpen if is_refusing else None)
        self.is_refusing = False
        assert not self.pool.idle

    @precondition(lambda self: self.pool.idle)
    @rule(data=st.data())
    def care_claims_one(self, data: st.DataObject) -> None:
        connection = data.draw(st.sampled_from(list(self.pool.idle)))
        assert self.pool.claim(connection)
        assert not self.pool.claim(connection)
        self.claimed.append(connection)

    @precondition(lambda self: self.claimed)
    @rule(fate=st.sampled_from(["unclaim", "drop", "fail"]))
    def care_ends(self, fate: str) -> None:
        connection = self.claimed.pop()
        if fate == "unclaim":
            self.pool.unclaim(connection)
        elif fate == "drop":
            self.pool.drop(connection, "stale")
        else:
            self.pool.lend_claimed()
            self.pool.discard(connection, "timeout")

    @precondition(lambda self: self.steps > CLOSING_AFTER_STEPS)
    @rule()
    def drain(self) -> None:
        self.start(lambda: self.pool.drain(PATIENCE_S), kind="drain")
        assert not self.pool.idle

    @precondition(lambda self: self.steps > CLOSING_AFTER_STEPS)
    @rule()
    def retire(self) -> None:
        self.pool.retire()
        assert not self.pool.idle

    @precondition(lambda self: self.steps > CLOSING_AFTER_STEPS)
    @rule()
    def close(self) -> None:
        self.is_refusing = True
        self.pool.close()
        self.is_refusing = False
        assert not self.in_queue
        caller = self.start(lambda: self.pool.acquire(self.now, self.now + PATIENCE_S))
        assert isinstance(caller.error, ClientClosed)

    @invariant()
    def books_are_right(self) -> None:
        if not hasattr(self, "pool"):
            return
        self.steps += 1
        said: dict[str, Any] = self.pool.snapshot()
        alive = [c for c in self.made if not c.is_closed]
        granted = [c for c in self.runnable if c.kind == "call" and not c.is_refused]
        connecting = self.in_state("connecting")
        spares = [c for c in connecting if c.kind == "spare"]
        holding = self.in_state("holding")
        assert said["total"] == said["idle"] + said["in_use"] <= self.size
        assert said["in_use"] == len(holding) + len(connecting) - len(spares) + len(granted)
        assert said["idle"] == len(self.pool.idle) + len(self.claimed) + len(spares)
        # What was granted is a connection or a place; all other connections are known.
        handed_over = len(alive) - len(holding) - len(self.pool.idle) - len(self.claimed)
        assert 0 <= handed_over <= len(granted)
        assert said["in_care"] == len(self.claimed) + len(spares)
        assert said["waiting"] == len(self.in_queue)
        assert said["created"] == len(self.made)
        assert sum(said["closed"].values()) == len(self.made) - len(alive)
        late = [c for c in self.callers if type(c.error) is PoolExhausted]
        assert said["timed_out"] == len(late)
        slow = [c for c in self.callers if c.kind == "call" and c.was_slow and c.connection]
        assert sum(said["acquire_wait_us"].values()) == len(slow)
        if self.in_queue:
            assert said["total"] == self.size, "somebody waits though there is room"
            assert not self.pool.idle, "somebody waits though a connection is idle"

    def teardown(self) -> None:
        """Everybody ends: nothing is in use. Then close: nothing is left."""
        if not hasattr(self, "pool"):
            return
        try:
            self.let_all_end()
            said = self.pool.snapshot()
            assert (said["in_use"], said["waiting"]) == (0, 0)
            assert said["idle"] == len([c for c in self.made if not c.is_closed])
            self.pool.close()
            said = self.pool.snapshot()
            assert (said["total"], said["idle"], said["in_use"]) == (0, 0, 0)
            assert all(connection.is_closed for connection in self.made)
        finally:
            self.is_over = True
            for caller in self.callers:
                caller.greenlet.throw(GreenletExit)

    def let_all_end(self) -> None:
        while self.claimed:
            self.pool.unclaim(self.claimed.pop())
        while any(c.state in ("holding", "connecting") or c.is_runnable for c in self.callers):
            for caller in self.callers:
                if caller.state == "holding":
                    self.let_go(caller)
                    self.pool.release(caller.connection, self.now)
                elif caller.state == "connecting" or caller.is_runnable:
                    caller.resume(True if caller.is_runnable else None)
            self.books_are_right()
        assert not self.in_state("waiting"), "left waiting though nothing is in use"
