"""Lines and blocks of known size out of bytes that arrive in any pieces.

It waits for more only where the reply cannot be complete yet, and buffers no more than one line or
the block that was announced. What the lines mean is for others to know.
"""

from __future__ import annotations

from typing import Protocol

from client.errors import ProtocolError

MAX_LINE = 2_048  # the longest line memcached sends is a key, two numbers and a cas


class Readable(Protocol):
    """What a reply is read from: a `Connection`, or a script in a test."""

    def read(self) -> bytes:
        """Give the first bytes of a reply."""
        ...

    def read_before(self, deadline: float) -> bytes:
        """Give further bytes, within the time left."""
        ...


class ReplyStream:
    """Lines and blocks out of bytes that arrive in any pieces."""

    __slots__ = ("_buffer", "_connection", "_deadline", "_position")

    def __init__(self, connection: Readable, deadline: float, begun: bytes = b"") -> None:
        self._connection = connection
        self._deadline = deadline
        self._buffer = begun
        self._position = 0

    @property
    def is_empty(self) -> bool:
        """Whether every byte that has arrived was part of a reply."""
        return self._position == len(self._buffer)

    def feed(self, data: bytes) -> bool:
        """Take bytes that were read elsewhere; say whether there were any."""
        self._buffer = self._buffer[self._position :] + data
        self._position = 0
        return bool(data)

    def line(self) -> bytes:
        """Give the next line without its line end."""
        while True:
            end = self._buffer.find(b"\r\n", self._position)
            if end >= 0:
                if end - self._position > MAX_LINE:
                    break
                line = self._buffer[self._position : end]
                self._position = end + 2
                return line
            if len(self._buffer) - self._position > MAX_LINE:
                break
            self._more()
        raise ProtocolError("a line longer than any that memcached sends")

    def block(self, size: int) -> bytes:
        """Give `size` bytes that a line end must follow."""
        end = self._position + size
        missing = end + 2 - len(self._buffer)
        if missing > 0:
            self._gather(missing)
            end = self._position + size
        if self._buffer[end : end + 2] != b"\r\n":
            raise ProtocolError("a value that does not end where it should")
        block = self._buffer[self._position : end]
        self._position = end + 2
        return block

    def _more(self) -> None:
        data = self._connection.read_before(self._deadline)
        self._buffer = self._buffer[self._position :] + data
        self._position = 0

    def _gather(self, missing: int) -> None:
        pieces = [self._buffer[self._position :]]
        while missing > 0:
            pieces.append(self._connection.read_before(self._deadline))
            missing -= len(pieces[-1])
        self._buffer = b"".join(pieces)
        self._position = 0
