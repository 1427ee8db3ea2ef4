"""Right replies to any request, ways to spoil them, and a connection that delivers the result.

`answer` is a memcached of thirty lines that knows every key and says yes to everything. `spoil`
makes of a right reply one that no memcached would send. `Scripted` gives it to the client in the
pieces it was told, on a clock that moves with every read, and keeps the books that the tests check.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable, Iterable, Iterator

from client.connection import Connection
from client.errors import ConnectionClosed, OperationTimeout

VALUE = b"5"  # a right value, and a right number
READ_S = 0.001  # what a read takes on the scripted clock
STORES = {b"set", b"add", b"replace", b"append", b"prepend", b"cas", b"ms"}
WORDS = {b"delete": b"DELETED", b"touch": b"TOUCHED", b"incr": VALUE, b"decr": VALUE, b"mn": b"MN"}
META_ANSWERS = {b"f": b"f0", b"c": b"c7", b"t": b"t-1", b"s": b"s1"}


def answer(request: bytes) -> bytes:
    """Give the right reply to one or many commands sent in one go."""
    replies = []
    while request:
        line, _, request = request.partition(b"\r\n")
        verb, *fields = line.split(b" ")
        if verb in STORES:
            size = int(fields[1] if verb == b"ms" else fields[3])
            request = request[size + 2 :]
        replies.append(_reply(verb, fields))
    return b"".join(replies)


def _reply(verb: bytes, fields: list[bytes]) -> bytes:
    if verb in (b"get", b"gets", b"gat", b"gats"):
        keys = fields[1:] if verb.startswith(b"gat") else fields
        cas = b" 7" if verb.endswith(b"s") else b""
        items = [b"VALUE %b 0 %d%b\r\n%b\r\n" % (key, len(VALUE), cas, VALUE) for key in keys]
        return b"".join(items) + b"END\r\n"
    if verb in (b"mg", b"ms", b"md", b"ma"):
        asked = fields[2:] if verb == b"ms" else fields[1:]
        echoed = [_flag(flag, fields[0]) for flag in asked if flag[:1] in b"fctskO"]
        flags = b"".join(b" " + flag for flag in echoed)
        if b"v" in asked:
            return b"VA %d%b\r\n%b\r\n" % (len(VALUE), flags, VALUE)
        return b"HD%b\r\n" % flags
    return (b"STORED" if verb in STORES else WORDS.get(verb, b"ERROR")) + b"\r\n"


def _flag(flag: bytes, key: bytes) -> bytes:
    if flag[:1] == b"O":
        return flag
    return b"k" + key if flag == b"k" else META_ANSWERS[flag]


TOKENS = (
    b"\r\n", b"\n", b"\r", b" ", b"\0", b"-", b"-2", b"+1", b"0", b"1_0", b"9" * 30, b"9" * 5_000,
    b"1073741825", b"END\r\n", b"\r\nEND\r\n", b"STORED\r\n", b"NOT_FOUND\r\n", b"EN\r\n",
    b"HD\r\n",
    b"VALUE key 0 1\r\nx\r\n", b"VALUE other 0 1\r\nx\r\nEND\r\n", b"VALUE key 0 -2\r\nEND\r\n",
    b"VA 1 O1\r\nx\r\n", b"VA -1\r\n", b" O1", b" W", b" Z", b" X", b"ERROR\r\n", b"MN\r\n",
    b"SERVER_ERROR out of memory\r\n", b"CLIENT_ERROR bad data chunk\r\n", b"HTTP/1.1 400\r\n\r\n",
    b"\xff\xfe", "\N{GREEK SMALL LETTER ALPHA}\N{ARABIC-INDIC DIGIT FOUR}".encode(),
)  # fmt: skip


def spoil(reply: bytes, rng: random.Random) -> bytes:
    """Change a reply in one to four places."""
    for _ in range(rng.randint(1, 4)):
        at = rng.randint(0, len(reply))
        upto = min(len(reply), at + rng.randint(1, 8))
        match rng.randrange(8):
            case 0:
                reply = reply[:at] + rng.choice(TOKENS) + reply[at:]
            case 1:
                reply = reply[:at] + rng.choice(TOKENS) + reply[upto:]
            case 2:
                reply = reply[:at] + reply[upto:]
            case 3:
                reply = reply[:at] + reply[at:upto] * rng.randint(2, 5) + reply[upto:]
            case 4:
                reply = reply[:at] + rng.randbytes(rng.randint(1, 8)) + reply[upto:]
            case 5:
                reply = reply[:at]
            case 6:
                reply = reply + reply[at:]
            case _:
                numbers = list(re.finditer(rb"[0-9]+", reply))
                if numbers:
                    found = rng.choice(numbers)
                    reply = reply[: found.start()] + rng.choice(TOKENS) + reply[found.end() :]
    return reply


def cut(data: bytes, rng: random.Random) -> list[bytes]:
    """Cut a reply into pieces as a network may."""
    if not data or rng.random() < 0.5:
        return [data] if data else []
    edges = sorted({0, len(data), *(rng.randint(0, len(data)) for _ in range(rng.randint(1, 9)))})
    return [data[a:b] for a, b in itertools.pairwise(edges)]


class Clock:
    """A clock that only moves when it is told."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Scripted(Connection):
    """A connection whose replies are `script(request)`: pieces of bytes, as many as it likes.

    When the pieces end the peer is silent, or has hung up if `hangs_up`.
    """

    def __init__(
        self,
        script: Callable[[bytes], Iterable[bytes]],
        clock: Clock,
        *,
        op_timeout: float,
        hangs_up: bool = False,
    ) -> None:
        self._clock = clock
        self._op_timeout = op_timeout
        self._late_reads = 0
        self._script = script
        self._pieces: Iterator[bytes] = iter(())
        self._hangs_up = hangs_up
        self.address = None
        self.armed = True
        self.allowed_s = op_timeout
        self.deadline = 0.0
        self.idle_since = self.expires_at = 0.0
        self.serial = 0
        self.delivered = 0
        self.is_closed = False
        self.late_by_s = 0.0

    @property
    def is_stale(self) -> bool:
        """Whether there are bytes that nobody has asked for; looking does not lose them."""
        rest = next(self._pieces, b"")
        self._pieces = itertools.chain([rest], self._pieces) if rest else iter(())
        return bool(rest) or (self._hangs_up and self.delivered > 0)

    def arm(self, deadline: float) -> None:
        """Limit what follows."""
        if deadline <= self._clock():
            raise OperationTimeout
        self.armed, self.deadline = True, deadline

    def disarm(self) -> None:
        """Come to rest."""
        self.allowed_s, self.armed = self._op_timeout, False

    def write(self, data: bytes, deadline: float) -> None:
        """Take a request; the script replies to it."""
        assert not self.is_closed
        self.deadline = deadline
        # What nobody has read yet comes first, as on a real connection.
        self._pieces = itertools.chain(self._pieces, self._script(bytes(data)))

    def write_some(self, data: bytes) -> int:
        """Take the whole of it at once."""
        self.write(data, self.deadline)
        return len(data)

    def read(self) -> bytes:
        """Give the next piece."""
        return self._next(self.deadline)

    def read_before(self, deadline: float) -> bytes:
        """Give the next piece."""
        return self._next(deadline)

    def read_within(self, seconds: float) -> bytes:
        """Give the next piece, or nothing."""
        try:
            return self._next(self._clock() + seconds)
        except OperationTimeout:
            return b""

    def close(self) -> None:
        """Close; once."""
        assert not self.is_closed, "closed twice"
        self.is_closed = True

    def _next(self, deadline: float) -> bytes:
        assert not self.is_closed
        clock: Clock = self._clock  # type: ignore[assignment]
        self.late_by_s = max(self.late_by_s, clock.now - deadline)
        clock.now += READ_S
        if clock.now > deadline:
            raise OperationTimeout
        piece = next(self._pieces, b"")
        if piece:
            self.delivered += len(piece)
            return piece
        if self._hangs_up:
            raise ConnectionClosed
        clock.now = max(clock.now, deadline)
        raise OperationTimeout
