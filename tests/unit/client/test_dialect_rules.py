"""Who asks a node what it speaks, when, and what each answer costs the caller: nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest

from client.connection import Connection
from client.dialect import ASK_AGAIN_S, Dialect
from client.errors import (
    AuthenticationFailed,
    ConnectionClosed,
    MemcacheClientError,
    MetaUnsupported,
    OperationTimeout,
    TooManyConnections,
)


class Peer:
    """A connection that answers the question with `answer`, or raises it."""

    def __init__(self, answer: bytes | MemcacheClientError) -> None:
        self.answer = answer
        self.asked_until: float | None = None
        self.is_closed = False

    def write(self, data: bytes, deadline: float) -> None:
        assert data == b"mn\r\n"
        self.asked_until = deadline

    def read_before(self, deadline: float) -> bytes:
        if isinstance(self.answer, bytes):
            return self.answer
        raise self.answer

    def close(self) -> None:
        self.is_closed = True


class Stage:
    """A dialect on a clock of the test's own, and the connections it was given."""

    def __init__(self, protocol: str, *answers: bytes | MemcacheClientError) -> None:
        self.now = 100.0
        self.peers = [Peer(answer) for answer in answers]
        self._next: Iterator[Peer] = iter(self.peers)
        self.dialect = Dialect(
            protocol,
            lambda _: cast(Connection, next(self._next)),
            patience_s=0.25,
            clock=lambda: self.now,
        )

    def connect(self) -> object:
        return self.dialect.connect(self.now + 1.0)


@pytest.mark.parametrize(
    ("answer", "speaks"), [(b"MN\r\n", True), (b"ERROR\r\n", False)], ids=["meta", "classic"]
)
def test_a_clear_answer_stands_and_costs_no_connection(answer: bytes, speaks: bool) -> None:
    """The connection that asked is the caller's; no other one asks, however late."""
    stage = Stage("auto", answer, b"MN\r\n")
    assert stage.dialect.speaks_meta is None
    assert stage.connect() is stage.peers[0]
    assert stage.dialect.speaks_meta is speaks
    stage.now += 10 * ASK_AGAIN_S
    assert stage.connect() is stage.peers[1]
    assert stage.peers[1].asked_until is None


@pytest.mark.parametrize(
    "answer",
    [
        OperationTimeout(),
        ConnectionClosed(),
        b"220 mail.example ESMTP\r\n",
        b"SERVER_ERROR backend failure\r\n",
        b"SERVER_ERROR out of memory during read\r\n",
    ],
    ids=["silence", "hangs up", "nonsense", "a proxy without its server", "no memory"],
)
def test_without_an_answer_the_call_goes_on_over_another_connection(
    answer: bytes | MemcacheClientError,
) -> None:
    """Classic for now; the connection that asked is closed; asked again after a while."""
    stage = Stage("auto", answer, b"MN\r\n", b"MN\r\n")
    assert stage.connect() is stage.peers[1]
    assert stage.peers[0].is_closed
    assert stage.peers[1].asked_until is None
    assert stage.dialect.speaks_meta is False
    stage.now += ASK_AGAIN_S
    assert stage.connect() is stage.peers[2]
    assert stage.dialect.speaks_meta is True


def test_silence_is_waited_for_half_the_time_at_most() -> None:
    """Of a call with 0.2 s left 0.1 s; never longer than the patience."""
    stage = Stage("auto", b"MN\r\n")
    stage.dialect.connect(stage.now + 0.2)
    assert stage.peers[0].asked_until == pytest.approx(stage.now + 0.1)
    patient = Stage("auto", b"MN\r\n")
    patient.dialect.connect(patient.now + 60.0)
    assert patient.peers[0].asked_until == pytest.approx(patient.now + 0.25)


def test_who_comes_while_another_asks_is_not_kept() -> None:
    """One question under way is enough; the others are served the classic way."""
    stage = Stage("auto", b"MN\r\n", b"MN\r\n")
    second: list[object] = []

    def answer(_: float) -> bytes:
        second.append(stage.connect())
        return b"MN\r\n"

    stage.peers[0].read_before = answer  # type: ignore[method-assign]
    assert stage.connect() is stage.peers[0]
    assert second == [stage.peers[1]]
    assert stage.peers[1].asked_until is None


def test_a_kill_in_the_question_closes_the_connection_and_the_next_one_asks() -> None:
    """Whatever cuts the question off goes on untouched, and leaves nothing behind."""

    class Killed(BaseException):
        pass

    stage = Stage("auto", b"MN\r\n", b"MN\r\n")

    def die(_: float) -> bytes:
        raise Killed

    stage.peers[0].read_before = die  # type: ignore[method-assign]
    with pytest.raises(Killed):
        stage.connect()
    assert stage.peers[0].is_closed
    assert stage.connect() is stage.peers[1]
    assert stage.dialect.speaks_meta is True


def test_text_is_never_asked() -> None:
    """Who wants classic commands gets them without a question."""
    stage = Stage("text", b"MN\r\n")
    assert stage.connect() is stage.peers[0]
    assert stage.peers[0].asked_until is None
    assert stage.dialect.speaks_meta is False


def test_where_meta_is_demanded_a_classic_node_is_refused() -> None:
    """A value behind an `ms` that is not understood would be read as commands."""
    stage = Stage("meta", b"ERROR\r\n")
    with pytest.raises(MetaUnsupported):
        stage.connect()
    assert stage.peers[0].is_closed


def test_where_meta_is_demanded_silence_is_no_answer() -> None:
    """The network may be dead: the call goes on, and fails by itself if it must."""
    stage = Stage("meta", OperationTimeout(), b"MN\r\n")
    assert stage.connect() is stage.peers[1]
    assert stage.dialect.speaks_meta is True


def test_a_node_that_asks_for_a_token_says_so() -> None:
    """Nothing else would be understood either."""
    stage = Stage("auto", b"CLIENT_ERROR unauthenticated\r\n")
    with pytest.raises(AuthenticationFailed):
        stage.connect()
    assert stage.peers[0].is_closed


@pytest.mark.parametrize("protocol", ["auto", "meta"])
def test_a_node_without_a_place_has_said_nothing_of_what_it_speaks(protocol: str) -> None:
    """The call ends, the connection is closed, and the very next connection asks."""
    stage = Stage(protocol, b"ERROR Too many open connections\r\n", b"MN\r\n")
    known = stage.dialect.speaks_meta
    with pytest.raises(TooManyConnections):
        stage.connect()
    assert stage.peers[0].is_closed
    assert stage.dialect.speaks_meta is known
    assert stage.connect() is stage.peers[1]
    assert stage.dialect.speaks_meta is True


def test_a_doubt_is_asked_about_at_the_next_connection() -> None:
    """A node may have been replaced by one that speaks less."""
    stage = Stage("auto", b"MN\r\n", b"ERROR\r\n")
    stage.connect()
    stage.dialect.doubt()
    stage.connect()
    assert stage.dialect.speaks_meta is False
