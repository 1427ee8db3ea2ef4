"""How a call to a node ends when it fails: permit, connection and counts, and who is blamed.

A node is blamed for what it does: not answering, closing, refusing, answering nonsense. A miss, a
full pool and an error that it answers in good order are not its failures. Nor is one connection
too many, while it serves others: the call waits for one of these.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from client.breaker import IGNORED, Breaker
from client.breaker_policy import verdict_of
from client.connection import Connection
from client.errors import (
    BreakerOpen,
    MemcacheClientError,
    OperationTimeout,
    TooManyConnections,
)
from client.pool import Pool


class Settling:
    """A node's breaker, pool and counts, and the end of the calls that failed."""

    label: str
    breaker: Breaker
    pool: Pool
    clock: Callable[[], float]
    op_timeout: float
    failures: Counter[str]
    _breaker_settings: Any
    _events: Any

    def settle(self, error: BaseException, permit: int, connection: Connection | None) -> None:
        """End a call that failed: the permit, the connection and the counts, never the error."""
        is_ours = isinstance(error, MemcacheClientError)
        try:
            verdict = self._verdict(error, connection)
            elapsed = 0.0
            if connection is not None and isinstance(error, OperationTimeout):
                elapsed = connection.allowed_s  # the node took all it was given
            if permit and self.breaker.done(permit, verdict, elapsed=elapsed):
                # Idle connections to a node that stopped answering may be dead without a sign
                # (a healed path can take seconds to carry them again); those who wait would
                # only wait for the same timeout.
                self.pool.evict("breaker_open", BreakerOpen)
        finally:
            if connection is not None:
                if isinstance(error, MemcacheClientError):
                    error.connection = connection.ends  # while it still is one
                if is_ours and error.in_step:  # type: ignore[attr-defined]  # is_ours says it has
                    self.pool.release(connection, self.clock())
                elif isinstance(error, TooManyConnections):
                    self.pool.give_up(connection)
                else:
                    self.pool.discard(connection, _reason(error))
        if isinstance(error, MemcacheClientError):
            self.count_failure(error)
        if self._events:
            self.breaker.deliver()

    def may_repeat(self, error: BaseException, deadline: float) -> bool:
        """Return whether a settled call was not taken for want of a place, and others have one.

        memcached has not read the request then, so repeating it is safe for writes as well.
        """
        return (
            isinstance(error, TooManyConnections)
            and self.pool.total > 0
            and self.clock() < deadline
        )

    def count_failure(self, error: MemcacheClientError) -> None:
        """Put the node's name on an error and count it."""
        error.node = self.label
        self.failures[error.outcome.value] += 1

    def _verdict(self, error: BaseException, connection: Connection | None) -> int:
        if (
            isinstance(error, OperationTimeout)
            and connection is not None
            and connection.allowed_s < self.op_timeout / 2
        ):
            return IGNORED  # most of the time was spent waiting for the connection
        if isinstance(error, TooManyConnections) and self.pool.total > (connection is not None):
            return IGNORED  # the node serves the others
        return verdict_of(error, self._breaker_settings)


def _reason(error: BaseException) -> str:
    return error.outcome.value if isinstance(error, MemcacheClientError) else "aborted"
