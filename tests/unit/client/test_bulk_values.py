"""Many values out of one reply: all of them, nothing else, however the bytes are cut up."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.bulk import MetaValues, Reply, TextValues
from client.errors import MemcacheClientError, ProtocolError, ServerError

OPAQUE = b" O77"

Keys = st.lists(
    st.text("abk%O79", min_size=1, max_size=6).map(str.encode),
    min_size=1,
    max_size=12,
    unique=True,
)
Values = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b"", b"\r\n", b"END\r\n", b"VA 1 ka O77\r\nx", b"EN ka O77\r\n", b"%d"]),
)
Cuts = st.lists(st.integers(0, 10_000), max_size=12)


def meta_reply(keys: Sequence[bytes], values: dict[bytes, bytes], marks: bytes = b"") -> bytes:
    """Give what a node answers to quiet requests for `keys`, the last of them not quiet."""
    lines = []
    for key in keys:
        end = OPAQUE if key == keys[-1] else b""
        if key in values:
            value = values[key]
            lines.append(b"VA %d k%b%b%b\r\n%b\r\n" % (len(value), key, marks, end, value))
        elif end:
            lines.append(b"EN k%b%b\r\n" % (key, end))
    return b"".join(lines)


def text_reply(
    keys: Sequence[bytes], values: dict[bytes, bytes], marks: tuple[bytes, bytes] = (b"0", b"")
) -> bytes:
    """Give what a node answers to `get` of `keys`; `marks` are the flags and the token."""
    flags, cas = marks
    items = [
        b"VALUE %b %b %d%b\r\n%b\r\n" % (key, flags, len(values[key]), cas, values[key])
        for key in keys
        if key in values
    ]
    return b"".join(items) + b"END\r\n"


def reader(kind: str, keys: Sequence[bytes], into: Any, *, is_plain: bool = True) -> Reply:
    names = [key.decode() for key in keys]
    if kind == "meta":
        return MetaValues(names, keys, into, OPAQUE, is_plain)
    return TextValues(names, keys, into, is_plain)


def feed(reply: Reply, data: bytes, cuts: Sequence[int] = ()) -> bytes | None:
    """Feed `data` in pieces; give what lay behind the reply, None when it did not end."""
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    pieces = [data[a:b] for a, b in itertools.pairwise(edges)]
    for index, piece in enumerate(pieces):
        rest = reply.feed(piece)
        if rest is not None:
            return rest + b"".join(pieces[index + 1 :])
    return None


KINDS: dict[str, Callable[..., bytes]] = {"meta": meta_reply, "text": text_reply}
both = pytest.mark.parametrize("kind", KINDS)


@both
@given(data=st.data(), keys=Keys, cuts=Cuts, behind=st.sampled_from([b"", b"VA 1", b"VALUE k"]))
def test_any_values_in_any_pieces(
    kind: str, data: st.DataObject, keys: list[bytes], cuts: list[int], behind: bytes
) -> None:
    """Every value comes back under its key, misses are left out, what follows is given back."""
    present = data.draw(st.lists(st.sampled_from(keys), unique=True))
    values = {key: data.draw(Values) for key in present}
    found: dict[str, bytes] = {}
    rest = feed(reader(kind, keys, found), KINDS[kind](keys, values) + behind, cuts)
    assert rest == behind
    assert found == {key.decode(): value for key, value in values.items()}


@both
@given(keys=Keys, cuts=Cuts, short=st.integers(1, 30))
def test_nothing_is_given_out_before_the_end(
    kind: str, keys: list[bytes], cuts: list[int], short: int
) -> None:
    """A reply that breaks off anywhere leaves no value behind."""
    whole = KINDS[kind](keys, dict.fromkeys(keys, b"value"))
    found: dict[str, bytes] = {}
    assert feed(reader(kind, keys, found), whole[:-short], cuts) is None
    assert found == {}


@both
@given(noise=st.binary(max_size=60), cuts=Cuts, at=st.integers(0, 200))
def test_spoiled_bytes_end_in_a_typed_error_or_go_on_waiting(
    kind: str, noise: bytes, cuts: list[int], at: int
) -> None:
    """Noise in a reply raises our error or is waited out; no value is taken that was not sent."""
    keys = [b"a", b"b", b"c"]
    whole = KINDS[kind](keys, dict.fromkeys(keys, b"value"))
    found: dict[str, bytes] = {}
    with contextlib.suppress(MemcacheClientError):
        if feed(reader(kind, keys, found), whole[:at] + noise + whole[at:], cuts) is not None:
            assert found.keys() <= {"a", "b", "c"}
            return
    assert found == {}


HEAD = b"VA 1 ka\r\nx\r\n"
WRONG_META = {
    "another opaque": HEAD + b"VA 1 kb O78\r\ny\r\n",
    "another opaque on a miss": HEAD + b"EN kb O78\r\n",
    "an opaque with a longer number": HEAD + b"EN kb O777\r\n",
    "the opaque twice": HEAD + b"EN kb O77 O77\r\n",
    "the opaque on the wrong key": b"VA 1 ka O77\r\nx\r\n",
    "a key twice": HEAD + HEAD + b"EN kb O77\r\n",
    "the last key twice": b"VA 1 kb\r\nx\r\nVA 1 kb O77\r\ny\r\n",
    "a foreign key": b"VA 1 kz\r\nx\r\nVA 1 kb O77\r\ny\r\n",
    "a foreign key before a miss": b"VA 1 kz\r\nx\r\nEN kb O77\r\n",
    "no key": b"VA 1\r\nx\r\nEN kb O77\r\n",
    "a miss that should be quiet": b"EN ka\r\n",
    "a classic reply": b"VALUE a 0 1\r\nx\r\nEND\r\n",
    "a longer value than it says": b"VA 1 ka\r\nxx\r\nEN kb O77\r\n",
    "a shorter value than it says": b"VA 3 ka\r\nx\r\nEN kb O77\r\n",
    "a size that is no number": b"VA -1 ka\r\nx\r\nEN kb O77\r\n",
    "a size of many digits": b"VA %b ka\r\n" % (b"1" * 1_000),
    "a size beyond memcached's": b"VA 99999999999 ka\r\n",
    "a line without an end": b"VA 1 k" + b"a" * 5_000,
}
WRONG_TEXT = {
    "a key twice": b"VALUE a 0 1\r\nx\r\nVALUE a 0 1\r\nx\r\nEND\r\n",
    "a foreign key": b"VALUE z 0 1\r\nx\r\nEND\r\n",
    "a longer value than it says": b"VALUE a 0 1\r\nxx\r\nEND\r\n",
    "a shorter value than it says": b"VALUE a 0 3\r\nx\r\nEND\r\n",
    "a meta reply": b"VA 1 ka\r\nx\r\n",
    "an unknown command": b"ERROR\r\n",
    "a line without an end": b"VALUE " + b"a" * 5_000,
    "a size of many digits": b"VALUE a 0 %b\r\n" % (b"1" * 1_000),
}
WRONG = [
    *[pytest.param("meta", reply, id=f"meta: {name}") for name, reply in WRONG_META.items()],
    *[pytest.param("text", reply, id=f"text: {name}") for name, reply in WRONG_TEXT.items()],
]


@pytest.mark.parametrize("cuts", [[], range(200)], ids=["whole", "byte by byte"])
@pytest.mark.parametrize(("kind", "data"), WRONG)
def test_what_belongs_to_another_request_is_refused(
    kind: str, data: bytes, cuts: Sequence[int]
) -> None:
    """Another opaque, key, length or command: ProtocolError, and no value is given out."""
    found: dict[str, bytes] = {}
    with pytest.raises(ProtocolError) as raised:
        feed(reader(kind, [b"a", b"b"], found), data, cuts)
    assert not raised.value.in_step
    assert found == {}


@both
def test_a_refusal_costs_the_connection(kind: str) -> None:
    """SERVER_ERROR in a batch is typed, and out of step: replies to other keys may follow."""
    with pytest.raises(ServerError, match="out of memory") as raised:
        feed(reader(kind, [b"a", b"b"], {}), b"SERVER_ERROR out of memory\r\n")
    assert not raised.value.in_step


def test_flags_and_tokens() -> None:
    """Where they are asked for, each value comes with its flags and its token."""
    keys, values = [b"a", b"b"], {b"a": b"1", b"b": b"2"}
    replies = {
        "meta": meta_reply(keys, values, b" f7 c123"),
        "text": text_reply(keys, values, (b"7", b" 123")),
    }
    for kind, reply in replies.items():
        found: dict[str, Any] = {}
        assert feed(reader(kind, keys, found, is_plain=False), reply) == b""
        assert found == {"a": (b"1", 7, b"123"), "b": (b"2", 7, b"123")}


def test_values_with_flags_are_read_when_nobody_asks_for_them() -> None:
    """Flags that somebody else stored do not matter to who wants bytes."""
    found: dict[str, bytes] = {}
    reply = text_reply([b"a", b"b"], {b"a": b"1", b"b": b"2"}, (b"16", b""))
    assert feed(reader("text", [b"a", b"b"], found), reply) == b""
    assert found == {"a": b"1", "b": b"2"}


@pytest.mark.parametrize(
    ("marks", "is_there"),
    [
        pytest.param(b" Z", False, id="a lease is out"),
        pytest.param(b" W", False, id="this read won the lease"),
        pytest.param(b" X Z", True, id="a stale value that is empty"),
        pytest.param(b"", True, id="an empty value"),
    ],
)
def test_the_place_holder_of_a_lease_is_a_miss(marks: bytes, is_there: bool) -> None:
    """Where a lease has been given and nothing is stored, nothing was found."""
    found: dict[str, bytes] = {}
    reply = b"VA 0 ka%b\r\n\r\nVA 1 kb O77\r\ny\r\n" % marks
    assert feed(reader("meta", [b"a", b"b"], found), reply) == b""
    assert found == ({"a": b"", "b": b"y"} if is_there else {"b": b"y"})


@both
def test_the_usual_reply_is_taken_in_one_pass(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hits and misses without line ends in the values never come to the way of items one by one."""

    def refuse(*_: object) -> None:
        raise AssertionError("an item was read by itself")

    keys = [b"a", b"b%d", b"c"]
    for present in (keys, keys[:2], keys[1:], keys[1:2], []):
        found: dict[str, bytes] = {}
        reply = reader(kind, keys, found)
        monkeypatch.setattr(type(reply), "_header", refuse)
        values = dict.fromkeys(present, b"value")
        assert feed(reply, KINDS[kind](keys, values)) == b""
        assert found == {key.decode(): value for key, value in values.items()}
