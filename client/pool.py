"""The connections to one node: last in, first out; waiting in turn; nothing lost.

LIFO keeps few connections busy and lets the others grow old and be closed. A connection out of the
pool belongs to one caller until `release` (the reply was read whole) or `discard` (anything else).

Lock contract: `_lock` guards the numbers and the queue of waiters. No I/O and no foreign code runs
under it: what must be opened or closed is decided under it and done outside. The usual path takes
no lock at all: `deque.pop` and `append` are atomic, and the two sides look in opposite order. A
releaser puts down its connection, then looks for waiters; a waiter queues, then looks for
connections. So at least one of them sees the other.

It does not know what a request is, nor why a connection was discarded.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from typing import Any, Protocol

from client.errors import ClientClosed, MemcacheClientError, PoolExhausted

SWEEP_S = 1.0  # how often a release looks for connections that have been idle too long


class Poolable(Protocol):
    """What the pool needs of a connection."""

    armed: bool
    idle_since: float
    expires_at: float

    @property
    def is_stale(self) -> bool:
        """Whether the peer closed it, or bytes have come that nobody asked for."""
        ...

    def begin(self, deadline: float) -> None:
        """Limit a call to the time it has left."""
        ...

    def disarm(self) -> None:
        """Return to the resting timeout."""
        ...

    def close(self) -> None:
        """Close the socket."""
        ...


class _Waiter:
    """One caller in the queue. Under the lock it is granted a connection, a place, or an error."""

    __slots__ = ("connection", "error", "gate", "is_granted")

    def __init__(self) -> None:
        self.connection: Any = None  # None when granted: a free place to open one in
        self.error: type[MemcacheClientError] | None = None
        self.gate: threading.Lock | None = None  # made only when there is something to wait for
        self.is_granted = False


class Pool:
    """A bounded pool. `connect(deadline)` opens a connection; times are of `clock`."""

    def __init__(
        self,
        connect: Callable[[float], Any],
        *,
        size: int,
        lifetime_s: float,
        lifetime_jitter: float,
        idle_s: float,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        self._connect = connect
        self._size = size
        self._lifetime_s = lifetime_s
        self._lifetime_jitter = lifetime_jitter
        self._idle_s = idle_s
        self._clock = clock
        self._rng = rng or random.Random()
        self._lock = threading.Lock()
        self.idle: deque[Any] = deque()
        self.waiters: OrderedDict[_Waiter, None] = OrderedDict()
        self._total = 0  # open or being opened
        self._created = 0
        self._closed_by: Counter[str] = Counter()
        self.is_closed = False
        self.sweep_at = clock() + SWEEP_S

    def acquire(self, now: float, deadline: float) -> Any:
        """Give a connection, at rest or limited to the time left.

        Raises PoolExhausted at the deadline, ClientClosed, and what `connect` raises.
        """
        # There are three cases:
        # 1. An idle connection that is fit. 2. Room for a new one. 3. Wait in turn.
        connection = None if self.waiters else self._pop_fit(now)
        if connection is not None:
            return connection
        return self._limited(self._acquire_in_turn(deadline), deadline)

    def take_idle(self, now: float) -> Any:
        """Give an idle connection that is fit, or None; never waits and never connects."""
        return None if self.waiters else self._pop_fit(now)

    def open_one(self, deadline: float) -> Any:
        """Open a new connection if there is room, else give None; never waits for a place."""
        with self._lock:
            if self.is_closed:
                raise ClientClosed
            if self.waiters or self._total >= self._size:
                return None
            self._total += 1
        return self._limited(self._open(deadline), deadline)

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
        """See to what was put down: give it to who waits, or close it if the pool is closed.

        Whoever appends to `idle` looks at `waiters` and `is_closed` afterwards, and calls this
        when one of them is set.
        """
        if self.waiters:
            self._hand_over()
        if self.is_closed:
            self.evict("client_closed")

    def discard(self, connection: Any, reason: str) -> None:
        """Close a connection and free its place."""
        try:
            connection.close()
        finally:
            with self._lock:
                self._total -= 1
                self._closed_by[reason] += 1
                gates = self._serve()
            _open_gates(gates)

    def evict(self, reason: str, error: type[MemcacheClientError] | None = None) -> None:
        """Close every idle connection; with `error`, refuse those who wait with it."""
        doomed = []
        while True:
            try:
                doomed.append(self.idle.pop())
            except IndexError:
                break
        gates: list[threading.Lock] = []
        if error is not None:
            with self._lock:
                while self.waiters:
                    waiter, _ = self.waiters.popitem(last=False)
                    waiter.error = error
                    _grant(waiter, None, gates)
        _open_gates(gates)
        for connection in doomed:
            self.discard(connection, reason)

    def close(self) -> None:
        """Close what is idle, refuse those who wait; what is in use closes when it comes back."""
        self.is_closed = True
        self.evict("client_closed", ClientClosed)

    def snapshot(self) -> dict[str, Any]:
        """Give the pool's numbers; `in_use` counts connections being opened too."""
        with self._lock:
            idle = len(self.idle)
            return {
                "idle": idle,
                "in_use": self._total - idle,
                "waiting": len(self.waiters),
                "total": self._total,
                "created": self._created,
                "closed": dict(self._closed_by),
                "size": self._size,
            }

    def __repr__(self) -> str:
        now = self.snapshot()
        return f"<Pool {now['in_use']} in use, {now['idle']} idle, {now['waiting']} waiting>"

    def _pop_fit(self, now: float) -> Any:
        while True:
            try:
                connection = self.idle.pop()
            except IndexError:
                return None
            if (
                not connection.is_stale
                and now < connection.expires_at
                and now - connection.idle_since < self._idle_s
            ):
                return connection
            self.discard(connection, self._unfit_because(connection, now))

    def _limited(self, connection: Any, deadline: float) -> Any:
        """Limit a connection that took time to get; too late for it, it goes back unused."""
        try:
            connection.begin(deadline)
        except MemcacheClientError as error:
            self.release(connection, self._clock())
            raise PoolExhausted from error
        return connection

    def _unfit_because(self, connection: Any, now: float) -> str:
        if now >= connection.expires_at:
            return "lifetime"
        if now - connection.idle_since >= self._idle_s:
            return "idle"
        return "stale"  # the peer closed it, or bytes came that nobody asked for

    def _acquire_in_turn(self, deadline: float) -> Any:
        """Queue up, whatever there is, so that nobody overtakes; open one when given a place."""
        waiter = _Waiter()
        with self._lock:
            if self.is_closed:
                raise ClientClosed
            self.waiters[waiter] = None
            gates = self._serve()
            if not waiter.is_granted:
                waiter.gate = threading.Lock()
                waiter.gate.acquire()
        _open_gates(gates)
        if waiter.gate is not None:
            try:
                waiter.gate.acquire(timeout=max(deadline - self._clock(), 0.0))
            except BaseException:
                self._leave(waiter)
                raise
            if not waiter.is_granted or self._clock() >= deadline:
                self._leave(waiter)
                raise PoolExhausted
        if waiter.error is not None:
            raise waiter.error
        if waiter.connection is None:
            return self._open(deadline)
        return self._checked(waiter.connection, deadline)

    def _checked(self, connection: Any, deadline: float) -> Any:
        """Give a connection that was handed over, or, when it is unfit, a new one in its place.

        The place is kept: who has waited in turn does not go back to the end of the queue.
        """
        now = self._clock()
        if not connection.is_stale and now < connection.expires_at:
            return connection
        connection.close()
        with self._lock:
            self._closed_by[self._unfit_because(connection, now)] += 1
        return self._open(deadline)

    def _leave(self, waiter: _Waiter) -> None:
        """Leave the queue without a trace; what was granted meanwhile goes to the next in turn."""
        with self._lock:
            if not waiter.is_granted:
                del self.waiters[waiter]
            elif waiter.connection is not None:
                self.idle.append(waiter.connection)
            elif waiter.error is None:
                self._total -= 1
            gates = self._serve()
        _open_gates(gates)
        if self.is_closed:
            self.evict("client_closed")

    def _open(self, deadline: float) -> Any:
        """Open a connection in a place that is already counted."""
        try:
            connection = self._connect(deadline)
        except BaseException:
            with self._lock:
                self._total -= 1
                gates = self._serve()
            _open_gates(gates)
            raise
        jitter = self._lifetime_jitter * self._rng.random()
        connection.expires_at = self._clock() + self._lifetime_s * (1.0 - jitter)
        with self._lock:
            self._created += 1
        return connection

    def _hand_over(self) -> None:
        with self._lock:
            gates = self._serve()
        _open_gates(gates)

    def _serve(self) -> list[threading.Lock]:
        """Under the lock: give what is free to those who wait, in turn; return gates to open."""
        gates: list[threading.Lock] = []
        while self.waiters:
            try:
                connection = self.idle.pop()
            except IndexError:
                if self._total >= self._size:
                    break
                connection = None
                self._total += 1
            waiter, _ = self.waiters.popitem(last=False)
            _grant(waiter, connection, gates)
        return gates

    def _sweep(self, now: float) -> None:
        """Close idle connections that are past their time; those at the bottom are never used."""
        self.sweep_at = now + SWEEP_S
        kept: list[Any] = []
        doomed: list[Any] = []
        for _ in range(len(self.idle)):
            try:
                connection = self.idle.popleft()
            except IndexError:
                break
            old = now >= connection.expires_at or now - connection.idle_since >= self._idle_s
            (doomed if old else kept).append(connection)
        self.idle.extendleft(reversed(kept))
        if self.waiters:
            self._hand_over()
        for connection in doomed:
            self.discard(connection, self._unfit_because(connection, now))


def _grant(waiter: _Waiter, connection: Any, gates: list[threading.Lock]) -> None:
    waiter.connection = connection
    waiter.is_granted = True
    if waiter.gate is not None:
        gates.append(waiter.gate)


def _open_gates(gates: list[threading.Lock]) -> None:
    for gate in gates:
        gate.release()
