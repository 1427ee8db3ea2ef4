"""One server: its breaker, its pool, and the one way a request goes through both.

Order of a call: permit, connection, write, read, connection back, permit back. Whatever ends it
early, a foreign BaseException (a kill, a timeout block of the caller) above all, destroys the
connection, because a reply may still be on its way, returns the permit, and goes on untouched; that
end is in `settling`.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Collection
from typing import Any

from client import meta
from client.addresses import parse_address
from client.breaker import SUCCESS, Breaker
from client.connection import Connection
from client.connector import Connector
from client.dialect import Dialect
from client.errors import OperationTimeout, PoolExhausted, ProtocolError
from client.meta_answers import valued
from client.meta_value import finish_value
from client.pool import Pool
from client.replies import read_value
from client.settings import ClientSettings
from client.settling import Settling

Address = Any  # whatever `parse_address` reads

LEASE_PER_TIMEOUT = 2.0  # a probe cannot be lost before its own operation has timed out


class Node(Settling):
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
        self.address = parse_address(address)
        self.label = self.address.label
        self.breaker = breaker
        connector = Connector(self.address, settings, clock=clock)
        self._connector = connector
        self._dialect = Dialect(
            settings.protocol,
            connector.connect,
            patience_s=settings.connect_timeout,
            clock=clock,
        )
        self.pool = Pool(
            self._dialect.connect,
            size=settings.pool_size,
            lifetime_s=settings.lifetime_s,
            lifetime_jitter=settings.lifetime_jitter,
            idle_s=settings.idle_s,
            minimum=settings.pool_minimum,
            clock=clock,
            rng=rng,
        )
        self.requests = 0
        self.failures: Counter[str] = Counter()
        self.op_timeout = settings.op_timeout
        self._breaker_settings = settings.breaker
        self.clock = clock
        # Bound once: looking them up costs a tenth of the call.
        self._acquire = breaker.acquire
        self._done = breaker.done
        self._check_out = self.pool.acquire
        self._check_in = self.pool.release
        self._events = breaker.events
        self._idle = self.pool.idle

    def fetch(  # noqa: PLR0912, PLR0915 - one pass without calls, see below
        self, key: bytes
    ) -> bytes | None:
        """Get one value, None on a miss: `call`, written out for the most frequent of requests.

        Raises MemcacheClientError; a read that failed changed nothing.
        """
        # Every step is the usual case of a method of the pool, the breaker or the codec, without
        # the call; whatever is not usual goes to that method. Together they cost more than all
        # the rest of the way.
        started = self.clock()
        deadline = started + self.op_timeout
        self.requests += 1
        breaker, pool, idle = self.breaker, self.pool, self._idle
        permit = breaker.permit
        connection: Any = None
        value: bytes | None
        try:
            if not permit:
                permit = breaker.acquire()
            if pool.waiters:
                connection = self._check_out(started, deadline)
            else:
                try:
                    connection = idle.pop()
                except IndexError:
                    connection = self._check_out(started, deadline)
                else:
                    # Idle for too long is the concern of who looks after idle connections.
                    if connection.is_stale or started >= connection.expires_at:
                        idle.append(connection)  # the pool looks more closely
                        connection = None
                        connection = self._check_out(started, deadline)
            if self._dialect.speaks_meta:
                connection.serial = serial = connection.serial + 1
                opaque = b" O%d\r\n" % serial
                data = connection.ask(b"mg %b v%b" % (key, opaque), deadline)
                head = data.find(opaque)
                value = data[head + len(opaque) : -2]
                # In the reply to a hit the size stands between "VA " and the opaque.
                if data[:head] == b"VA %d" % len(value) and data[-2:] == b"\r\n":
                    pass
                elif data == b"EN" + opaque:
                    value = None
                else:
                    value = self._finish_value(connection, data, opaque, deadline)
            else:
                connection.write(b"get %b\r\n" % key, deadline)
                value = read_value(connection, key, deadline)
        except BaseException as error:
            self.settle(error, permit, connection)
            if self.may_repeat(error, deadline):
                return fetch_until(self, key, deadline)
            raise
        elapsed = 0.0 if breaker.slow_call_s is None else self._took(connection, deadline)
        if connection.armed or started >= pool.sweep_at:
            self._check_in(connection, started)
        else:
            connection.idle_since = started
            idle.append(connection)
            if pool.waiters or pool.is_closed:
                pool.attend()
        window = breaker.window
        if permit == breaker.permit and started < window.ends_at and not elapsed:
            window.calls += 1
            breaker.streak = 0
        else:
            self._done(permit, SUCCESS, started, elapsed)
        if self._events:
            breaker.deliver()
        return value

    def call(
        self,
        request: bytes,
        read: Callable[[Any, Any, float], Any],
        expected: Any,
        until: float | None = None,
    ) -> Any:
        """Send one request and give what `read(connection, expected, deadline)` makes of the reply.

        `until` is the deadline of a call part of whose time is gone, by default a whole op_timeout
        from now. Raises MemcacheClientError; its `happened` says whether the operation took effect.
        """
        started = self.clock()
        deadline = started + self.op_timeout if until is None else until
        self.requests += 1
        permit = 0
        connection: Connection | None = None
        try:
            permit = self._acquire()
            connection = self._check_out(started, deadline)
            if until is not None:
                limit(connection, until)
            connection.write(request, deadline)
            result = read(connection, expected, deadline)
        except BaseException as error:
            self.settle(error, permit, connection)
            if self.may_repeat(error, deadline):
                return self.call(request, read, expected, deadline)
            raise
        elapsed = 0.0
        if self.breaker.slow_call_s is not None:
            elapsed = self._took(connection, deadline)
        self._check_in(connection, started)
        self._done(permit, SUCCESS, started, elapsed)
        if self._events:
            self.breaker.deliver()
        return result

    @property
    def speaks_meta(self) -> bool | None:
        """Whether the node speaks meta; None until the first connection was made."""
        return self._dialect.speaks_meta

    def current_addresses(self) -> Collection[object]:
        """Give what the node's name stands for at present, nothing when that is not known."""
        return self._connector.current_addresses()

    def _finish_value(
        self, connection: Connection, begun: bytes, opaque: bytes, deadline: float
    ) -> bytes | None:
        try:
            return finish_value(connection, begun, opaque, deadline)
        except ProtocolError:
            self.doubt_dialect()
            raise

    def doubt_dialect(self) -> None:
        """Ask again what the node speaks: it may have been replaced by one that knows no meta."""
        self._dialect.doubt()

    def _took(self, connection: Connection, deadline: float) -> float:
        """Give the seconds since the call had its connection; ask before that goes back."""
        return self.clock() - deadline + connection.allowed_s

    def snapshot(self) -> dict[str, Any]:
        """Give the node's state as plain types."""
        breaker = self.breaker
        return {
            "breaker": breaker.status,
            "pool": self.pool.snapshot(),
            "opened": breaker.opened,
            "opens_refused": breaker.opens_refused,
            "probes": breaker.probes_admitted,
            "transitions": dict(breaker.transitions),
            "failures": dict(self.failures),
            "requests": self.requests,
            "consecutive_failures": breaker.streak,
        }

    def __repr__(self) -> str:
        return f"<Node {self.label} {self.breaker.status} {self.pool!r}>"


def fetch_until(node: Any, key: bytes, deadline: float) -> bytes | None:
    """Get one value from a node as `Node.fetch` does, in a call part of whose time is gone."""
    value: bytes | None
    if node.speaks_meta:
        request = meta.fetch(key, meta.VALUE, valued)
        item = node.call(request.data, meta.read, request, deadline)
        value = None if item is None else item.value
    else:
        value = node.call(b"get %b\r\n" % key, read_value, key, deadline)
    return value


def limit(connection: Connection, deadline: float) -> None:
    """Tell a connection that a call begins part of whose time is gone. Raises PoolExhausted."""
    try:
        connection.begin(deadline)
    except OperationTimeout as error:
        raise PoolExhausted(in_step=True) from error  # nothing was sent: the time was gone before
