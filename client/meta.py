"""memcached's meta commands: requests that carry a number, and replies that must bring it back.

Every request has an opaque, and memcached copies it into the reply, be it a hit or a miss. A reply
without it, or with another, belongs to somebody else: ProtocolError, and the connection is not used
again. SERVER_ERROR and CLIENT_ERROR carry none and are taken at their word: if such a line was
meant for an earlier request, the reply that follows it fails the next one's check.

`mg` reads (v value, f flags, c cas, t seconds to live, T new time to live, N place-holder for a
lease, R renew when less is left), `ms` stores, `md` deletes (I marks as stale instead), `ma`
counts (N and J make what is missing). Arguments are checked by `commands`; what a reply means to a
caller is for `meta_answers`.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Any, NamedTuple

from client.errors import ProtocolError
from client.replies import MAX_VALUE, error_of
from client.reply_stream import Readable, ReplyStream

# One sequence for the whole process, so that a reply which strays to another connection is found
# out as well. It starts above 2**41 and thereby never meets the numbers of `Connection.serial`.
_serials = itertools.count((1 << 41) + random.getrandbits(40))

CODES = frozenset((b"VA", b"HD", b"EN", b"NF", b"NS", b"EX"))
NUMBER_DIGITS = 20  # of 2**64: more are no number of memcached's, and would cost time to read

ITEM = b"v f c t"  # all there is to know of an item
VALUE = b"v f"  # what is needed to give a value back; without a token it may come from any node


class Reply(NamedTuple):
    """A reply to this request: its code, the value of VA, and the flags by letter."""

    code: bytes
    value: bytes | None
    flags: dict[bytes, bytes]

    def token(self, letter: bytes) -> bytes:
        """Give a number that was asked for, as its digits. Raises ProtocolError."""
        token = self.flags.get(letter, b"")
        if not token.removeprefix(b"-").isdigit() or len(token) > NUMBER_DIGITS:
            raise ProtocolError("a reply without a number that was asked for")
        return token


class Request(NamedTuple):
    """What is sent, the opaque to come back, and what to make of the reply."""

    data: bytes
    opaque: bytes  # with its letter, as it stands among the flags
    answer: Callable[[Reply], Any]
    has_value: bool = False


def fetch(key: bytes, wants: bytes, answer: Callable[[Reply], Any]) -> Request:
    """Build mg; `wants` are its flags."""
    opaque = b"O%d" % next(_serials)
    return Request(b"mg %b %b %b\r\n" % (key, wants, opaque), opaque, answer)


def leasing(lease_ttl_s: int, renew_s: int | None) -> bytes:
    """Give the flags of an mg that leases: N, and R where it is wanted."""
    renew = b"" if renew_s is None else b" R%d" % renew_s
    return b"%b N%d%b" % (ITEM, lease_ttl_s, renew)


def store(
    mode: bytes,
    key: bytes,
    data: bytes,
    *,
    expire: int,
    flags: int,
    answer: Callable[[Reply], Any],
    cas: bytes | None = None,
) -> Request:
    """Build ms; `mode` is S set, E add, R replace, A append, P prepend."""
    opaque = b"O%d" % next(_serials)
    compare = b"" if cas is None else b" C" + cas
    request = b"ms %b %d T%d F%d M%b%b %b\r\n%b\r\n" % (
        key, len(data), expire, flags, mode, compare, opaque, data,
    )  # fmt: skip
    return Request(request, opaque, answer, has_value=True)


def delete(key: bytes, stale_ttl_s: int | None, answer: Callable[[Reply], Any]) -> Request:
    """Build md; with `stale_ttl_s` the item stays so long and is marked as stale."""
    opaque = b"O%d" % next(_serials)
    stale = b"" if stale_ttl_s is None else b" I T%d" % stale_ttl_s
    return Request(b"md %b%b %b\r\n" % (key, stale, opaque), opaque, answer)


def count(
    mode: bytes,
    key: bytes,
    delta: int,
    answer: Callable[[Reply], Any],
    *,
    initial: int | None = None,
    initial_expire: int = 0,
) -> Request:
    """Build ma; `mode` is I or D, `initial` what a missing counter is made with."""
    opaque = b"O%d" % next(_serials)
    make = b"" if initial is None else b" N%d J%d" % (initial_expire, initial)
    request = b"ma %b M%b D%d v%b %b\r\n" % (key, mode, delta, make, opaque)
    return Request(request, opaque, answer)


def read(connection: Readable, request: Request, deadline: float) -> Any:
    """Read the reply to `request` and give its answer. Raises as reading the text replies does."""
    stream = ReplyStream(connection, deadline, connection.read())
    line = stream.line()
    fields = line.split(b" ")
    code = fields[0]
    if code not in CODES:
        error = error_of(line, has_data=request.has_value)
        error.in_step = error.in_step and stream.is_empty
        raise error
    flags = {field[:1]: field[1:] for field in fields[2 if code == b"VA" else 1 :]}
    if line.count(b" O") != 1 or flags.get(b"O") != request.opaque[1:]:
        raise ProtocolError("a reply to another request: its opaque differs")
    value = stream.block(_size_of(fields)) if code == b"VA" else None
    if not stream.is_empty:
        raise ProtocolError("bytes behind the reply")
    return request.answer(Reply(code, value, flags))


def _size_of(fields: list[bytes]) -> int:
    digits = fields[1]
    if not digits.isdigit() or len(digits) > NUMBER_DIGITS or int(digits) > MAX_VALUE:
        raise ProtocolError("a value without a size")
    return int(digits)


def read_no_op(connection: Readable, _: None, deadline: float) -> bool:
    """Read the reply to `mn`: whether the node speaks meta. Raises ProtocolError."""
    stream = ReplyStream(connection, deadline, connection.read())
    line = stream.line()
    if not stream.is_empty or line not in (b"MN", b"ERROR"):
        error = error_of(line, has_data=False)
        error.in_step = error.in_step and stream.is_empty
        raise error
    return line == b"MN"


def number_of(digits: bytes) -> int:
    """Give a number of a reply. Raises ProtocolError for what is none."""
    if not digits.isdigit() or len(digits) > NUMBER_DIGITS:
        raise ProtocolError("a reply without a number that was asked for")
    return int(digits)
