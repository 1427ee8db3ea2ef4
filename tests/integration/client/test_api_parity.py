"""The same calls to pymemcache's clients and to ours, on one memcached: the same results.

What differs on purpose is in test_api_differences.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pymemcache.client.base import Client
from pymemcache.client.hash import HashClient
from pymemcache.exceptions import (
    MemcacheClientError,
    MemcacheIllegalInputError,
    MemcacheServerError,
)
from pymemcache.serde import compressed_serde, pickle_serde

from client import ClientSettings, DecodeError, EncodeError, MemcacheClient

PATIENT_S = 5.0  # an op_timeout that a busy machine does not reach
TOKEN = object()  # stands for the token of the last `gets`

Step = tuple[str, tuple[Any, ...], dict[str, Any]]


def step(method: str, *args: Any, **named: Any) -> Step:
    """Write down a call."""
    return (method, args, named)


STORY: dict[str, list[Step]] = {
    "get": [
        step("get", "k"),
        step("get", "k", b"default"),
        step("get", key="k", default=5),
        step("set", "k", b"v"),
        step("get", b"k"),
    ],
    "set": [
        step("set", "k", b"v", 60, False, 5),
        step("set", key="k", value="text", expire=0, noreply=None, flags=None),
        step("get", "k"),
        step("set", "k", 12),
        step("get", "k"),
        step("set", "k", 1.5),
        step("get", "k"),
        step("set", "k", b""),
        step("get", "k"),
        step("set", "k", b"gone", -1),
        step("get", "k"),
    ],
    "add and replace": [
        step("replace", "k", b"v"),
        step("add", "k", b"v", expire=60, noreply=False),
        step("add", "k", b"w"),
        step("replace", "k", b"w", 60, False),
        step("get", "k"),
    ],
    "append and prepend": [
        step("append", "k", b"v"),
        step("prepend", "k", b"v"),
        step("set", "k", b"b"),
        step("append", "k", b"c", 0, False),
        step("prepend", "k", b"a", 0, False),
        step("get", "k"),
    ],
    "gets and cas": [
        step("gets", "k"),
        step("gets", "k", b"default", b"token"),
        step("cas", "k", b"v", "1"),
        step("set", "k", b"v"),
        step("gets", "k"),
        step("cas", "k", b"w", TOKEN, 60, False),
        step("cas", "k", b"x", cas=TOKEN),
        step("cas", "k", b"x", 999_999_999),
        step("get", "k"),
        step("cas", "k", b"x", "1 2"),
        step("cas", "k", b"x", b"x"),
    ],
    "delete": [
        step("delete", "k"),
        step("set", "k", b"v"),
        step("delete", "k", noreply=False),
        step("delete", key="k"),
    ],
    "counters": [
        step("incr", "n", 1),
        step("decr", "n", 1),
        step("set", "n", 10),
        step("incr", "n", 5),
        step("incr", key="n", value=0, noreply=False),
        step("decr", "n", 20),
        step("set", "n", (1 << 64) - 1),
        step("incr", "n", 2),
        step("set", "n", b"text"),
        step("incr", "n", 1),
        step("get", "n"),
    ],
    "touch": [
        step("touch", "k", 5),
        step("set", "k", b"v"),
        step("touch", "k"),
        step("touch", "k", expire=60, noreply=False),
        step("get", "k"),
        step("touch", "k", -1),
        step("get", "k"),
    ],
    "many": [
        step("get_many", []),
        step("get_many", ["a", "b"]),
        step("set_many", {"a": b"1", "b": "2", "c": 3}, 60),
        step("set_many", values={"a": b"1"}, expire=60, noreply=False),
        step("set_multi", {"d": b"4"}),
        step("get_many", ["a", "b", "none", "c"]),
        step("get_multi", ["a", "d"]),
        step("gets_many", ["none"]),
        step("get_many", keys=["a"]),
    ],
    "illegal arguments": [
        step("get", "a b"),
        step("get", "k" * 251),
        step("get", "\u00fc"),
        step("get", "a\0b"),
        step("set", "k", "\u00fc"),
        step("set", "k", b"v", "1"),
        step("touch", "k", 1.5),
        step("incr", "k", "1"),
        step("set_many", {"a": b"1", "b c": b"2"}),
        step("get", "k"),
    ],
    "too large": [step("set", "k", b"x" * 2_000_000), step("get", "k")],
    "everything gone": [
        step("set", "k", b"v"),
        step("flush_all", 0, False),
        step("get", "k"),
    ],
}
WITH_SERDE = {
    "values": [
        step("set", "k", {"a": [1, None]}),
        step("get", "k"),
        step("set", "k", "gr\u00fc\u00dfe"),
        step("get", "k"),
        step("set", "k", 7),
        step("get", "k"),
        step("incr", "k", 1),
        step("get", "k"),
        step("set", "k", None),
        step("get", "k", "default"),
        step("set", "k", b"bytes"),
        step("gets", "k"),
        step("cas", "k", [1], TOKEN),
        step("get", "k"),
        step("set", "k", ["x"] * 1_000),
        step("get", "k"),
        step("set", "k", b"raw", flags=0),
        step("get", "k"),
        step("add", "n", (1, 2)),
        step("replace", "n", {3}),
        step("get", b"n"),
    ],
    "many": [
        step("set_many", {"a": {"x": 1}, "b": "text", "c": 3}),
        step("get_many", ["a", "b", "none", "c"]),
    ],
}
# The base classes: of ours and pymemcache's errors alike.
KINDS = (MemcacheClientError, MemcacheServerError, MemcacheIllegalInputError)


@pytest.fixture
def server(memcached: Callable[..., Any]) -> Any:
    return memcached()


@pytest.fixture
def make(server: Any) -> Iterator[Callable[..., Any]]:
    """Give a function that makes a client of the named kind, closed with the test."""
    made: list[Any] = []

    def build(kind: str, serde: Any = None) -> Any:
        theirs = {"timeout": PATIENT_S, "connect_timeout": PATIENT_S, "default_noreply": False}
        if serde is not None:
            theirs["serde"] = serde
        if kind == "Client":
            made.append(Client(server.address, **theirs))
        elif kind == "HashClient":
            made.append(HashClient([server.address], **theirs))
        else:
            settings = ClientSettings(op_timeout=PATIENT_S, protocol=kind, serde=serde)
            made.append(MemcacheClient([server.address], settings))
        return made[-1]

    yield build
    for client in made:
        client.close()


def tell(client: Any, story: list[Step]) -> list[Any]:
    """Make the calls and give what came of each; tokens are all alike."""
    client.flush_all()
    results: list[Any] = []
    token: Any = None
    for method, given, given_by_name in story:
        args = [token if arg is TOKEN else arg for arg in given]
        named = {name: token if arg is TOKEN else arg for name, arg in given_by_name.items()}
        try:
            result = getattr(client, method)(*args, **named)
        except KINDS as error:
            result = [kind.__name__ for kind in KINDS if isinstance(error, kind)]
        if method == "gets" and result[0] in (b"v", b"bytes"):
            token = result[1]
            assert type(token) is bytes
            result = (result[0], "a token")
        results.append((method, result))
    return results


@pytest.mark.parametrize("mine", ["auto", "meta", "text"])
@pytest.mark.parametrize("story", STORY.values(), ids=STORY.keys())
def test_results_of_client(make: Callable[..., Any], story: list[Step], mine: str) -> None:
    """Every result, and the kind of every error, is that of pymemcache's Client."""
    assert tell(make(mine), story) == tell(make("Client"), story)


