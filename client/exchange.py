"""One node's part of a batch: a permit and a connection held over several requests.

The same order and the same end as `Node.call`, in steps, so that requests to all nodes can be out
before the first reply is read. Rule: after `admit` the part ends in exactly one of `finish` and
`fail`. It does not know what the requests are.
"""

from __future__ import annotations

from client.breaker import SUCCESS
from client.connection import Connection
from client.errors import ProtocolError
from client.node import Node
from client.replies import ReplyStream


class Exchange:
    """One node's part of a batch: a permit and a connection held over several requests.

    The same order and the same end as `Node.call`, in steps, so that requests to all nodes can be
    out before the first reply is read.
    """

    __slots__ = ("_connection", "_deadline", "_permit", "_started", "node", "stream")

    def __init__(self, node: Node, started: float, deadline: float) -> None:
        self.node = node
        self._started = started
        self._deadline = deadline
        self._permit = 0
        self._connection: Connection | None = None
        self.stream: ReplyStream

    def admit(self) -> None:
        """Take the breaker's permit. Raises BreakerOpen."""
        self.node.requests += 1
        self._permit = self.node.breaker.acquire()

    def take_idle(self) -> bool:
        """Take an idle connection if there is one; never waits."""
        return self._take(self.node.pool.take_idle(self._started))

    def open_one(self, deadline: float) -> bool:
        """Connect by `deadline` if the pool has room; does not wait for a place."""
        return self._take(self.node.pool.open_one(deadline))

    def wait(self) -> None:
        """Take a connection as a single call would, waiting in turn."""
        self._take(self.node.pool.acquire(self.node.clock(), self._deadline))

    def send(self, request: bytes) -> None:
        """Send one request of the batch."""
        assert self._connection is not None
        self._connection.write(request, self._deadline)

    def begins_within(self, seconds: float) -> bool:
        """Wait up to `seconds` for the first bytes of the next reply; say whether they came."""
        assert self._connection is not None
        return not self.stream.is_empty or self.stream.feed(self._connection.read_within(seconds))

    def finish(self) -> None:
        """End a part all of whose replies were read."""
        if not self.stream.is_empty:
            raise ProtocolError("bytes behind the reply")
        connection, self._connection = self._connection, None
        self.node.pool.release(connection, self._started)
        self.node.breaker.done(self._permit, SUCCESS, self._started)
        if self.node.breaker.events:
            self.node.breaker.deliver()

    def fail(self, error: BaseException) -> None:
        """End a part that failed or was cut off."""
        connection, self._connection = self._connection, None
        self.node.settle(error, self._permit, connection)

    def _take(self, connection: Connection | None) -> bool:
        if connection is None:
            return False
        self._connection = connection
        self.stream = ReplyStream(connection, self._deadline)
        return True
