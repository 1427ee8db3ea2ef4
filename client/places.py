"""The books of a pool: how many connections there are, whose they are, and who is next.

Rule: every place (a connection open or being opened) is at every moment either idle, claimed by
background care, or some caller's, and total is their sum. A place that becomes free goes to the
first in the queue, whatever ended its last use.

Lock contract: `_lock` guards the numbers and the queue. No I/O and no foreign code runs under it:
gates are opened after it. The usual path takes no lock at all: `deque.pop` and `append` are atomic,
and the two sides look in opposite order. A releaser puts down its connection, then looks for
waiters; a waiter queues, then looks for connections. So at least one of them sees the other.
Likewise closing raises its flags before it looks for idle connections, and a releaser looks at the
flags after it has put one down.

It opens and closes nothing and does not know when a connection is fit.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from client.errors import ClientClosed, MemcacheClientError, PoolExhausted
from client.pool_numbers import PoolNumbers
from client.waiting import Gate, Waiter, WaitQueue, open_gates

FULL_S = 1.0  # how long a node that had no place for one more connection is not asked for another


def new_gate() -> Gate:
    """Give a gate that threads, or greenlets where they replace threads, can wait at."""
    return threading.Lock()  # looked up late: monkey patching may come after the import


class Places:
    """A bounded number of places for connections. Times are of `clock`."""

    def __init__(
        self, size: int, clock: Callable[[], float], make_gate: Callable[[], Gate] = new_gate
    ) -> None:
        self.idle: deque[Any] = deque()  # oldest on the left; taken from and put back on the right
        self.waiters = WaitQueue()
        self.is_closed = False  # no connection is kept
        self.is_refusing = False  # nobody new is admitted
        self.size = size
        self.numbers = PoolNumbers()
        self._clock = clock
        self._make_gate = make_gate
        self._lock = threading.Lock()
        self._total = 0
        self._claimed = 0
        self._room = size  # places that the node has, as far as it has told
        self._room_until = 0.0
        self._drains: list[Gate] = []  # opened when the last connection is gone

    def claim(self, connection: Any) -> bool:
        """Take one certain idle connection to look after it; False when a caller was faster.

        It still counts as idle, because no caller has it.
        """
        with self._lock:
            try:
                self.idle.remove(connection)
            except ValueError:
                return False
            self._claimed += 1
        return True

    def lend_claimed(self) -> None:
        """Count a claimed connection as its holder's own: it ends by release or discard."""
        with self._lock:
            self._claimed -= 1

    def _lay_down(self, connection: Any, *, on_top: bool) -> None:
        """Count a claimed connection as plainly idle again, in one step for whoever counts."""
        with self._lock:
            self._claimed -= 1
            if on_top:
                self.idle.append(connection)
            else:
                self.idle.appendleft(connection)

    def counts(self) -> dict[str, Any]:
        """Give the numbers; total = idle + in_use at every moment.

        in_use are those that callers have or open; idle are the others, in_care being those of
        them that background care asks or opens just now.
        """
        with self._lock:
            idle = len(self.idle) + self._claimed
            return {
                "idle": idle,
                "in_use": self._total - idle,
                "in_care": self._claimed,
                "waiting": len(self.waiters),
                "total": self._total,
                "size": self.size,
                **self.numbers.snapshot(),
            }

    def _reserve(self, count: int, *, claimed: int = 0) -> bool:
        """Take a place when fewer than `count` are taken and nobody waits for one.

        Raises ClientClosed.
        """
        with self._lock:
            if self.is_refusing:
                raise ClientClosed
            if self.waiters or self._total >= min(count, self._current_room()):
                return False
            self._total += 1
            self._claimed += claimed
        return True

    def _wait_in_turn(self, deadline: float) -> Any:
        """Queue up, whatever there is, so that nobody overtakes; give a connection or None.

        None is a place to open one in. Raises PoolExhausted at the deadline, ClientClosed, and
        what those who wait were refused with.
        """
        waiter = Waiter()
        with self._lock:
            if self.is_refusing:
                raise ClientClosed
            self.waiters.join(waiter)
            gates = self._serve()
            if not waiter.is_granted:
                waiter.gate = self._make_gate()
                waiter.gate.acquire()
        open_gates(gates)
        if waiter.gate is not None:
            try:
                waiter.gate.acquire(timeout=max(deadline - self._clock(), 0.0))
            except BaseException:
                self._leave(waiter)
                raise
            if not waiter.is_granted or self._clock() >= deadline:
                self._leave(waiter)
                self._count_timeout()
                raise PoolExhausted
        if waiter.error is not None:
            raise waiter.error
        return waiter.connection

    def _leave(self, waiter: Waiter) -> None:
        """Leave the queue without a trace; what was granted meanwhile goes to the next in turn."""
        gates: list[Gate] = []
        with self._lock:
            if not waiter.is_granted:
                self.waiters.leave(waiter)
            elif waiter.connection is not None:
                self.idle.append(waiter.connection)
                gates = self._serve()
            elif waiter.error is None:
                gates = self._free_place()
        open_gates(gates)

    def _hand_over(self) -> None:
        with self._lock:
            gates = self._serve()
        open_gates(gates)

    @property
    def total(self) -> int:
        """How many places are taken at this moment."""
        return self._total

    def _vacate(
        self, closed_because: str = "", *, claimed: int = 0, is_refused: bool = False
    ) -> None:
        """Give up a place whose connection was closed, or with no reason never came about.

        With `is_refused` the node itself has no place for it: none is asked for during FULL_S
        beside those it has given, and those who wait get their turn on these.
        """
        with self._lock:
            self._claimed -= claimed
            if closed_because:
                self.numbers.closed[closed_because] += 1
            if is_refused:
                self._room = max(self._total - 1, 1)
                self._room_until = self._clock() + FULL_S
            gates = self._free_place()
        open_gates(gates)

    def _refuse_all(self, error: type[MemcacheClientError]) -> None:
        with self._lock:
            gates = self.waiters.refuse_all(error)
        open_gates(gates)

    def _wait_until_empty(self, timeout_s: float) -> None:
        """Wait until no place is taken, for up to `timeout_s`."""
        gate = self._make_gate()
        gate.acquire()
        with self._lock:
            if not self._total:
                return
            self._drains.append(gate)
        try:
            gate.acquire(timeout=max(timeout_s, 0.0))
        finally:
            with self._lock:
                if gate in self._drains:
                    self._drains.remove(gate)

    def _count_created(self) -> None:
        with self._lock:
            self.numbers.created += 1

    def _count_closed(self, reason: str) -> None:
        with self._lock:
            self.numbers.closed[reason] += 1

    def _count_timeout(self) -> None:
        with self._lock:
            self.numbers.timed_out += 1

    def _count_wait(self, seconds: float) -> None:
        with self._lock:
            self.numbers.waited(seconds)

    def _current_room(self) -> int:
        """Under the lock: return how many places may be taken; twice as many after each FULL_S."""
        if self._room < self.size and self._clock() >= self._room_until:
            self._room = min(2 * self._room, self.size)
            self._room_until = self._clock() + FULL_S
        return self._room

    def _free_place(self) -> list[Gate]:
        """Under the lock: free a place for whoever is next, or tell who waits for the last."""
        self._total -= 1
        gates = self._serve()
        if not self._total:
            gates += self._drains
            self._drains = []
        return gates

    def _serve(self) -> list[Gate]:
        """Under the lock: give what is free to those who wait, in turn; return gates to open."""
        gates: list[Gate] = []
        while self.waiters:
            try:
                connection = self.idle.pop()
            except IndexError:
                if self._total >= self._current_room():
                    break
                connection = None
                self._total += 1
            gate = self.waiters.grant(connection)
            if gate is not None:
                gates.append(gate)
        return gates