# Where HashClient itself differs from Client: flush_all gives None.
OF_HASH_CLIENT = {name: story for name, story in STORY.items() if name != "everything gone"}


@pytest.mark.parametrize("story", OF_HASH_CLIENT.values(), ids=OF_HASH_CLIENT.keys())
def test_results_of_hash_client(make: Callable[..., Any], story: list[Step]) -> None:
    """They are those of HashClient as well."""
    assert tell(make("auto"), story) == tell(make("HashClient"), story)


@pytest.mark.parametrize("serde", [pickle_serde, compressed_serde], ids=["pickle", "compressed"])
@pytest.mark.parametrize("mine", ["auto", "meta", "text"])
@pytest.mark.parametrize("story", WITH_SERDE.values(), ids=WITH_SERDE.keys())
def test_results_with_a_serde(
    make: Callable[..., Any], story: list[Step], mine: str, serde: Any
) -> None:
    """A serde of pymemcache gives the same values here, and its flags are kept."""
    assert tell(make(mine, serde), story) == tell(make("Client", serde), story)


@pytest.mark.parametrize("serde", [pickle_serde, compressed_serde], ids=["pickle", "compressed"])
def test_each_reads_what_the_other_stored(make: Callable[..., Any], serde: Any) -> None:
    """A fleet can be switched one service at a time."""
    ours, theirs = make("auto", serde), make("Client", serde)
    for value in ({"a": 1}, "text", 7, b"bytes", ["x"] * 1_000, None):
        ours.set("ours", value)
        theirs.set("theirs", value)
        assert theirs.get("ours", "miss") == ours.get("theirs", "miss") == value
        assert theirs.get_many(["ours"]) == {"ours": value}
        assert ours.get_many(["theirs"]) == {"theirs": value}


