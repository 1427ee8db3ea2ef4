"""Encrypted requests are cut where they end, whatever their sizes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client import commands
from client.records import PIECE, RECORD, Cutter


def pieces(data: bytes, cutter: Cutter | None = None) -> list[bytes]:
    cutter = cutter or Cutter()
    found = []
    while data:
        count = cutter.cut(data)
        assert 0 < count <= PIECE
        found.append(data[:count])
        data = data[count:]
    return found


def setting(size: int) -> bytes:
    return commands.storage(b"set", b"k", b"\r\nset k 0 0 9\r\n"[:size].ljust(size, b"x"), 0, 0)


SMALL, LARGE = setting(100), setting(2 * PIECE)

CASES = {
    "one": ([SMALL], [SMALL]),
    "two share a record": ([SMALL, SMALL], [SMALL * 2]),
    "one too many": ([setting(9_000)] * 2, [setting(9_000)] * 2),
    "small, then large": ([SMALL, LARGE], [SMALL, LARGE[:PIECE], LARGE[PIECE:][:PIECE],
                                           LARGE[2 * PIECE :]]),
    "the end of a large one is alone": ([setting(20_000), SMALL], [setting(20_000), SMALL]),
    "reads": ([b"mg a v\r\n", b"get b\r\n"], [b"mg a v\r\nget b\r\n"]),
    "meta set": ([b"ms k 3 c\r\nabc\r\n", b"mn\r\n"], [b"ms k 3 c\r\nabc\r\nmn\r\n"]),
    "no size": ([b"set k\r\n", b"ms k\r\n"], [b"set k\r\nms k\r\n"]),
    "a line begun": ([b"mn\r\n", b"set k 0 0"], [b"mn\r\n", b"set k 0 0"]),
    "no line": ([b"x" * 10], [b"x" * 10]),
}  # fmt: skip


@pytest.mark.parametrize(("requests", "cuts"), CASES.values(), ids=CASES.keys())
def test_where_requests_are_cut(requests: list[bytes], cuts: list[bytes]) -> None:
    """Whole requests share a record that fits; the end of a larger one shares it with nobody."""
    assert pieces(b"".join(requests)) == cuts


sizes = st.integers(0, 300) | st.integers(8_000, 40_000) | st.just(300_000)


@given(st.lists(sizes, min_size=1, max_size=40), st.data())
def test_no_record_holds_an_end_and_a_beginning(values: list[int], data: st.DataObject) -> None:
    """In every piece longer than a record all requests but the first end in no other."""
    requests = [setting(size) for size in values]
    ends = set()
    at = 0
    for request in requests:
        at += len(request)
        ends.add(at)
    stream = b"".join(requests)
    at = 0
    for piece in pieces(stream):
        begun, at = at, at + len(piece)
        inside = [end for end in ends if begun < end < at]
        assert at in ends or not inside
        assert not inside or len(piece) <= RECORD
    assert at == len(stream)
    # Handed in in two parts, cut by the caller inside a value, it is cut there too and nowhere new.
    half = data.draw(st.integers(1, len(stream)))
    cutter = Cutter()
    parts = pieces(stream[:half], cutter) + pieces(stream[half:], cutter)
    assert b"".join(parts) == stream


@given(st.binary(max_size=2_000))
def test_any_bytes_go_through(stream: bytes) -> None:
    """Whatever it is, all of it is sent, in order."""
    assert b"".join(pieces(stream)) == stream
