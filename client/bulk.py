"""Read the values of many keys out of one reply, in as few steps as the bytes allow.

The usual reply has arrived whole and no value in it contains a line end. Such a reply is cut at all
its line ends at once; from the lengths of the values found and the keys that were asked for, the
headers are written as they must have been, and one comparison proves every key, every length and
the end. Whatever differs (misses in between aside) goes through `feed`'s second half, which takes
item by item, in pieces of any size, and says what is wrong.

Rule: nothing of a chunk is given out before its end was seen. Over meta that is the last key's
reply, the only one that is never quiet, and it carries the chunk's opaque: a reply that brings it
was written for this request. A key that was not asked for, or comes twice, is a ProtocolError.

No I/O: bytes in, values out. It knows neither connections nor nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from client.errors import ProtocolError
from client.meta import number_of
from client.replies import MAX_VALUE, error_of, item_fields
from client.reply_stream import MAX_LINE


class Reply(Protocol):
    """The reply to one chunk of a batch while it arrives."""

    answered: int  # how many of the chunk's keys, from its beginning, have been dealt with for good

    def feed(self, data: bytes) -> bytes | None:
        """Take bytes; None while more must come, else what lies behind the reply."""
        ...


class _Values:
    """What both protocols share: pieces of any size in, items out."""

    answered = 0  # all at once, when the end has come
    _missing = 0  # bytes until the next look
    _parts: list[bytes]  # what has come and was not taken yet
    _found: dict[bytes, tuple[bytes, Any]] | None = None  # None: nothing was looked at yet

    def __init__(
        self, names: Sequence[Any], wires: Sequence[bytes], into: dict[Any, Any], is_plain: bool
    ) -> None:
        self._names = names
        self._wires = wires
        self._into = into
        self._is_plain = is_plain  # False: each value is given as (value, flags, cas)

    def feed(self, data: bytes) -> bytes | None:
        """Take bytes; None while more must come, else what lies behind the reply.

        Raises ProtocolError, and what a reply line stands for.
        """
        found = self._found
        if found is None:
            if self._is_plain and self._take_whole(data):
                return b""
            found = self._found = {}
        else:
            self._parts.append(data)
            self._missing -= len(data)
            if self._missing > 0:
                return None
            data = b"".join(self._parts)
        at = 0
        while True:
            end = data.find(b"\r\n", at)
            if end - at > MAX_LINE or (end < 0 and len(data) - at > MAX_LINE):
                raise ProtocolError("a line longer than any that memcached sends")
            if end < 0:
                return self._keep(data[at:], 1)
            header = self._header(data[at:end])
            start = end + 2
            if header is None:
                return self._finish(found, data[start:])
            key, size, extra, is_last = header
            stop = start + size
            if len(data) < stop + 2:
                return self._keep(data[at:], stop + 2 - len(data))
            if data[stop : stop + 2] != b"\r\n":
                raise ProtocolError("a value that does not end where it should")
            if key in found:
                raise ProtocolError("a value that was sent twice")
            found[key] = (data[start:stop], extra)
            at = stop + 2
            if is_last:
                return self._finish(found, data[at:])

    def _header(self, line: bytes) -> tuple[bytes, int, Any, bool] | None:
        """Give key, size, (flags, cas) and whether the reply ends with it; None at its end."""
        raise NotImplementedError

    def _take_whole(self, data: bytes) -> bool:
        """Take a usual reply and say whether it was one."""
        raise NotImplementedError

    def _keep(self, rest: bytes, missing: int) -> bytes | None:
        self._parts = [rest]
        self._missing = missing
        return None

    def _finish(self, found: dict[bytes, tuple[bytes, Any]], rest: bytes) -> bytes:
        names = dict(zip(self._wires, self._names, strict=True))
        if not names.keys() >= found.keys():
            raise ProtocolError("a value of another key")
        self._into.update(
            [
                (names[key], value if self._is_plain else (value, *extra))
                for key, (value, extra) in found.items()
                if extra is not None
            ]
        )
        return rest

    def _take_some(self, keys: Sequence[bytes], values: Sequence[bytes]) -> bool:
        """Take values of some of the keys; False when one is of no key or comes twice."""
        names = dict(zip(self._wires, self._names, strict=True))
        try:
            found = {names[key]: value for key, value in zip(keys, values, strict=True)}
        except KeyError:
            return False
        if len(found) != len(keys):
            return False
        self._into.update(found)
        return True


class MetaValues(_Values):
    """The reply to quiet `mg` requests, the last of which is not quiet and has the opaque.

    They ask for `v k`, or for `v k f c` where flags and tokens are wanted. `opaque` is ` O<n>`.
    """

    def __init__(
        self,
        names: Sequence[Any],
        wires: Sequence[bytes],
        into: dict[Any, Any],
        opaque: bytes,
        is_plain: bool,
    ) -> None:
        self._names = names
        self._wires = wires
        self._into = into
        self._opaque = opaque
        self._is_plain = is_plain

    def _take_whole(self, data: bytes) -> bool:
        pieces = data.split(b"\r\n")
        wires = self._wires
        if len(pieces) != 2 * len(wires) + 1:  # lines and values in turn, and the last line end
            return self._take_partly(pieces)
        values = pieces[1::2]
        expected = _headers(b"VA %d k", b"", wires) + self._opaque + b"\r\n"
        if expected % tuple(map(len, values)) != b"\r\n".join(pieces[::2]):
            return self._take_partly(pieces)
        self._into.update(zip(self._names, values))  # noqa: B905 - as long: it was just compared
        return True

    def _take_partly(self, pieces: list[bytes]) -> bool:
        """Take a usual reply in which keys are missing, and say whether it was one."""
        if pieces.pop():
            return False
        last, opaque = self._wires[-1], self._opaque
        end = b""
        if len(pieces) & 1:  # the last key was missing: a line without a value
            if pieces.pop() != b"EN k" + last + opaque:
                return False
        else:
            end = opaque
        headers, values = pieces[::2], pieces[1::2]
        if not headers:
            return not end
        wires = [header.partition(b" k")[2] for header in headers]
        if end:
            wires[-1] = last
        expected = _headers(b"VA %d k", b"", wires) + end
        if expected % tuple(map(len, values)) != b"\r\n".join(headers):
            return False
        return self._take_some(wires, values)

    def _header(self, line: bytes) -> tuple[bytes, int, Any, bool] | None:
        fields = line.split(b" ")
        code = fields[0]
        flags = {field[:1]: field[1:] for field in fields[2 if code == b"VA" else 1 :]}
        is_last = flags.get(b"O") == self._opaque[2:] and line.count(b" O") == 1
        if is_last and flags.get(b"k") != self._wires[-1]:
            raise ProtocolError("a reply to another request: its key differs")
        if code == b"EN" and is_last:
            return None
        if code != b"VA" or len(fields) < 3 or (b"O" in flags) != is_last:
            error = error_of(line, has_data=False)
            error.in_step = False  # replies to other keys, or to a further chunk, may follow
            raise error
        size = number_of(fields[1])
        if size > MAX_VALUE:
            raise ProtocolError("a value larger than memcached can hold")
        extra: Any = ()
        if not self._is_plain:
            extra = (number_of(flags.get(b"f", b"")), flags.get(b"c", b""))
        if not size and b"X" not in flags and (b"W" in flags or b"Z" in flags):
            extra = None  # the place-holder of a lease: nothing is stored yet
        return flags.get(b"k", b""), size, extra, is_last


class TextValues(_Values):
    """The reply to `get` or `gets` of several keys."""

    def _take_whole(self, data: bytes) -> bool:
        pieces = data.split(b"\r\n")
        if len(pieces) & 1 or pieces.pop() or pieces.pop() != b"END":
            return False
        headers, values = pieces[::2], pieces[1::2]
        if not headers:
            return True
        wires = self._wires
        is_full = len(headers) == len(wires)
        if not is_full:
            wires = [header[6 : header.find(b" ", 6)] for header in headers]
        # Flags are 0 unless somebody uses them; who does takes the other way.
        expected = _headers(b"VALUE ", b" 0 %d", wires) + b" 0 %d"
        if expected % tuple(map(len, values)) != b"\r\n".join(headers):
            return False
        if not is_full:
            return self._take_some(wires, values)
        self._into.update(zip(self._names, values))  # noqa: B905 - as long: it was just compared
        return True

    def _header(self, line: bytes) -> tuple[bytes, int, Any, bool] | None:
        if line == b"END":
            return None
        if not line.startswith(b"VALUE "):
            error = error_of(line, has_data=False)
            error.in_step = False  # a reply to a further chunk may follow
            raise error
        key, flags, size, cas = item_fields(line)
        return key, size, () if self._is_plain else (flags, cas), False


def _headers(before: bytes, behind: bytes, wires: Sequence[bytes]) -> bytes:
    """Give the pattern of all headers; what is behind the last key is left to the caller."""
    if b"%" in b" ".join(wires):
        wires = [wire.replace(b"%", b"%%") for wire in wires]
    return before + (behind + b"\r\n" + before).join(wires)
