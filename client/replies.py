"""Read memcached's text replies off a connection, however the bytes are cut up on the way.

Each `read_*` takes (connection, what is expected, deadline) and leaves the connection exactly at
the end of the reply, or raises an error whose `in_step` says whether it did. The first read nearly
always brings the whole reply, so each begins with that case; the general one follows. A value must
name the key that was asked for and nothing may lie behind a reply: the two signs by which answers
that belong to another request are caught.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from client.connection import REFUSAL
from client.errors import (
    ClientError,
    MemcacheClientError,
    ProtocolError,
    ServerError,
    TooManyConnections,
    ValueTooLarge,
)
from client.reply_stream import Readable, ReplyStream

MAX_VALUE = 1 << 30  # memcached's own limit for an item
SIZE_DIGITS = 10  # of MAX_VALUE

END = b"END\r\n"
ITEM_TAIL = b"\r\nEND\r\n"
TOO_LARGE = b"SERVER_ERROR object too large"

# Reply lines that are an answer, and pymemcache's result for each.
STORED: Mapping[bytes, Any] = {b"STORED\r\n": True, b"NOT_STORED\r\n": False}
CAS: Mapping[bytes, Any] = {b"STORED\r\n": True, b"EXISTS\r\n": False, b"NOT_FOUND\r\n": None}
DELETED: Mapping[bytes, Any] = {b"DELETED\r\n": True, b"NOT_FOUND\r\n": False}
TOUCHED: Mapping[bytes, Any] = {b"TOUCHED\r\n": True, b"NOT_FOUND\r\n": False}


def read_value(connection: Readable, key: bytes, deadline: float) -> bytes | None:
    """Read the reply to `get key`: the value, or None on a miss."""
    data = connection.read()
    if data == END:
        return None
    head = data.find(b"\r\n")
    if head > 0:
        fields = data[:head].split(b" ")
        if len(fields) == 4 and fields[0] == b"VALUE" and fields[1] == key:
            flags, size = fields[2:]
            # int() alone would take signs, blanks and underscores as well.
            if flags.isdigit() and size.isdigit() and len(size) <= SIZE_DIGITS:
                start = head + 2
                end = start + int(size)
                if end + 7 == len(data) and data[end:] == ITEM_TAIL:
                    return data[start:end]
    item = _read_item(ReplyStream(connection, deadline, data), key)
    return None if item is None else item[0]


def read_flagged(
    connection: Readable, key: bytes, deadline: float
) -> tuple[bytes, int, bytes] | None:
    """Read the reply to `gets key` or `gats key`: (value, flags, cas), or None on a miss."""
    item = _read_item(ReplyStream(connection, deadline, connection.read()), key)
    if item is None:
        return None
    value, flags, cas = item
    if cas is None:
        raise ProtocolError("a value without the cas that was asked for")
    return value, flags, cas


def read_valued(connection: Readable, key: bytes, deadline: float) -> tuple[bytes, int] | None:
    """Read the reply to `get key` or `gat key`: (value, flags), or None on a miss."""
    item = _read_item(ReplyStream(connection, deadline, connection.read()), key)
    return None if item is None else item[:2]


def read_item(
    connection: Readable, key: bytes, deadline: float
) -> tuple[bytes | None, bytes | None]:
    """Read the reply to `gets key`: (value, cas), or (None, None) on a miss."""
    item = read_flagged(connection, key, deadline)
    return (None, None) if item is None else (item[0], item[2])


def read_status(connection: Readable, answers: Mapping[bytes, Any], deadline: float) -> Any:
    """Read a one-line reply and give its result out of `answers`."""
    data = connection.read()
    if data in answers:
        return answers[data]
    return _read_status(connection, answers, deadline, data, has_data=False)


def read_stored(connection: Readable, answers: Mapping[bytes, Any], deadline: float) -> Any:
    """Read the reply to a command that carried a value."""
    data = connection.read()
    if data in answers:
        return answers[data]
    return _read_status(connection, answers, deadline, data, has_data=True)


def read_number(connection: Readable, _: None, deadline: float) -> int | None:
    """Read the reply to incr or decr: the new number, or None when there is no such key."""
    data = connection.read()
    stream = ReplyStream(connection, deadline, data)
    line = stream.line()
    if not stream.is_empty:
        raise ProtocolError("bytes behind the reply")
    if line.isdigit():
        return int(line)
    if line == b"NOT_FOUND":
        return None
    raise error_of(line, has_data=False)


def error_of(line: bytes, *, has_data: bool) -> MemcacheClientError:
    """Give the error a reply line stands for.

    SERVER_ERROR leaves the stream in step: memcached swallows the value of a refused command.
    CLIENT_ERROR does where the command had no value; where it had one (`has_data`) the server may
    be reading the value as commands. Anything else is out of step. TooManyConnections is no reply
    at all: the request was never read.
    """
    text = line.decode("latin-1")
    if line.startswith(b"SERVER_ERROR"):
        if line.startswith(TOO_LARGE):
            return ValueTooLarge(text, in_step=True)
        return ServerError(text, in_step=True)
    if line.startswith(b"CLIENT_ERROR"):
        return ClientError(text, in_step=not has_data)
    if line.startswith(REFUSAL):
        return TooManyConnections()
    if line == b"ERROR":
        return ProtocolError("the node does not know the command")
    return ProtocolError()


def item_fields(line: bytes) -> tuple[bytes, int, int, bytes | None]:
    """Split `VALUE key flags size [cas]` into key, flags, size and cas."""
    fields = line.split(b" ")
    if len(fields) not in (4, 5) or fields[0] != b"VALUE":
        raise ProtocolError
    if not all(map(bytes.isdigit, fields[2:])):
        raise ProtocolError("a value without a size")
    size = int(fields[3])
    if size > MAX_VALUE:
        raise ProtocolError("a value larger than memcached can hold")
    return fields[1], int(fields[2]), size, fields[4] if len(fields) == 5 else None


def _read_item(stream: ReplyStream, key: bytes) -> tuple[bytes, int, bytes | None] | None:
    line = stream.line()
    if line == b"END":
        item = None
    elif line.startswith(b"VALUE "):
        found, flags, size, cas = item_fields(line)
        if found != key:
            raise ProtocolError("a value of another key")
        item = (stream.block(size), flags, cas)
        if stream.line() != b"END":
            raise ProtocolError
    else:
        error = error_of(line, has_data=False)
        error.in_step = error.in_step and stream.is_empty
        raise error
    if not stream.is_empty:
        raise ProtocolError("bytes behind the reply")
    return item


def _read_status(
    connection: Readable,
    answers: Mapping[bytes, Any],
    deadline: float,
    data: bytes,
    *,
    has_data: bool,
) -> Any:
    stream = ReplyStream(connection, deadline, data)
    line = stream.line()
    if not stream.is_empty:
        raise ProtocolError("bytes behind the reply")
    reply = line + b"\r\n"
    if reply in answers:
        return answers[reply]
    raise error_of(line, has_data=has_data)
