"""One node's part of a batch: a permit and a connection held over several requests.

The same order and the same end as `Node.call`, in steps, so that requests to all nodes can be out
before the first reply is read. A share of many keys is cut into chunks, each made when it is sent;
two are under way at a time, so that a round trip is not waited for between them and neither side's
buffers can fill with both sides writing.

Rule: once begun, a part ends either in `take`, with the last byte, or in `fail`. It does not wait
for replies (`drive` apart) and does not know what the requests are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

from client.breaker import SUCCESS
from client.bulk import Reply
from client.connection import SMALL_WRITE
from client.errors import ProtocolError
from client.node import Node, limit

WINDOW = 2  # chunks under way


class Work(Protocol):
    """What a batch asks of each node."""

    writes: bool

    def chunk(
        self, node: Node, connection: Any, names: Sequence[Any], wires: Sequence[bytes], at: int
    ) -> tuple[bytes, Reply, int]:
        """Give the request for the keys from `at` on, what reads the reply, and how many keys."""
        ...


class Exchange:
    """One node's part of a batch. A share is the caller's keys and the same as they are sent."""

    __slots__ = (
        "_answered",
        "_asked",
        "_deadline",
        "_is_short",
        "_permit",
        "_replies",
        "_started",
        "_unsent",
        "_work",
        "arrived_at",
        "connection",
        "is_last",
        "names",
        "node",
        "wires",
    )

    def __init__(
        self,
        node: Node,
        share: tuple[Sequence[Any], Sequence[bytes]],
        work: Work,
        started: float,
        deadline: float,
    ) -> None:
        self.node = node
        self.names, self.wires = share
        self.connection: Any = None
        self._work = work
        self._started = started
        self._deadline = deadline
        self._is_short = deadline < started + node.op_timeout  # part of the time is gone already
        self._permit = 0
        self._asked = 0  # keys whose chunk has been made
        self._answered = 0
        self.arrived_at = (
            0.0  # when the bytes to be taken next came; 0: they come as they are taken
        )
        self._replies: deque[tuple[Reply, int]] = deque()  # under way, with their number of keys
        self._unsent: memoryview | None = None  # of the latest request
        self.is_last = False  # nothing but the end of one reply is waited for

    def begin(self) -> bool:
        """Send the first chunks over an idle connection; False when `drive` has to go on.

        Never waits. Raises BreakerOpen, PoolExhausted, ConnectionClosed.
        """
        # `Pool.take_idle` and `send`, written out for the usual case as in `Node.fetch`.
        node, started = self.node, self._started
        node.requests += 1
        self._permit = node.breaker.permit or node.breaker.acquire()
        idle = node.pool.idle
        if node.pool.waiters:
            return False
        try:
            connection = self.connection = idle.pop()
        except IndexError:
            return False
        if connection.is_stale or started >= connection.expires_at:
            idle.append(connection)  # the pool looks more closely
            self.connection = None
            connection = self.connection = node.pool.take_idle(started)
            if connection is None:
                return False
        if self._is_short:
            limit(connection, self._deadline)
        names = self.names
        request, reply, keys = self._work.chunk(node, connection, names, self.wires, 0)
        self._asked = keys
        self._replies.append((reply, keys))
        if len(request) > SMALL_WRITE:
            return self._send_some(request) and self.send()
        connection.write(request, self._deadline)
        self.is_last = keys == len(names)
        return self.is_last or self.send()

    def send(self) -> bool:
        """Send what may be under way, without waiting; False when it did not all go out."""
        while self._asked < len(self.names) and len(self._replies) < WINDOW:
            if not self._send_some(self._make_next()):
                return False
        self.is_last = len(self._replies) == 1 and self._asked == len(self.names)
        return True

    def take(self, data: bytes) -> bool:
        """Take bytes of replies; True when the last was read whole and the part has ended.

        Raises ProtocolError.
        """
        replies = self._replies
        while True:
            if not replies:
                raise ProtocolError("bytes behind the reply")
            reply, keys = replies[0]
            rest = reply.feed(data)
            if rest is None:
                return False
            replies.popleft()
            self._answered += keys
            if rest:
                data = rest
                continue
            if self._answered < len(self.names):
                return False
            self._finish()
            return True

    def drive(self) -> None:
        """Carry the part to its end, waiting for whatever it takes. Raises as a call does."""
        connection, deadline = self.connection, self._deadline
        self.arrived_at = 0.0
        if connection is None:
            now = self.node.clock()
            self._permit = self._permit or self.node.breaker.acquire()
            connection = self.connection = self.node.pool.acquire(now, deadline)
        while True:
            if self._unsent is not None:
                connection.arm(deadline)
                connection.write(self._unsent, deadline)
                self._unsent = None
            if self.send() and self.take(connection.read_before(deadline)):
                return

    def _finish(self) -> None:
        # `Pool.release` and `Breaker.done`, written out for the usual case as in `Node.fetch`.
        node, connection, started = self.node, self.connection, self._started
        pool, breaker = node.pool, node.breaker
        elapsed = 0.0
        if breaker.slow_call_s is not None:
            ended = self.arrived_at or node.clock()
            elapsed = ended - self._deadline + connection.allowed_s
        self.connection = None
        if connection.armed or started >= pool.sweep_at:
            pool.release(connection, started)
        else:
            connection.idle_since = started
            pool.idle.append(connection)
            if pool.waiters or pool.is_closed:
                pool.attend()
        window = breaker.window
        if self._permit == breaker.permit and started < window.ends_at and not elapsed:
            window.calls += 1
            breaker.streak = 0
        else:
            breaker.done(self._permit, SUCCESS, started, elapsed)
        if breaker.events:
            breaker.deliver()

    def fail(self, error: BaseException) -> None:
        """End a part that failed or was cut off."""
        connection, self.connection = self.connection, None
        if isinstance(error, ProtocolError):
            # Where it went out of step nobody knows: earlier answers may be another request's.
            self._answered = 0
            self._replies.clear()
            if self.node.speaks_meta:
                self.node.doubt_dialect()
        self.node.settle(error, self._permit, connection)
        self._permit = 0

    def restart(self, error: BaseException) -> bool:
        """Make a part that failed ready for `drive` again where the node never read its request.

        Return whether it was so, and another connection to the node can be waited for.
        """
        if not self.node.may_repeat(error, self._deadline):
            return False
        self._asked = self._answered = 0
        self._replies.clear()
        self._unsent = None
        return True

    def unanswered(self) -> tuple[Sequence[Any], Sequence[bytes]]:
        """Give the keys that the node has not dealt with, as the caller names them and as sent.

        After a ProtocolError that is all of them, also those whose values were given out.
        """
        answered = self._answered
        if self._replies:
            answered += self._replies[0][0].answered
        return self.names[answered:], self.wires[answered:]

    @property
    def under_way(self) -> int:
        """The number of keys, the first of those unanswered, whose request may have been read."""
        return self._asked - (len(self.names) - len(self.unanswered()[0]))

    def _make_next(self) -> bytes:
        request, reply, keys = self._work.chunk(
            self.node, self.connection, self.names, self.wires, self._asked
        )
        self._asked += keys
        self._replies.append((reply, keys))
        return request

    def _send_some(self, request: bytes) -> bool:
        sent = self.connection.write_some(request)
        if sent < len(request):
            self._unsent = memoryview(request)[sent:]
        return self._unsent is None
