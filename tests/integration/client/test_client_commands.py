"""Every command against a real memcached, with the results pymemcache gives."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from client import (
    ClientClosed,
    ClientError,
    IllegalInput,
    MemcacheClient,
    OperationTimeout,
    ServerError,
    ValueTooLarge,
    build,
)


@pytest.fixture
def cache(memcached: Callable[..., Any], client: Callable[..., MemcacheClient]) -> MemcacheClient:
    return client(memcached().address)


def pool_of(cache: MemcacheClient) -> dict[str, Any]:
    (node,) = cache.snapshot().values()
    pool: dict[str, Any] = node["pool"]
    return pool


def test_values(cache: MemcacheClient) -> None:
    """Values come back as the bytes that were stored; text and numbers are encoded."""
    values: list[tuple[Any, bytes]] = [
        *[(b"", b""), (b"\r\nEND\r\n", b"\r\nEND\r\n"), (b"x" * 900_000, b"x" * 900_000)],
        *[("text", b"text"), (7, b"7"), (bytearray(b"a"), b"a")],
    ]
    for stored, read in values:
        assert cache.set("k", stored) is True
        assert cache.get("k") == cache.get(b"k") == read
    assert cache.get("missing") is None
    assert cache.get("missing", "default") == "default"


def test_conditional_stores(cache: MemcacheClient) -> None:
    """Add, replace, append and prepend say whether they stored."""
    assert cache.replace("k", b"x") is False
    assert cache.append("k", b"x") is False
    assert cache.prepend("k", b"x") is False
    assert cache.add("k", b"b") is True
    assert cache.add("k", b"x") is False
    assert cache.append("k", b"c") is True
    assert cache.prepend("k", b"a") is True
    assert cache.get("k") == b"abc"
    assert cache.replace("k", b"new") is True


def test_cas(cache: MemcacheClient) -> None:
    """True when unchanged, False when changed, None when gone."""
    assert cache.gets("k") == (None, None)
    assert cache.cas("k", b"x", b"1") is None
    cache.set("k", b"one")
    value, token = cache.gets("k")
    assert value == b"one"
    assert cache.cas("k", b"two", token) is True
    assert cache.cas("k", b"three", token) is False
    assert cache.get("k") == b"two"
    with pytest.raises(IllegalInput):
        cache.cas("k", b"x", "1 noreply")


def test_counters(cache: MemcacheClient) -> None:
    """Counters give numbers, None when missing; what is no number is the caller's error."""
    assert cache.incr("n", 1) is None
    cache.set("n", 10)
    assert cache.incr("n", 5) == 15
    assert cache.decr("n", 20) == 0
    cache.set("n", b"text")
    for _ in range(20):
        with pytest.raises(ClientError):
            cache.incr("n", 1)
    (node,) = cache.snapshot().values()
    assert node["breaker"] == "closed"
    assert node["failures"] == {"client_error": 20}
    assert node["pool"]["created"] == 1, "an error in good order keeps the connection"


def test_delete_and_touch(cache: MemcacheClient) -> None:
    """Both say whether the key was there."""
    assert cache.delete("k") is False
    assert cache.touch("k", 5) is False
    cache.set("k", b"v", 60)
    assert cache.touch("k", 100) is True
    assert cache.delete("k") is True


@pytest.mark.parametrize(("protocol", "kept"), [("text", b"old"), ("meta", None)])
def test_too_large_is_the_servers_answer(
    cache: MemcacheClient, protocol: str, kept: bytes | None
) -> None:
    """A refused value is an error, the connection stays in step, the breaker does not care.

    The old value is gone after `set`, and over meta also after what would have changed it.
    """
    big = b"x" * 2_000_000
    for _ in range(10):
        cache.set("k", b"old")
        with pytest.raises(ValueTooLarge, match="too large"):
            cache.append("k", big, protocol=protocol)
        assert cache.get("k") == kept
        with pytest.raises(ValueTooLarge, match="too large") as raised:
            cache.set("k", big, protocol=protocol)
        assert isinstance(raised.value, ServerError)
        assert raised.value.happened == "server_reply"
        assert cache.get("k") is None
    (node,) = cache.snapshot().values()
    assert node["breaker"] == "closed"
    assert node["pool"]["created"] == 1


def test_batches(memcached: Callable[..., Any], client: Callable[..., MemcacheClient]) -> None:
    """Batches go to all nodes, in chunks, and take any mix of text and bytes."""
    cache = client(*(memcached().address for _ in range(3)))
    values = {f"key:{index}": b"v%d" % index * 20 for index in range(1_000)}
    assert cache.set_many(values, 60) == []
    found = cache.get_many(iter(values))
    assert found == values
    assert found.failed == {}
    one = b"v1" * 20
    assert cache.get_many(["key:1", b"key:1", "none"]) == {"key:1": one, b"key:1": one}
    value, token = cache.gets_many(["key:2"])["key:2"]
    assert cache.cas("key:2", value, token) is True
    assert cache.delete_many(["key:1", "none"]) == {"key:1": True, "none": False}
    assert cache.get_multi(["key:1"]) == {}
    assert all(node["pool"]["in_use"] == 0 for node in cache.snapshot().values())
    assert all(node["pool"]["created"] == 1 for node in cache.snapshot().values())


