"""Meta commands against a real memcached, and what a wrong opaque costs."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from client import (
    ClientError,
    IllegalInput,
    Item,
    MemcacheClient,
    MetaUnsupported,
    ProtocolError,
    ValueTooLarge,
)

PATIENT_S = 5.0  # an op_timeout that a busy machine does not reach


@pytest.fixture
def cache(memcached: Callable[..., Any], client: Callable[..., MemcacheClient]) -> MemcacheClient:
    return client(memcached().address, protocol="meta", op_timeout=PATIENT_S)


def pool_of(cache: MemcacheClient) -> dict[str, Any]:
    (node,) = cache.snapshot().values()
    pool: dict[str, Any] = node["pool"]
    return pool


def test_every_command_over_meta(cache: MemcacheClient) -> None:
    """The results are those of the text protocol, and one connection serves them all."""
    assert cache.get("k") is None
    assert cache.replace("k", b"x") is False
    assert cache.append("k", b"x") is False
    assert cache.add("k", b"b", 60, flags=7) is True
    assert cache.add("k", b"x") is False
    assert (cache.append("k", b"c"), cache.prepend("k", b"a")) == (True, True)
    value, token = cache.gets("k")
    assert value == b"abc"
    assert cache.cas("k", b"new", token, 60) is True
    assert cache.cas("k", b"x", token) is False
    assert cache.cas("none", b"x", token) is None
    assert cache.touch("k", 100) is True
    assert cache.touch("none", 100) is False
    assert cache.gat("k", 50) == b"new"
    assert cache.gats("k", 50)[0] == b"new"
    assert cache.gat("none", 50, default=b"?") == b"?"
    assert cache.gats("none", 50) == (None, None)
    assert (cache.delete("k"), cache.delete("k")) == (True, False)
    assert cache.set("n", 10) is True
    assert (cache.incr("n", 5), cache.decr("n", 20), cache.incr("none", 1)) == (15, 0, None)
    for value in (b"", b"\r\nEN O1\r\n", b"x" * 900_000):
        assert cache.set("k", value) is True
        assert cache.get("k") == cache.gets("k")[0] == value
    assert pool_of(cache)["created"] == 1


def test_items(cache: MemcacheClient) -> None:
    """Flags, token and the seconds left come with the value."""
    cache.set("k", b"v", 100, flags=1 << 31)
    item = cache.get_item("k")
    assert item is not None
    assert (item.value, item.flags) == (b"v", 1 << 31)
    assert item.ttl_s is not None
    assert 0 < item.ttl_s <= 100
    assert cache.cas("k", b"w", item.cas) is True
    forever = cache.get_item("k")
    assert forever is not None
    assert forever.ttl_s == -1
    assert cache.get_item("none") is None


def test_items_over_text(cache: MemcacheClient) -> None:
    """The text protocol tells flags and token."""
    cache.set("k", b"v", 100, flags=5, protocol="text")
    item = cache.get_item("k", protocol="text")
    assert item is not None
    assert item == Item(value=b"v", flags=5, cas=item.cas)
    assert cache.gat("k", 5, protocol="text") == b"v"
    assert cache.gats("k", 5, protocol="text") == (b"v", item.cas)
    assert cache.get("k", protocol="text") == b"v"


def test_counters_that_are_made(cache: MemcacheClient) -> None:
    """A missing counter is made with the initial number, which is the result."""
    assert cache.incr("n", 1, initial=10) == 10
    assert cache.incr("n", 1, initial=10) == 11
    assert cache.decr("m", 1, initial=0, initial_expire=100) == 0
    item = cache.get_item("m")
    assert item is not None
    assert item.ttl_s is not None
    assert 0 < item.ttl_s <= 100
    assert cache.incr("big", 1, initial=(1 << 64) - 1) == (1 << 64) - 1
    assert cache.incr("big", 1) == 0, "64 bits begin again"
    cache.set("n", b"text")
    for _ in range(5):
        with pytest.raises(ClientError):
            cache.incr("n", 1, initial=1)
    assert pool_of(cache)["created"] == 1
    with pytest.raises(IllegalInput):
        cache.incr("n", 1, initial=-1)


def test_a_lease_has_one_winner(cache: MemcacheClient) -> None:
    """The first wins, the others are told to wait until it has stored."""
    first = cache.get_or_lease("k", 30)
    assert (first.value, first.won, first.is_held, first.is_stale) == (None, True, False, False)
    others = [cache.get_or_lease("k", 30) for _ in range(3)]
    assert {(other.value, other.won, other.is_held) for other in others} == {(None, False, True)}
    assert cache.get("k", "miss") == "miss", "a place-holder is no empty value"
    assert cache.gets("k") == (None, None)
    assert cache.cas("k", b"v", first.cas, 60) is True
    found = cache.get_or_lease("k", 30)
    assert (found.value, found.won, found.is_held) == (b"v", False, False)
    assert cache.cas("k", b"late", first.cas) is False, "a lease is good for one value"


def test_a_winner_that_is_late_stores_nothing(cache: MemcacheClient) -> None:
    """Who deletes a key takes the lease away."""
    first = cache.get_or_lease("k", 30)
    assert cache.delete("k") is True
    assert cache.cas("k", b"late", first.cas) is None
    assert cache.get_or_lease("k", 30).won


def test_a_stale_value_is_renewed_by_one(cache: MemcacheClient) -> None:
    """Marked as stale, a value is still there for all, and one is told to renew it."""
    cache.set("k", b"old", 60)
    before = cache.gets("k")[1]
    assert cache.delete("k", stale_ttl=30) is True
    assert cache.delete("none", stale_ttl=30) is False
    first, second = cache.get_or_lease("k", 30), cache.get_or_lease("k", 30)
    assert (first.value, first.is_stale, first.won) == (b"old", True, True)
    assert (second.value, second.is_stale, second.won, second.is_held) == (
        b"old",
        True,
        False,
        True,
    )
    assert cache.get("k") == b"old"
    assert cache.cas("k", b"x", before) is False, "marking gives a new token"
    assert cache.cas("k", b"new", first.cas, 60) is True
    assert cache.get_or_lease("k", 30) == cache.get_item("k")
    assert cache.get("k") == b"new"


def test_a_value_about_to_expire_is_renewed_by_one(cache: MemcacheClient) -> None:
    """With renew_before_s one caller renews what has less time left."""
    cache.set("k", b"v", 20)
    assert not cache.get_or_lease("k", 30, renew_before_s=5).won
    first = cache.get_or_lease("k", 30, renew_before_s=60)
    second = cache.get_or_lease("k", 30, renew_before_s=60)
    assert (first.value, first.won) == (b"v", True)
    assert (second.value, second.won, second.is_held) == (b"v", False, True)


@pytest.mark.parametrize("seconds", [0, -1, 1.5, None], ids=str)
def test_a_lease_lasts_whole_seconds(cache: MemcacheClient, seconds: Any) -> None:
    """A lease for ever would be one that a lost winner keeps."""
    with pytest.raises(IllegalInput):
        cache.get_or_lease("k", seconds)
    assert pool_of(cache)["created"] == 0


def test_too_large_over_meta(cache: MemcacheClient) -> None:
    """The node swallows the value: the connection goes on, and every opaque is right."""
    for _ in range(5):
        with pytest.raises(ValueTooLarge):
            cache.set("k", b"x" * 2_000_000)
        assert cache.get("k") is None
    assert pool_of(cache)["created"] == 1


def test_text_never_speaks_meta(
    memcached: Callable[..., Any], client: Callable[..., MemcacheClient]
) -> None:
    """What only meta can do is refused in one line, before anything is sent."""
    cache = client(memcached().address, protocol="text", op_timeout=PATIENT_S)
    for call in (
        lambda: cache.incr("n", 1, initial=1),
        lambda: cache.get_or_lease("k", 30),
        lambda: cache.delete("k", stale_ttl=30),
        lambda: cache.set("k", b"v", protocol="meta"),
    ):
        with pytest.raises(MetaUnsupported) as raised:
            call()
        assert raised.value.happened == "not_sent"
        assert "\n" not in str(raised.value)
    assert cache.get_item("k") is None
    with pytest.raises(IllegalInput, match="protocol must be one of"):
        cache.gets("k", protocol="binary")


def serve(requests: list[bytes], answer: Callable[[bytes], bytes]) -> Callable[..., None]:
    """Give a handler that answers each line, and keeps what it was asked."""

    def handle(connection: socket.socket) -> None:
        kept = b""
        while data := connection.recv(65_536):
            *lines, kept = (kept + data).split(b"\r\n")
            for line in lines:
                requests.append(line)
                connection.sendall(answer(line))

    return handle


def test_a_node_that_knows_text_alone(
    byte_server: Callable[..., Any], client: Callable[..., MemcacheClient]
) -> None:
    """It is asked at first; reads go as text, and what needs meta says so. Nothing is stored."""
    requests: list[bytes] = []

    def answer(line: bytes) -> bytes:
        if line.startswith((b"get", b"gat")):
            return b"END\r\n"
        return b"ERROR\r\n"

    cache = client(byte_server(serve(requests, answer)).address, op_timeout=PATIENT_S)
    assert cache.gets("k") == (None, None)
    assert cache.gat("k", 5) is None
    for _ in range(3):
        with pytest.raises(MetaUnsupported):
            cache.incr("n", 1, initial=1)
        with pytest.raises(MetaUnsupported):
            cache.set("k", b"flush_all", protocol="meta")
    said = [line for line in requests if line != b"mn"]
    assert said == [b"gets k", b"gat 5 k"], "a value is never taken for commands"
    # The first call asks, and so does the connection that it opens; then it is known.
    assert len(requests) - len(said) <= 2
    assert pool_of(cache)["created"] == 1


@pytest.mark.parametrize("said", [b"EN O1\r\n", b"EN\r\n", b"HD\r\n", b"VA 1 O1 f0 c1 t1\r\nx\r\n"])
def test_a_reply_without_the_opaque_costs_the_connection(
    byte_server: Callable[..., Any], client: Callable[..., MemcacheClient], said: bytes
) -> None:
    """It belongs to nobody known: a typed error, and the connection is never used again."""

    def answer(line: bytes) -> bytes:
        return b"MN\r\n" if line == b"mn" else said

    cache = client(byte_server(serve([], answer)).address, op_timeout=PATIENT_S)
    calls: list[Callable[[], Any]] = [
        lambda: cache.get("k"),
        lambda: cache.gets("k"),
        lambda: cache.delete("k", protocol="meta"),
        lambda: cache.incr("k", 1, initial=1),
    ]
    for call in calls:
        with pytest.raises(ProtocolError):
            call()
    pool = pool_of(cache)
    assert pool["total"] == 0
    assert pool["closed"] == {"protocol_error": len(calls)}


def test_replies_that_come_one_late(
    byte_server: Callable[..., Any], client: Callable[..., MemcacheClient]
) -> None:
    """A server one reply behind is found out at once, by every command, without a wrong value."""

    def late(connection: socket.socket) -> None:
        behind = [b"EN O7\r\n"]
        kept = b""
        while data := connection.recv(65_536):
            *lines, kept = (kept + data).split(b"\r\n")
            for line in lines:
                if line == b"mn":
                    connection.sendall(b"MN\r\n")
                    continue
                opaque = line.split(b" ")[-1]
                behind.append(b"VA 1 f0 c1 t-1 %b\r\nx\r\n" % opaque)
                connection.sendall(behind.pop(0))

    cache = client(byte_server(late).address, op_timeout=PATIENT_S)
    for _ in range(3):
        with pytest.raises(ProtocolError):
            cache.gets("k")
    assert pool_of(cache)["in_use"] == 0


TTL = {
    "0 never expires": (0, True),
    "a negative one has expired": (-1, False),
    "30 days are a duration": (60 * 60 * 24 * 30, True),
    "more is a time, long past": (60 * 60 * 24 * 30 + 1, False),
}


@pytest.mark.parametrize("protocol", ["text", "meta"])
@pytest.mark.parametrize(("expire", "is_there"), TTL.values(), ids=TTL.keys())
def test_times_to_live(cache: MemcacheClient, protocol: str, expire: int, is_there: bool) -> None:
    """Every command that takes a time to live reads it the same way, over both protocols."""

    def store() -> None:
        cache.set("k", b"v")

    calls: list[Callable[[], Any]] = [
        lambda: cache.set("k", b"v", expire, protocol=protocol),
        lambda: cache.replace("k", b"v", expire, protocol=protocol),
        lambda: cache.touch("k", expire, protocol=protocol),
        lambda: cache.gat("k", expire, protocol=protocol),
        lambda: cache.cas("k", b"v", cache.gets("k")[1], expire, protocol=protocol),
    ]
    for call in calls:
        store()
        assert call() is not None
        assert (cache.get("k") == b"v") is is_there
    cache.delete("k")
    assert cache.add("k", b"v", expire, protocol=protocol) is True
    assert (cache.get("k") == b"v") is is_there


@pytest.mark.parametrize("protocol", ["text", "meta"])
def test_an_absolute_time(cache: MemcacheClient, protocol: str) -> None:
    """A Unix time in the future is when the item ends."""
    at = int(time.time()) + 1_000
    assert cache.set("k", b"v", at, protocol=protocol) is True
    item = cache.get_item("k")
    assert item is not None
    assert item.ttl_s is not None
    assert 900 < item.ttl_s <= 1_001
