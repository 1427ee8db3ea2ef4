"""Where to cut an encrypted stream of requests into records, so that memcached reads all of it.

memcached 1.6 reads a value no further than its end and then waits for the socket; what OpenSSL has
decrypted beyond, from the same record, it does not look for. So a request that begins in the record
in which another's value ends lies there until more bytes come, which for the last of a batch is
never (seen with 1.6.18: of 1,000 pipelined sets 431 went unanswered).

Rule: a record ends where a request ends. Several whole requests may share one that fits into
memcached's buffer. Pure bytes; a stream of another shape is sent as it is.
"""

from __future__ import annotations

RECORD = 16_384  # of plain bytes: the most TLS allows, and memcached's read buffer
PIECE = 262_144  # encrypted at once: a large value is not held in memory twice

# Which word of a line says how long the value behind it is.
_SIZE_AT = {
    b"set": 4, b"add": 4, b"replace": 4, b"append": 4, b"prepend": 4, b"cas": 4, b"ms": 2,
}  # fmt: skip


class Cutter:
    """Cuts one connection's requests. Remembers how much of the last one is still to come."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = 0

    def cut(self, data: bytes) -> int:
        """Say how many of the first bytes of `data`, which continues the last, to send as one."""
        end = self._left
        while not self._left and end < len(data):
            size = _request_size(data, end)
            if end and (not size or end + size > RECORD):
                break
            end += size or len(data)  # a line without an end: whatever it is
        count = min(end, len(data), PIECE)
        self._left = end - count
        return count


def _request_size(data: bytes, start: int) -> int:
    """Give the length of the request that starts there, 0 when its first line has no end."""
    line_end = data.find(b"\r\n", start)
    if line_end < 0:
        return 0
    size = line_end + 2 - start
    words = data[start:line_end].split(b" ")
    position = _SIZE_AT.get(words[0])
    if position is None or len(words) <= position or not words[position].isdigit():
        return size
    return size + int(words[position]) + 2
