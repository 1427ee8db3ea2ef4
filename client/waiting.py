"""The queue for a connection: first come, first served, and whoever leaves leaves no trace.

A waiter is granted exactly one thing, under the pool's lock: a connection, a free place to open one
in, or an error. The grant is a fact from then on, even if the waiter is killed before it runs
again; whoever leaves has to look whether it was granted something and pass that on.

The lock is the pool's: every method here runs under it, and none of them waits or calls out. The
gates that a grant opens are given back to be opened outside.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Protocol

from client.errors import MemcacheClientError


class Gate(Protocol):
    """What one waiter waits at: a lock that is taken already and opened by a release."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Wait up to `timeout` seconds; say whether it was opened."""
        ...

    def release(self) -> None:
        """Open it."""
        ...


class Waiter:
    """One caller in the queue."""

    __slots__ = ("connection", "error", "gate", "is_granted")

    def __init__(self) -> None:
        self.connection: Any = None  # None when granted: a free place to open one in
        self.error: type[MemcacheClientError] | None = None
        self.gate: Gate | None = None  # made only when there is something to wait for
        self.is_granted = False


class WaitQueue(OrderedDict[Waiter, None]):
    """Waiters in order of arrival; true when somebody waits, at the price of a C call."""

    def join(self, waiter: Waiter) -> None:
        """Stand at the end."""
        self[waiter] = None

    def leave(self, waiter: Waiter) -> None:
        """Go without having been granted anything; no matter where in the queue."""
        del self[waiter]

    def grant(self, connection: Any) -> Gate | None:
        """Give the first in the queue a connection, or with None a place; return its gate."""
        return self._serve_first(connection, None)

    def refuse_all(self, error: type[MemcacheClientError]) -> list[Gate]:
        """Send everybody away with `error`; return their gates."""
        gates = []
        while self:
            gate = self._serve_first(None, error)
            if gate is not None:
                gates.append(gate)
        return gates

    def _serve_first(self, connection: Any, error: type[MemcacheClientError] | None) -> Gate | None:
        waiter, _ = self.popitem(last=False)
        waiter.connection = connection
        waiter.error = error
        waiter.is_granted = True
        return waiter.gate


def open_gates(gates: list[Gate]) -> None:
    """Let those run who were granted something. Outside the lock: a release is foreign code."""
    for gate in gates:
        gate.release()
