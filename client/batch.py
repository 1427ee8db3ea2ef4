"""Batches: one deadline, all nodes at once, no greenlet per node.

Every node's part is sent before any reply is read, so a batch takes as long as its slowest node. A
node that fails costs only its own part. Order, and why it cannot lock up:
1. nodes with an idle connection, 2. nodes that need a new one: send the first chunk to each;
3. read replies node by node, whichever has begun to answer first, so a dead node holds up nobody;
   the next chunk is sent before the last one's reply is read, so at most two chunks are under way
   and neither side's buffers can fill with both sides writing;
4. nodes whose pool is full: only now, holding nothing, wait in turn. A batch that waited for one
   pool while it held places in others could lock up with another batch.

It does not know what the requests are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from client.errors import ConnectTimeout, MemcacheClientError
from client.exchange import Exchange
from client.node import Node
from client.replies import ReplyStream

TURN_S = 0.002  # how long one node is waited for while others may have answered: a slow reply
TURN_MAX_S = 0.05  # nobody answers: look less often, yet often enough for the slower of two

Chunk = tuple[bytes, Sequence[bytes]]  # a request, and the keys it asks for


class _Part:
    """One node's share of a batch and how far it has come."""

    __slots__ = ("answered", "chunks", "exchange", "sent", "unanswered")

    def __init__(self, exchange: Exchange, chunks: Sequence[Chunk]) -> None:
        self.exchange = exchange
        self.chunks = chunks
        self.sent = 0
        self.answered = 0
        self.unanswered = [key for _, keys in chunks for key in keys]

    def send_next(self) -> None:
        if self.sent < len(self.chunks):
            self.exchange.send(self.chunks[self.sent][0])
            self.sent += 1


# What a batch does with the reply to one chunk, and with keys whose node failed.
ReadChunk = Callable[[ReplyStream, Sequence[bytes]], None]
Fail = Callable[[Sequence[bytes], MemcacheClientError], None]


class Batch:
    """A batch under way. `read` takes one chunk's reply off the stream and keeps the results."""

    def __init__(self, started: float, deadline: float, read: ReadChunk, fail: Fail) -> None:
        self._started = started
        self._deadline = deadline
        self._read = read
        self._fail = fail
        self._open: list[_Part] = []  # parts that hold a permit or a connection

    def run(self, shares: Mapping[Node, Sequence[Chunk]]) -> None:
        """Carry out every node's chunks; failures of nodes are reported, not raised."""
        try:
            self._run(shares)
        except BaseException as error:
            # A kill or the caller's own timeout: no reply still to come may meet another request.
            for part in self._open:
                part.exchange.fail(error)
            raise

    def _run(self, shares: Mapping[Node, Sequence[Chunk]]) -> None:
        for node, chunks in shares.items():
            part = _Part(Exchange(node, self._started, self._deadline), chunks)
            self._open.append(part)
            self._guard(part, part.exchange.admit)
        ready = [part for part in list(self._open) if self._begin(part, self._take_idle)]
        others = [part for part in self._open if part not in ready]
        ready += [part for part in others if self._begin(part, self._open_one)]
        waiting = [part for part in others if part in self._open and part not in ready]
        self._read_in_turns(deque(ready))
        for part in waiting:
            self._guard(part, self._wait_and_read, part)

    def _begin(self, part: _Part, take: Callable[[_Part], bool]) -> bool:
        """Take a connection and send the first chunk; False when there is none or it failed."""

        def begin() -> bool:
            if not take(part):
                return False
            part.send_next()
            return True

        return bool(self._guard(part, begin))

    def _take_idle(self, part: _Part) -> bool:
        return part.exchange.take_idle()

    def _open_one(self, part: _Part) -> bool:
        # Half of what is left, so a node that cannot be reached leaves the others time to answer.
        now = part.exchange.node.clock()
        remaining = self._deadline - now
        if remaining <= 0:
            raise ConnectTimeout
        return part.exchange.open_one(now + remaining / 2)

    def _wait_and_read(self, part: _Part) -> None:
        part.exchange.wait()
        part.send_next()
        self._read_all(part)

    def _read_in_turns(self, pending: deque[_Part]) -> None:
        """Read a chunk of whoever answers; who does not, within a turn, goes behind the others."""
        turn_s, idle_turns = TURN_S, 0
        while len(pending) > 1:
            part = pending.popleft()
            remaining = self._deadline - part.exchange.node.clock()
            begun = self._guard(part, part.exchange.begins_within, max(min(turn_s, remaining), 0.0))
            if begun or (remaining <= 0 and part in self._open):
                idle_turns = 0
                self._guard(part, self._read_next, part)
            else:
                idle_turns += 1
                if idle_turns >= len(pending):
                    turn_s, idle_turns = min(turn_s * 2, TURN_MAX_S), 0
            if part in self._open:
                pending.append(part)
        for part in pending:
            self._guard(part, self._read_all, part)

    def _read_all(self, part: _Part) -> None:
        while part in self._open:
            self._read_next(part)

    def _read_next(self, part: _Part) -> None:
        """Read the reply to the next chunk and, when it was the last, end the part."""
        part.send_next()
        _, keys = part.chunks[part.answered]
        self._read(part.exchange.stream, keys)
        part.answered += 1
        del part.unanswered[: len(keys)]
        if part.answered == len(part.chunks):
            part.exchange.finish()
            self._open.remove(part)

    def _guard(self, part: _Part, step: Callable[..., Any], *args: Any) -> Any:
        try:
            return step(*args)
        except MemcacheClientError as error:
            self._open.remove(part)
            part.exchange.fail(error)
            self._fail(part.unanswered, error)
            return False
