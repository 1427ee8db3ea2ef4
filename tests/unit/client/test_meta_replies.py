"""Meta replies: right however the bytes are cut, and nobody else's reply is ever taken."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client import meta, meta_answers
from client.errors import (
    ClientError,
    ConnectionClosed,
    MemcacheClientError,
    ProtocolError,
    ServerError,
    ValueTooLarge,
)
from client.items import Item
from client.meta import Reply, Request
from client.meta_value import finish_value


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


Answer = Callable[[Reply], Any]
Cuts = st.lists(st.integers(0, 10_000), max_size=12)
Values = st.one_of(
    st.binary(max_size=300),
    st.sampled_from([b"", b"\r\n", b"EN O5\r\n", b"HD O5\r\n", b"VA 1 O5\r\nx\r\n"]),
)
OPAQUE = b"O5"


def read(reply: bytes, cuts: list[int], answer: Answer, *, has_value: bool = False) -> Any:
    """Read a reply to a request whose opaque is O5."""
    return meta.read(Script(reply, cuts), Request(b"", OPAQUE, answer, has_value), 1.0)


def read_plain(reply: bytes, cuts: list[int]) -> bytes | None:
    """Read a reply to `mg k v O5` as `get` does when it did not come whole."""
    script = Script(reply, cuts)
    return finish_value(script, script.read(), b" O5\r\n", 1.0)


@given(Values, st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 64) - 1), Cuts)
def test_an_item(value: bytes, flags: int, cas: int, cuts: list[int]) -> None:
    """Any value comes back as it is, also one that looks like protocol."""
    reply = b"VA %d f%d c%d t-1 O5\r\n%b\r\n" % (len(value), flags, cas, value)
    wanted = Item(value=value, flags=flags, cas=b"%d" % cas, ttl_s=-1)
    assert read(reply, cuts, meta_answers.item) == wanted
    assert read(reply, cuts, meta_answers.present) == wanted


@given(Values, Cuts)
def test_a_plain_value(value: bytes, cuts: list[int]) -> None:
    """The value alone, with the marks of a lease behind the opaque or without."""
    assert read_plain(b"VA %d O5\r\n%b\r\n" % (len(value), value), cuts) == value
    assert read_plain(b"VA %d O5 Z X\r\n%b\r\n" % (len(value), value), cuts) == value


def seen(**marks: bool) -> Item:
    """Give an item with the value `abc`."""
    return Item(value=b"abc", flags=0, cas=b"4", ttl_s=30, **marks)


NOBODY = Item(value=None, flags=0, cas=b"4", is_held=True, ttl_s=5)
LEASES = {
    "stale, and this caller renews it": (
        b"VA 3 f0 c4 t30 O5 X W\r\nabc\r\n",
        seen(is_stale=True, won=True),
    ),
    "stale, and another renews it": (
        b"VA 3 f0 c4 t30 O5 Z X\r\nabc\r\n",
        seen(is_stale=True, is_held=True),
    ),
    "soon over, and this caller renews it": (b"VA 3 f0 c4 t30 O5 W\r\nabc\r\n", seen(won=True)),
    "nothing there, and this caller makes it": (
        b"VA 0 f0 c4 t-1 O5 W\r\n\r\n",
        Item(value=None, flags=0, cas=b"4", won=True),
    ),
    "nothing there, and another makes it": (b"VA 0 f0 c4 t5 O5 Z\r\n\r\n", NOBODY),
}


@pytest.mark.parametrize(("reply", "item"), LEASES.values(), ids=LEASES.keys())
@given(cuts=Cuts)
def test_marks_of_a_lease(reply: bytes, item: Item, cuts: list[int]) -> None:
    """W, Z and X are told apart, and a place-holder is not an empty value."""
    assert read(reply, cuts, meta_answers.leased) == item
    present = read(reply, cuts, meta_answers.present)
    assert present == (None if item.value is None else item)
    assert read_plain(reply.replace(b" f0 c4 t30", b"").replace(b" f0 c4 t-1", b"")
                      .replace(b" f0 c4 t5", b""), cuts) == item.value  # fmt: skip


RESULTS: dict[str, tuple[Answer, bytes, Any]] = {
    "stored": (meta_answers.stored, b"HD O5\r\n", True),
    "not stored": (meta_answers.stored, b"NS O5\r\n", False),
    "swapped": (meta_answers.swapped, b"HD O5\r\n", True),
    "changed since": (meta_answers.swapped, b"EX O5\r\n", False),
    "gone since": (meta_answers.swapped, b"NF O5\r\n", None),
    "deleted": (meta_answers.deleted, b"HD O5\r\n", True),
    "nothing to delete": (meta_answers.deleted, b"NF O5\r\n", False),
    "touched": (meta_answers.touched, b"HD O5\r\n", True),
    "nothing to touch": (meta_answers.touched, b"EN O5\r\n", False),
    "counted": (meta_answers.number, b"VA 2 O5\r\n12\r\n", 12),
    "no counter": (meta_answers.number, b"NF O5\r\n", None),
    "a miss": (meta_answers.item, b"EN O5\r\n", None),
}


@pytest.mark.parametrize(("answer", "reply", "result"), RESULTS.values(), ids=RESULTS.keys())
@given(cuts=Cuts)
def test_results(answer: Answer, reply: bytes, result: Any, cuts: list[int]) -> None:
    """Every answer of every command gives pymemcache's result."""
    assert read(reply, cuts, answer) is result


