"""Replies are read right however the bytes are cut, and never past their end."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from client import replies
from client.errors import (
    ClientError,
    ConnectionClosed,
    MemcacheClientError,
    ProtocolError,
    ServerError,
)


class Script:
    """A connection that gives the bytes of a reply in the pieces it was told."""

    def __init__(self, data: bytes, cuts: list[int]) -> None:
        edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
        self._pieces = [data[a:b] for a, b in itertools.pairwise(edges)]

    def read(self) -> bytes:
        if not self._pieces:
            raise ConnectionClosed
        return self._pieces.pop(0)

    def read_before(self, deadline: float) -> bytes:
        return self.read()


Cuts = st.lists(st.integers(0, 10_000), max_size=12)
Values = st.one_of(
    st.binary(max_size=300),
    st.sampled_from([b"", b"\r\n", b"END\r\n", b"\r\nEND\r\n", b"VALUE k 0 1\r\nx\r\nEND\r\n"]),
)


@given(Values, Cuts)
@example(b"END\r\n", [])
def test_get(value: bytes, cuts: list[int]) -> None:
    """Any value comes back as it is, also one that looks like protocol."""
    reply = b"VALUE k 7 %d\r\n%b\r\nEND\r\n" % (len(value), value)
    assert replies.read_value(Script(reply, cuts), b"k", 1.0) == value


@given(Values, st.integers(0, 1 << 64), Cuts)
def test_gets(value: bytes, cas: int, cuts: list[int]) -> None:
    """A value comes with its token as bytes."""
    reply = b"VALUE k 0 %d %d\r\n%b\r\nEND\r\n" % (len(value), cas, value)
    assert replies.read_item(Script(reply, cuts), b"k", 1.0) == (value, b"%d" % cas)


@given(Cuts)
def test_miss(cuts: list[int]) -> None:
    """A miss is None, in one piece or in five."""
    assert replies.read_value(Script(b"END\r\n", cuts), b"k", 1.0) is None
    assert replies.read_item(Script(b"END\r\n", cuts), b"k", 1.0) == (None, None)


@given(st.integers(0, (1 << 64) - 1), Cuts)
def test_number(number: int, cuts: list[int]) -> None:
    """A number is never taken for a shorter one that arrived first."""
    assert replies.read_number(Script(b"%d\r\n" % number, cuts), None, 1.0) == number


@pytest.mark.parametrize(
    ("answers", "line", "result"),
    [
        (table, line, result)
        for table in (replies.STORED, replies.CAS, replies.DELETED, replies.TOUCHED)
        for line, result in table.items()
    ],
)
@given(cuts=Cuts)
def test_status(answers: dict[bytes, Any], line: bytes, result: Any, cuts: list[int]) -> None:
    """Every answer of every command gives pymemcache's result."""
    assert replies.read_status(Script(line, cuts), answers, 1.0) is result
    assert replies.read_stored(Script(line, cuts), answers, 1.0) is result


Read = Callable[[Script], Any]
READS: dict[str, Read] = {
    "get": lambda script: replies.read_value(script, b"k", 1.0),
    "gets": lambda script: replies.read_item(script, b"k", 1.0),
    "set": lambda script: replies.read_stored(script, replies.STORED, 1.0),
    "delete": lambda script: replies.read_status(script, replies.DELETED, 1.0),
    "incr": lambda script: replies.read_number(script, None, 1.0),
}

BAD = {
    "a value of another key": ("get", b"VALUE j 0 1\r\nx\r\nEND\r\n", ProtocolError, False),
    "another key in gets": ("gets", b"VALUE j 0 1 5\r\nx\r\nEND\r\n", ProtocolError, False),
    "gets without a cas": ("gets", b"VALUE k 0 1\r\nx\r\nEND\r\n", ProtocolError, False),
    "two replies to one get": ("get", b"END\r\nEND\r\n", ProtocolError, False),
    "bytes behind a value": ("get", b"VALUE k 0 1\r\nx\r\nEND\r\nE", ProtocolError, False),
    "two replies to one set": ("set", b"STORED\r\nSTORED\r\n", ProtocolError, False),
    "two replies to one incr": ("incr", b"5\r\n6\r\n", ProtocolError, False),
    "the reply to another command": ("set", b"DELETED\r\n", ProtocolError, False),
    "a value where a number belongs": ("incr", b"END\r\n", ProtocolError, False),
    "a size that lies": ("get", b"VALUE k 0 1\r\nxyz\r\nEND\r\n", ProtocolError, False),
    "a negative size": ("get", b"VALUE k 0 -3\r\nxyz\r\nEND\r\n", ProtocolError, False),
    "a size that is none": ("get", b"VALUE k 0 x\r\nxyz\r\nEND\r\n", ProtocolError, False),
    "a negative size that fits": ("get", b"VALUE k 0 -2\r\nEND\r\n", ProtocolError, False),
    "a size with a line end": ("get", b"VALUE k 0 1\r\r\nx\r\nEND\r\n", ProtocolError, False),
    "a size with a sign": ("get", b"VALUE k 0 +1\r\nx\r\nEND\r\n", ProtocolError, False),
    "a size beyond memory": ("get", b"VALUE k 0 99999999999\r\n", ProtocolError, False),
    "another protocol": ("get", b"HTTP/1.1 400 Bad Request\r\n\r\n", ProtocolError, False),
    "a line without end": ("set", b"x" * 5_000, ProtocolError, False),
    "the end in mid-value": ("get", b"VALUE k 0 10\r\nxyz", ConnectionClosed, False),
    "too large": ("set", b"SERVER_ERROR object too large for cache\r\n", ServerError, True),
    "no memory in get": ("get", b"SERVER_ERROR out of memory\r\n", ServerError, True),
    "no number": ("incr", b"CLIENT_ERROR non-numeric value\r\n", ClientError, True),
    # The server may go on to read the value as commands.
    "a refused value": ("set", b"CLIENT_ERROR bad data chunk\r\n", ClientError, False),
    "an unknown command": ("delete", b"ERROR\r\n", ProtocolError, False),
}


@pytest.mark.parametrize(("verb", "reply", "error", "in_step"), BAD.values(), ids=BAD.keys())
@given(cuts=Cuts)
def test_bad_reply(
    verb: str, reply: bytes, error: type[MemcacheClientError], in_step: bool, cuts: list[int]
) -> None:
    """What is no reply raises, and says whether the connection is still at a boundary.

    Cut apart, a reply followed by another may be taken as good: the next checkout finds the rest.
    """
    seen: MemcacheClientError | None = None
    try:
        READS[verb](Script(reply, cuts))
    except MemcacheClientError as raised:
        seen = raised
    if seen is None:
        assert cuts
        assert reply.count(b"\r\n") > 1
    else:
        assert isinstance(seen, error)
        assert seen.in_step == in_step


@pytest.mark.parametrize(("verb", "reply", "error", "in_step"), BAD.values(), ids=BAD.keys())
def test_bad_reply_in_one_piece(
    verb: str, reply: bytes, error: type[MemcacheClientError], in_step: bool
) -> None:
    """In one piece nothing passes."""
    with pytest.raises(error) as raised:
        READS[verb](Script(reply, []))
    assert raised.value.in_step == in_step


@given(st.binary(max_size=200), st.sampled_from(sorted(READS)), Cuts)
def test_garbage_raises_only_our_errors(reply: bytes, verb: str, cuts: list[int]) -> None:
    """No bytes a peer can send make the client fail with a programming error."""
    with contextlib.suppress(MemcacheClientError):
        READS[verb](Script(reply, cuts))
