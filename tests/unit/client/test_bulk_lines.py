"""Answers to many writes: each to its key, by its place."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.bulk_lines import Lines
from client.errors import ClientError, MemcacheClientError, ProtocolError, ServerError

STORED: Mapping[bytes, bool] = {b"STORED": True, b"NOT_STORED": False}
META: Mapping[bytes, bool] = {b"HD O77": True, b"NS O77": False}
TOO_LARGE = b"SERVER_ERROR object too large for cache"


class Told:
    """What the reader of a reply was told."""

    def __init__(self) -> None:
        self.answers: dict[Any, bool] = {}
        self.refused: dict[Any, str] = {}

    def accept(self, names: Sequence[Any], answer: bool) -> None:
        assert not self.answers.keys() & set(names), "an answer that was given twice"
        self.answers.update(dict.fromkeys(names, answer))

    def refuse(self, name: Any, error: ServerError) -> None:
        self.refused[name] = str(error)

    def lines(self, names: Sequence[Any], answers: Mapping[bytes, bool]) -> Lines:
        return Lines(names, answers, self.accept, self.refuse, has_data=True)


@given(
    st.lists(st.sampled_from([*STORED, TOO_LARGE]), min_size=1, max_size=20),
    st.lists(st.integers(0, 1_000), max_size=12),
    st.sampled_from([b"", b"STORED\r\n", b"x"]),
)
def test_every_line_goes_to_the_key_of_its_place(
    lines: list[bytes], cuts: list[int], behind: bytes
) -> None:
    """However the bytes are cut: stored, not stored and refused keys are told apart."""
    told = Told()
    names = list(range(len(lines)))
    reply = told.lines(names, STORED)
    data = b"".join(line + b"\r\n" for line in lines) + behind
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    pieces = [data[a:b] for a, b in itertools.pairwise(edges)]
    rest: bytes | None = None
    while rest is None:
        rest = reply.feed(pieces.pop(0))
    assert rest + b"".join(pieces) == behind
    assert reply.answered == len(names)
    assert told.answers == {n: STORED[line] for n, line in enumerate(lines) if line in STORED}
    assert set(told.refused) == {n for n, line in enumerate(lines) if line == TOO_LARGE}


def test_the_end_of_a_refusal_is_no_success() -> None:
    """`NOT_` and `STORED` in two pieces is one line, and a refusal."""
    told = Told()
    reply = told.lines(["k"], STORED)
    assert reply.feed(b"NOT_") is None
    assert reply.feed(b"STORED\r\n") == b""
    assert told.answers == {"k": False}


BROKEN = {
    "another opaque": (META, b"HD O77\r\nHD O78\r\n", ProtocolError),
    "no opaque": (META, b"HD O77\r\nHD\r\n", ProtocolError),
    "an answer to something else": (STORED, b"STORED\r\nDELETED\r\n", ProtocolError),
    "an unknown command": (META, b"HD O77\r\nERROR\r\n", ProtocolError),
    "a request that was not understood": (
        *(STORED, b"STORED\r\nCLIENT_ERROR bad data chunk\r\n"),
        ClientError,
    ),
    "a line without an end": (STORED, b"STORED\r\n" + b"x" * 5_000, ProtocolError),
}


@pytest.mark.parametrize(("answers", "data", "kind"), BROKEN.values(), ids=BROKEN)
def test_what_is_no_answer_ends_the_reply_where_it_stands(
    answers: Mapping[bytes, bool], data: bytes, kind: type[MemcacheClientError]
) -> None:
    """The keys before it keep their answers, the connection is out of step."""
    told = Told()
    reply = told.lines(["a", "b", "c"], answers)
    with pytest.raises(kind) as raised:
        reply.feed(data)
    assert not raised.value.in_step
    assert reply.answered == 1
    assert told.answers == {"a": True}