def test_batches_of_large_values(cache: MemcacheClient) -> None:
    """Requests and replies far beyond any buffer go through without locking up."""
    values = {f"key:{index}": bytes([index]) * 200_000 for index in range(40)}
    assert cache.set_many(values) == []
    assert cache.get_many(values) == values


def test_a_batch_names_what_was_refused(cache: MemcacheClient) -> None:
    """One value too large costs only its own key."""
    failed = cache.set_many({"a": b"1", "big": b"x" * 2_000_000, "c": b"3"})
    assert failed == ["big"]
    assert isinstance(failed.failed["big"], ServerError)
    assert failed.failed["big"].node in cache.snapshot()
    assert cache.get_many(["a", "big", "c"]) == {"a": b"1", "c": b"3"}
    assert pool_of(cache)["created"] == 1


def test_empty_batches_ask_nobody(cache: MemcacheClient) -> None:
    """An empty batch is empty, and no node hears of it."""
    assert cache.get_many([]) == {}
    assert cache.set_many({}) == []
    assert cache.delete_many([]) == {}
    assert pool_of(cache)["created"] == 0


def test_a_batch_with_an_illegal_argument_sends_nothing(cache: MemcacheClient) -> None:
    """Keys and values are checked before the first byte leaves."""
    with pytest.raises(IllegalInput):
        cache.get_many(["a", "b c"])
    with pytest.raises(IllegalInput):
        cache.set_many({"a": b"1", "b": None})
    assert pool_of(cache)["created"] == 0


def test_close(cache: MemcacheClient) -> None:
    """After close every call says so; closing twice is no error."""
    cache.set("k", b"v")
    cache.close()
    cache.close()
    with pytest.raises(ClientClosed):
        cache.get("k")
    assert set(cache.get_many(["k"]).failed) == {"k"}
    pool = pool_of(cache)
    assert (pool["total"], pool["closed"]) == (0, {"client_closed": 1})


def test_names_are_resolved(memcached: Callable[..., Any]) -> None:
    """A node may be given by name, and every address behind it is tried."""
    server = memcached()

    class Settings:
        pool_size = 2
        op_timeout = 2.0  # a busy machine may take its time to resolve
        connect_timeout = 2.0

    with build([("localhost", server.port)], Settings()) as cache:
        assert cache.set("k", b"v") is True
        assert cache.node_for("k") == f"localhost:{server.port}"


def test_repr_tells_the_state(cache: MemcacheClient) -> None:
    """The repr names each node, its breaker and its pool."""
    cache.set("k", b"v")
    label = cache.node_for("k")
    assert repr(cache) == (
        f"<MemcacheClient <Node {label} closed <Pool 0 in use, 1 idle, 0 waiting>>>"
    )


def test_every_repr_is_a_line(cache: MemcacheClient) -> None:
    """Client, node, pool and breaker each say their state in one line, before a call and after."""
    (node,) = cache._nodes.values()
    for _ in range(2):
        told = [repr(part) for part in (cache, node, node.pool, node.breaker)]
        assert [line.split(" ")[0] for line in told] == [
            "<MemcacheClient", "<Node", "<Pool", "<Breaker",
        ]  # fmt: skip
        assert all("\n" not in line and line.endswith(">") for line in told)
        assert all("closed" in line for line in (told[0], told[1], told[3]))
        cache.get("k")
    assert "1 idle" in repr(node.pool)


THREADS = """
import sys, threading
from client import MemcacheClient, ClientSettings
assert "gevent" not in sys.modules and "locust" not in sys.modules
settings = ClientSettings(pool_size=3, op_timeout=10)
client = MemcacheClient([("127.0.0.1", int(sys.argv[1]))], settings)
client.set("n", 0)
wrong = []
def work(me):
    for turn in range(100):
        key, value = f"t{me}", b"%d:%d" % (me, turn)
        client.set(key, value)
        if client.get(key) != value: wrong.append(value)
        client.incr("n", 1)
threads = [threading.Thread(target=work, args=(me,)) for me in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
pool = list(client.snapshot().values())[0]["pool"]
assert not wrong, wrong
assert client.get("n") == b"800", client.get("n")
assert pool["in_use"] == pool["waiting"] == 0 and pool["total"] <= 3, pool
client.close()
"""


def test_plain_threads(memcached: Callable[..., Any]) -> None:
    """Without gevent, real threads share a small pool: nothing lost, nothing mixed up."""
    command = [sys.executable, "-W", "error", "-c", THREADS, str(memcached().port)]
    subprocess.run(command, check=True, timeout=60)


def test_deadline_error_is_a_timeout_error(
    byte_server: Callable[..., Any], client: Callable[..., MemcacheClient]
) -> None:
    """A server that never answers gives a TimeoutError that says what is known."""
    server = byte_server(lambda _: time.sleep(5))
    cache = client(server.address, op_timeout=0.1)
    with pytest.raises(OperationTimeout) as raised:
        cache.get("k")
    assert isinstance(raised.value, TimeoutError)
    assert raised.value.happened == "indeterminate"
    assert raised.value.node == cache.node_for("k")
    mine, theirs = raised.value.connection.split(" to ")
    assert theirs == cache.node_for("k")
    assert int(mine.rpartition(":")[2]) > 0  # to be found in a capture of packets