class Failing:
    """A serde that fails on what it is told to."""

    def serialize(self, key: Any, value: Any) -> tuple[Any, int]:
        if value == "unwritable":
            raise KeyError(value)
        return value, 0

    def deserialize(self, key: Any, value: bytes, flags: int) -> Any:
        if value == b"unreadable":
            raise KeyError(value)
        return value


@pytest.mark.parametrize("mine", ["auto", "meta", "text"])
def test_a_serde_that_fails_costs_no_connection(make: Callable[..., Any], mine: str) -> None:
    """It is the caller's error, typed, and the next call finds everything in order."""
    cache = make(mine, Failing())
    for _ in range(5):
        with pytest.raises(EncodeError):
            cache.set("k", "unwritable")
        assert cache.set("k", "unreadable") is True
        for read in (cache.get, cache.gets, cache.get_item):
            with pytest.raises(DecodeError) as raised:
                read("k")
            assert isinstance(raised.value.__cause__, KeyError)
        assert cache.set("k", "fine") is True
        assert cache.get("k") == b"fine"
    (node,) = cache.snapshot().values()
    assert node["pool"]["created"] == 1
    assert node["breaker"] == "closed"
    assert node["failures"] == {}


SHARED = (
    *("get", "gets", "set", "add", "replace", "append", "prepend", "cas", "delete", "incr", "decr"),
    *("touch", "get_many", "gets_many", "set_many", "delete_many", "flush_all", "version", "stats"),
    *("get_multi", "set_multi", "delete_multi", "close"),
)


@pytest.mark.parametrize("name", SHARED)
def test_signatures(name: str) -> None:
    """Arguments have the names, the order and the defaults of pymemcache's; ours come behind."""
    theirs = list(inspect.signature(getattr(Client, name)).parameters.values())
    ours = list(inspect.signature(getattr(MemcacheClient, name)).parameters.values())
    assert [(p.name, p.kind, p.default) for p in ours[: len(theirs)]] == [
        (p.name, p.kind, p.default) for p in theirs
    ]
    assert all(p.kind is p.KEYWORD_ONLY for p in ours[len(theirs) :])


def test_version_and_statistics(make: Callable[..., Any]) -> None:
    """Both give what Client gives; counters that move apart."""
    ours, theirs = make("auto"), make("Client")
    assert ours.version() == theirs.version()
    mine, other = ours.stats(), theirs.stats()
    assert {name: type(value) for name, value in mine.items()} == {
        name: type(value) for name, value in other.items()
    }
    assert mine[b"pid"] == other[b"pid"]
    assert ours.stats("settings")[b"maxbytes"] == theirs.stats("settings")[b"maxbytes"]
    with pytest.raises(MemcacheIllegalInputError):
        ours.stats("items\r\nflush_all")