BAD: dict[str, tuple[Answer, bytes, type[MemcacheClientError], bool]] = {
    "another opaque": (meta_answers.item, b"EN O6\r\n", ProtocolError, False),
    "an opaque that goes on": (meta_answers.item, b"EN O55\r\n", ProtocolError, False),
    "no opaque": (meta_answers.item, b"EN\r\n", ProtocolError, False),
    "two opaques": (meta_answers.item, b"EN O6 O5\r\n", ProtocolError, False),
    "a value with another opaque": (
        meta_answers.item, b"VA 1 f0 c1 t1 O6\r\nx\r\n", ProtocolError, False,
    ),
    "a text reply": (meta_answers.stored, b"STORED\r\n", ProtocolError, False),
    "two replies": (meta_answers.stored, b"HD O5\r\nHD O6\r\n", ProtocolError, False),
    "a code of another command": (meta_answers.stored, b"EN O5\r\n", ProtocolError, False),
    "a value where none was asked": (
        meta_answers.stored, b"VA 1 O5\r\nx\r\n", ProtocolError, False,
    ),
    "an item without its flags": (
        meta_answers.item, b"VA 1 c1 t1 O5\r\nx\r\n", ProtocolError, False,
    ),
    "a token that is no number": (
        meta_answers.item, b"VA 1 f0 cx t1 O5\r\nx\r\n", ProtocolError, False,
    ),
    "a token of thousands of digits": (
        meta_answers.item, b"VA 1 f%b c1 t1 O5\r\nx\r\n" % (b"9" * 1_500), ProtocolError, False,
    ),
    "a size of thousands of digits": (
        meta_answers.item, b"VA %b f0 c1 t1 O5\r\n" % (b"9" * 5_000), ProtocolError, False,
    ),
    "a size that lies": (meta_answers.item, b"VA 1 f0 c1 t1 O5\r\nxyz\r\n", ProtocolError, False),
    "a size that is none": (meta_answers.item, b"VA x f0 c1 t1 O5\r\n", ProtocolError, False),
    "a size beyond memory": (
        meta_answers.item, b"VA 99999999999 f0 c1 t1 O5\r\n", ProtocolError, False,
    ),
    "a counter that is none": (meta_answers.number, b"VA 2 O5\r\n1_\r\n", ProtocolError, False),
    "a counter without an end": (
        meta_answers.number, b"VA 5000 O5\r\n%b\r\n" % (b"9" * 5_000), ProtocolError, False,
    ),
    "an unknown command": (meta_answers.item, b"ERROR\r\n", ProtocolError, False),
    "the end in mid-value": (meta_answers.item, b"VA 9 f0 c1 t1 O5\r\nx", ConnectionClosed, False),
    "too large": (
        meta_answers.stored, b"SERVER_ERROR object too large for cache\r\n", ValueTooLarge, True,
    ),
    "no memory": (
        meta_answers.stored, b"SERVER_ERROR out of memory storing object\r\n", ServerError, True,
    ),
    "no memory for a counter": (meta_answers.number, b"NS O5\r\n", ServerError, True),
    "no number": (
        meta_answers.number, b"CLIENT_ERROR cannot increment\r\n", ClientError, True,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("answer", "reply", "error", "in_step"), BAD.values(), ids=BAD.keys())
def test_bad_replies(
    answer: Answer, reply: bytes, error: type[MemcacheClientError], in_step: bool
) -> None:
    """What is no reply to the request raises, and says whether the connection stays."""
    with pytest.raises(error) as raised:
        read(reply, [], answer)
    assert raised.value.in_step == in_step


def test_a_refused_value_may_be_read_as_commands() -> None:
    """CLIENT_ERROR to a request that carried a value leaves the stream in doubt."""
    with pytest.raises(ClientError) as raised:
        read(b"CLIENT_ERROR bad data chunk\r\n", [], meta_answers.stored, has_value=True)
    assert not raised.value.in_step


ANSWERS = [meta_answers.item, meta_answers.stored, meta_answers.number, meta_answers.leased]
# Nearly right: what a confused server or proxy would send.
PIECES = [
    *(b"VA", b"HD", b"EN", b"NF", b"MN", b"ERROR", b"SERVER_ERROR ", b" ", b"\r\n"),
    *(b"O5", b"O6", b" O5", b"f0", b" c1", b" t-1", b"9", b"0", b"-", b"W", b"X", b"Z", b"x"),
]
Garbage = st.one_of(
    st.binary(max_size=200),
    st.lists(st.sampled_from(PIECES), max_size=14).map(b"".join),
)


@given(Garbage, st.sampled_from(ANSWERS), Cuts)
def test_garbage_raises_only_our_errors(reply: bytes, answer: Answer, cuts: list[int]) -> None:
    """No bytes a peer can send make the client fail with a programming error."""
    with contextlib.suppress(MemcacheClientError):
        read(reply, cuts, answer)
    with contextlib.suppress(MemcacheClientError):
        meta.read_no_op(Script(reply, cuts), None, 1.0)
    if reply:
        with contextlib.suppress(MemcacheClientError):
            read_plain(reply, cuts)


@given(Garbage, Cuts)
def test_nothing_without_the_opaque_is_an_answer(reply: bytes, cuts: list[int]) -> None:
    """Whatever is accepted had the opaque in its first line."""
    accepted = []
    with contextlib.suppress(MemcacheClientError):
        accepted.append(read(reply, cuts, lambda answer: answer))
    if accepted:
        assert b" O5" in reply.partition(b"\r\n")[0]


@given(st.integers(1, 1 << 40), st.integers(1, 1 << 40), Cuts)
def test_the_reply_of_another_request_is_never_taken(
    mine: int, other: int, cuts: list[int]
) -> None:
    """A reply that carries any other number costs the connection."""
    request = Request(b"", b"O%d" % mine, meta_answers.item)
    reply = b"VA 1 f0 c1 t1 O%d\r\nx\r\n" % other
    if mine == other:
        assert meta.read(Script(reply, cuts), request, 1.0).value == b"x"
        return
    with pytest.raises(ProtocolError) as raised:
        meta.read(Script(reply, cuts), request, 1.0)
    assert not raised.value.in_step


@pytest.mark.parametrize(
    ("reply", "speaks"), [(b"MN\r\n", True), (b"ERROR\r\n", False)], ids=["meta", "text"]
)
@given(cuts=Cuts)
def test_what_a_node_speaks(reply: bytes, speaks: bool, cuts: list[int]) -> None:
    """`mn` is answered by MN, and by ERROR where it is not known."""
    assert meta.read_no_op(Script(reply, cuts), None, 1.0) is speaks
