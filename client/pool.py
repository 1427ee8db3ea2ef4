"""The connections to one node: last in, first out; waiting in turn; nothing lost.

LIFO keeps few connections busy and lets the others grow old and be closed. A connection out of the
pool belongs to one caller until `release` (the reply was read whole) or `discard` (anything else).
Who has what and who is next is in `places`, with the lock and its contract; what opens and closes
connections is in `opening`; here is what gives them out and judges them, outside that lock.

It does not know what a request is, nor why a connection was discarded.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from typing import Any

from client.errors import ClientClosed, MemcacheClientError, PoolExhausted
from client.opening import Opening
from client.places import new_gate
from client.waiting import Gate, Waiter

SWEEP_S = 1.0  # how often a release looks for connections that have been idle too long
SWEEPS_PER_IDLE_TIME = 10  # a short idle time is overrun by a tenth at most


class Pool(Opening):
    """A bounded pool. `connect(deadline)` opens a connection; times are of `clock`.

    Of a connection it needs `armed`, `idle_since`, `expires_at`, `is_stale`, `begin(deadline)`,
    `disarm()` and `close()`: see `Connection`.

    Whoever writes out `acquire` and `release` for speed uses `idle`, `waiters`, `is_closed` and
    `sweep_at`, and after putting a connection down calls `attend` when somebody waits or the pool
    is closed.
    """

    def __init__(
        self,
        connect: Callable[[float], Any],
        *,
        size: int,
        lifetime_s: float,
        lifetime_jitter: float,
        idle_s: float,
        minimum: int = 0,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
        make_gate: Callable[[], Gate] = new_gate,
    ) -> None:
        super().__init__(
            connect,
            size=size,
            lifetime_s=lifetime_s,
            lifetime_jitter=lifetime_jitter,
            clock=clock,
            rng=rng,
            make_gate=make_gate,
        )
        self.minimum = minimum  # kept open by background care, not by the pool itself
        self._idle_s = idle_s
        self._sweep_s = min(SWEEP_S, idle_s / SWEEPS_PER_IDLE_TIME)
        self.sweep_at = clock() + self._sweep_s  # -inf once closed, so that no release is quick

    def acquire(self, now: float, deadline: float) -> Any:
        """Give a connection, at rest or limited to the time left.

        Raises PoolExhausted at the deadline, ClientClosed, and what `connect` raises.
        """
        # There are three cases:
        # 1. An idle connection that is fit. 2. Room for a new one. 3. Wait in turn.
        connection = None if self.waiters else self._pop_fit(now)
        if connection is not None:
            return connection
        started = self._clock()
        connection = self._wait_in_turn(deadline)
        if connection is None:
            connection = self._open(deadline)
        elif reason := self.unfit_because(connection, self._clock()):
            connection = self._renew(connection, reason, deadline)
        return self._limited(connection, started, deadline)

    def take_idle(self, now: float) -> Any:
        """Give an idle connection that is fit, or None; never waits and never connects."""
        return None if self.waiters else self._pop_fit(now)

    def open_one(self, deadline: float) -> Any:
        """Open a new connection if there is room, else give None; never waits for a place."""
        started = self._clock()
        if not self._reserve(self.size):
            return None
        return self._limited(self._open(deadline), started, deadline)

    def open_spare(self, count: int, deadline: float) -> bool:
        """Open an idle connection unless `count` are open already; say whether one was opened.

        With callers in the queue, room is theirs. Raises ClientClosed and what `connect` raises.
        """
        is_retired = self.is_closed and not self.is_refusing  # it would close at once
        if is_retired or not self._reserve(count, claimed=1):
            return False
        connection = self._open(deadline, claimed=1)
        connection.disarm()
        connection.idle_since = self._clock()
        self._lay_down(connection, on_top=True)
        self.attend()
        return True

    def release(self, connection: Any, now: float) -> None:
        """Take back a connection that is at a request boundary."""
        if connection.armed:
            connection.disarm()
        connection.idle_since = now
        self.idle.append(connection)
        if self.waiters or self.is_closed:
            self.attend()
        if now >= self.sweep_at:
            self._sweep(now)

    def attend(self) -> None:
        """See to those who wait for what was put down; once closed, keep nothing."""
        if self.waiters:
            self._hand_over()
        if self.is_closed:
            self.evict("client_closed")

    def unclaim(self, connection: Any) -> None:
        """Put a claimed connection back at the old end, as idle as it was."""
        if connection.armed:
            connection.disarm()
        self._lay_down(connection, on_top=False)
        self.attend()

    def drop(self, connection: Any, reason: str) -> None:
        """Close a claimed connection and free its place."""
        self._end(connection, reason, claimed=1)

    def evict(self, reason: str, error: type[MemcacheClientError] | None = None) -> None:
        """Close every idle connection; with `error`, refuse those who wait with it."""
        if error is not None:
            self._refuse_all(error)
        # One at a time, so that none is lost if closing one goes wrong; and not more than there
        # are, so that others who release meanwhile cannot keep this going for ever.
        for _ in range(len(self.idle)):
            try:
                connection = self.idle.pop()
            except IndexError:
                return
            self.discard(connection, reason)

    def unfit_because(self, connection: Any, now: float) -> str:
        """Say why an idle connection is not to be used: "lifetime", "idle", "stale", or ""."""
        if now >= connection.expires_at:
            return "lifetime"
        if now - connection.idle_since >= self._idle_s:
            return "idle"
        return "stale" if connection.is_stale else ""

    def retire(self) -> None:
        """Keep no connection from now on, but serve who comes: a call may be on its way here."""
        self.is_closed = True
        self.sweep_at = -math.inf
        self.evict("removed")

    def stop(self) -> None:
        """Admit nobody new and close what is idle; who waits already keeps the turn."""
        self.is_refusing = True
        self.is_closed = True
        self.sweep_at = -math.inf
        self.evict("client_closed")

    def close(self) -> None:
        """Close what is idle, refuse those who wait; what is in use closes when it comes back."""
        self.stop()
        self._refuse_all(ClientClosed)

    def drain(self, timeout_s: float) -> int:
        """Close, but first give what is in use or waited for up to `timeout_s` to end.

        Gives the number of connections still in use; each closes when it comes back.
        """
        self.stop()
        self._wait_until_empty(timeout_s)
        self.close()
        return int(self.counts()["total"])

    def snapshot(self) -> dict[str, Any]:
        """Give the pool's numbers as plain types: total = idle + in_use at every moment."""
        return {**self.counts(), "minimum": self.minimum}

    def __repr__(self) -> str:
        now = self.counts()
        state = " closed," if self.is_closed else ""
        numbers = f"{now['in_use']} in use, {now['idle']} idle, {now['waiting']} waiting"
        return f"<Pool{state} {numbers}>"

    def _pop_fit(self, now: float) -> Any:
        while True:
            try:
                connection = self.idle.pop()
            except IndexError:
                return None
            if (  # unfit_because, written out
                not connection.is_stale
                and now < connection.expires_at
                and now - connection.idle_since < self._idle_s
            ):
                return connection
            self.discard(connection, self.unfit_because(connection, now) or "stale")

    def _leave(self, waiter: Waiter) -> None:
        super()._leave(waiter)
        if self.is_closed:  # it may have put down what it was granted
            self.evict("client_closed")

    def _limited(self, connection: Any, started: float, deadline: float) -> Any:
        """Limit a connection that took time to get; too late for it, it goes back unused."""
        try:
            connection.begin(deadline)
        except MemcacheClientError as error:
            self.release(connection, self._clock())
            self._count_timeout()
            raise PoolExhausted from error
        except BaseException:
            self.discard(connection, "aborted")
            raise
        self._count_wait(self._clock() - started)
        return connection

    def _sweep(self, now: float) -> None:
        """Close what has been idle too long: the oldest are on the left and are never used."""
        self.sweep_at = now + self._sweep_s
        if self.is_closed:  # just now, in another thread: its sign was overwritten
            self.sweep_at = -math.inf
            self.evict("client_closed")
            return
        while self.idle:
            try:
                oldest = self.idle[0]
            except IndexError:
                return
            if not self.claim(oldest):  # only what nobody else has may be looked at
                continue
            reason = self.unfit_because(oldest, now)
            if not reason:
                self.unclaim(oldest)
                return
            self.drop(oldest, reason)
