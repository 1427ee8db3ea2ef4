"""What is said first on a connection: every answer, in every split, ends in a result or a type."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.connection import Connection
from client.errors import (
    AuthenticationFailed,
    ConnectionClosed,
    ConnectRefused,
    ConnectTimeout,
    Happened,
    MemcacheClientError,
    NotMemcached,
    OperationTimeout,
    TooManyConnections,
)
from client.handshake import LINE_MAX, ask_dialect, authenticate
from client.settings import ClientSettings

TOKEN = "user secret"


class Peer:
    """A connection whose reads give these pieces, then raise `end`."""

    def __init__(self, *pieces: bytes, end: MemcacheClientError | None = None) -> None:
        self.sent = b""
        self._pieces = list(pieces)
        self._end = end or OperationTimeout()

    def write(self, data: bytes, deadline: float) -> None:
        self.sent += data

    def read_before(self, deadline: float) -> bytes:
        if not self._pieces:
            raise self._end
        return self._pieces.pop(0)


def asked(peer: Peer) -> bool | None:
    return ask_dialect(cast(Connection, peer), 1.0)


def admitted(peer: Peer) -> None:
    authenticate(cast(Connection, peer), TOKEN, 1.0)


def test_the_token_is_sent_as_memcached_wants_it() -> None:
    """A `set` whose value is the token; expired at once, for a node that asks for none."""
    peer = Peer(b"STORED\r\n")
    admitted(peer)
    assert peer.sent == b"set memquake-token 0 -1 11\r\nuser secret\r\n"


@pytest.mark.parametrize(
    ("reply", "speaks_meta"),
    [
        (b"MN\r\n", True),
        (b"ERROR\r\n", False),
        (b"CLIENT_ERROR malformed request\r\n", False),
        (b"SERVER_ERROR backend failure\r\n", None),
        (b"SERVER_ERROR out of memory writing stats\r\n", None),
    ],
    ids=["meta", "text", "a relay", "a proxy without its server", "no memory"],
)
def test_the_dialect(reply: bytes, speaks_meta: bool | None) -> None:
    """`MN` means meta, a refusal means text, and a server in trouble has not answered."""
    peer = Peer(reply[:2], reply[2:])
    assert asked(peer) is speaks_meta
    assert peer.sent == b"mn\r\n"


REFUSALS: dict[str, tuple[Any, Peer, type[MemcacheClientError]]] = {
    "wrong token": (
        admitted, Peer(b"CLIENT_ERROR authentication failure\r\n"), AuthenticationFailed
    ),
    "token missing": (asked, Peer(b"CLIENT_ERROR unauthenticated\r\n"), AuthenticationFailed),
    "silence": (asked, Peer(), ConnectTimeout),
    "silence after half": (admitted, Peer(b"STOR"), ConnectTimeout),
    "closed": (asked, Peer(end=ConnectionClosed()), ConnectRefused),
    "no place, asked": (asked, Peer(b"ERROR Too many open connections\r\n"), TooManyConnections),
    "no place for a token": (
        admitted, Peer(b"ERROR Too ", b"many open connections\r\n"), TooManyConnections
    ),
    "no memory for a token": (
        admitted, Peer(b"SERVER_ERROR out of memory storing object\r\n"), ConnectRefused
    ),
    "another protocol": (asked, Peer(b"HTTP/1.1 400 Bad Request\r\n"), NotMemcached),
    "another word": (admitted, Peer(b"OK\r\n"), NotMemcached),
    "two answers": (asked, Peer(b"MN\r\nMN\r\n"), NotMemcached),
    "an endless line": (asked, Peer(*[b"x" * 100] * 100), NotMemcached),
}  # fmt: skip


@pytest.mark.parametrize(("say", "peer", "kind"), REFUSALS.values(), ids=REFUSALS.keys())
def test_refusals_are_typed_and_definite(
    say: Any, peer: Peer, kind: type[MemcacheClientError]
) -> None:
    """Whatever the peer does, no request was sent, the error says so, and shows no token."""
    with pytest.raises(kind) as refusal:
        say(peer)
    error: BaseException | None = refusal.value
    assert refusal.value.happened is Happened.NOT_SENT
    while error is not None:
        assert "secret" not in f"{error!r} {error}"
        error = error.__cause__


@given(st.lists(st.binary(min_size=1, max_size=LINE_MAX), max_size=5))
def test_any_bytes_end_in_an_answer_or_a_type(pieces: list[bytes]) -> None:
    """Nothing but MemcacheClientError comes out of any bytes in any pieces."""
    for say in (asked, admitted):
        try:
            say(Peer(*pieces))
        except MemcacheClientError as error:
            happened = error.happened
        else:
            happened = Happened.NOT_SENT
        assert happened is Happened.NOT_SENT


def test_settings_carry_the_token_without_showing_it() -> None:
    """The one place where it is kept has no repr of it."""
    assert "secret" not in repr(ClientSettings(auth_token=TOKEN))
