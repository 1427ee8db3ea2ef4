"""One server: its breaker, its pool, and the one way a request goes through both.

Order of a call: permit, connection, write, read, connection back, permit back. Whatever ends it
early, a foreign BaseException (a kill, a timeout block of the caller) above all, destroys the
connection, because a reply may still be on its way, returns the permit, and goes on untouched.

A node is blamed for what it does: not answering, closing, refusing, answering nonsense. A miss, a
full pool and an error that it answers in good order are not its failures.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from client.breaker import FAILURE, IGNORED, SUCCESS, Breaker
from client.connection import Connection
from client.connector import Connector
from client.errors import (
    BreakerOpen,
    ClientError,
    MemcacheClientError,
    OperationTimeout,
)
from client.pool import Pool
from client.settings import ClientSettings

Address = tuple[str, int]

LEASE_PER_TIMEOUT = 2.0  # a probe cannot be lost before its own operation has timed out


def label_of(address: Address) -> str:
    """Give `host:port`, with brackets round an IPv6 host."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Node:
    """A server and what the client knows of it."""

    def __init__(
        self,
        address: Address,
        settings: ClientSettings,
        breaker: Breaker,
        *,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        host, port = address
        self.label = label_of(address)
        self.breaker = breaker
        connector = Connector(
            host,
            port,
            connect_timeout=settings.connect_timeout,
            op_timeout=settings.op_timeout,
            clock=clock,
        )
        self.pool = Pool(
            connector.connect,
            size=settings.pool_size,
            lifetime_s=settings.lifetime_s,
            lifetime_jitter=settings.lifetime_jitter,
            idle_s=settings.idle_s,
            clock=clock,
            rng=rng,
        )
        self.requests = 0
        self.failures: Counter[str] = Counter()
        self._op_timeout = settings.op_timeout
        self.clock = clock
        # Bound once: looking them up costs a tenth of the call.
        self._acquire = breaker.acquire
        self._done = breaker.done
        self._check_out = self.pool.acquire
        self._check_in = self.pool.release
        self._events = breaker.events

    def call(self, request: bytes, read: Callable[[Any, Any, float], Any], expected: Any) -> Any:
        """Send one request and give what `read(connection, expected, deadline)` makes of the reply.

        Raises MemcacheClientError; its `happened` says whether the operation took effect.
        """
        started = self.clock()
        deadline = started + self._op_timeout
        self.requests += 1
        permit = 0
        connection: Connection | None = None
        try:
            permit = self._acquire()
            connection = self._check_out(started, deadline)
            connection.write(request, deadline)
            result = read(connection, expected, deadline)
        except BaseException as error:
            self.settle(error, permit, connection)
            raise
        self._check_in(connection, started)
        self._done(permit, SUCCESS, started)
        if self._events:
            self.breaker.deliver()
        return result

    def settle(self, error: BaseException, permit: int, connection: Connection | None) -> None:
        """End a call that failed: the permit, the connection and the counts, never the error."""
        is_ours = isinstance(error, MemcacheClientError)
        try:
            if permit and self.breaker.done(permit, self._verdict(error, connection)):
                # Idle connections to a node that stopped answering may be dead without a sign
                # (a healed path can take seconds to carry them again); those who wait would
                # only wait for the same timeout.
                self.pool.evict("breaker_open", BreakerOpen)
        finally:
            if connection is not None:
                if is_ours and error.in_step:  # type: ignore[attr-defined]  # is_ours says it has
                    self.pool.release(connection, self.clock())
                else:
                    self.pool.discard(connection, _reason(error))
        if isinstance(error, MemcacheClientError):
            self.count_failure(error)
        if self._events:
            self.breaker.deliver()

    def count_failure(self, error: MemcacheClientError) -> None:
        """Put the node's name on an error and count it."""
        error.node = self.label
        self.failures[error.outcome.value] += 1

    def _verdict(self, error: BaseException, connection: Connection | None) -> int:
        if not isinstance(error, MemcacheClientError):
            return IGNORED
        if isinstance(error, ClientError):
            return SUCCESS  # the node did its part
        if not error.blames_node:
            return IGNORED
        if (
            isinstance(error, OperationTimeout)
            and connection is not None
            and connection.allowed_s < self._op_timeout / 2
        ):
            return IGNORED  # most of the time was spent waiting for the connection
        return FAILURE

    def snapshot(self) -> dict[str, Any]:
        """Give the node's state as plain types."""
        breaker = self.breaker
        return {
            "breaker": breaker.status,
            "pool": self.pool.snapshot(),
            "opened": breaker.opened,
            "probes": breaker.probes_admitted,
            "transitions": dict(breaker.transitions),
            "failures": dict(self.failures),
            "requests": self.requests,
            "consecutive_failures": breaker.streak,
        }

    def __repr__(self) -> str:
        return f"<Node {self.label} {self.breaker.status} {self.pool!r}>"


def _reason(error: BaseException) -> str:
    return error.outcome.value if isinstance(error, MemcacheClientError) else "aborted"
