"""What differs from pymemcache on purpose, so that nobody finds out by surprise."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from pymemcache.client.base import Client

from client import ClientSettings, IllegalInput, MemcacheClient, MemcacheClientError

PATIENT_S = 5.0  # an op_timeout that a busy machine does not reach


@pytest.fixture
def server(memcached: Callable[..., Any]) -> Any:
    return memcached()


@pytest.fixture
def cache(server: Any, client: Callable[..., MemcacheClient]) -> MemcacheClient:
    return client(server.address, op_timeout=PATIENT_S)


def test_version_of_one_of_many(memcached: Callable[..., Any]) -> None:
    """Of several nodes one has to be named."""
    servers = [memcached() for _ in range(2)]
    settings = ClientSettings(op_timeout=PATIENT_S)
    with MemcacheClient([server.address for server in servers], settings) as cache:
        with pytest.raises(IllegalInput, match="node must be one of"):
            cache.version()
        for server in servers:
            assert cache.version(node=server.label)
            assert cache.stats(node=server.label)[b"pid"] == server.pid


def test_flush_all_tells_every_node(memcached: Callable[..., Any]) -> None:
    """One node that is gone does not keep the others from forgetting, and is named."""
    servers = [memcached() for _ in range(3)]
    settings = ClientSettings(op_timeout=PATIENT_S)
    with MemcacheClient([server.address for server in servers], settings) as cache:
        keys = [f"k{index}" for index in range(50)]
        assert cache.set_many(dict.fromkeys(keys, b"v")) == []
        assert len({cache.node_for(key) for key in keys}) == len(servers)
        servers[0].stop()
        with pytest.raises(MemcacheClientError) as raised:
            cache.flush_all()
        assert raised.value.node == servers[0].label
        assert cache.get_many(keys) == {}


def test_noreply_is_refused(cache: MemcacheClient) -> None:
    """A write nobody answers for may fail unseen: noreply=True is an error in one line."""
    for call in (
        lambda: cache.set("k", b"v", noreply=True),
        lambda: cache.cas("k", b"v", 1, noreply=True),
        lambda: cache.delete("k", noreply=True),
        lambda: cache.incr("k", 1, noreply=True),
        lambda: cache.touch("k", 1, noreply=True),
        lambda: cache.set_many({"k": b"v"}, noreply=True),
        lambda: cache.delete_many(["k"], noreply=True),
        lambda: cache.flush_all(noreply=True),
    ):
        with pytest.raises(IllegalInput, match="noreply=True would hide failed writes"):
            call()
    assert cache.get("k") is None


def test_values_that_would_be_mistakes(cache: MemcacheClient) -> None:
    """Without a serde pymemcache stores None as the text "None"; here it is refused."""
    for value in (None, [1], {"a": 1}, object()):
        with pytest.raises(IllegalInput):
            cache.set("k", value)


def test_deleting_many_says_which(server: Any, cache: MemcacheClient) -> None:
    """Where pymemcache gives True for whatever happened, here is {key: whether it was there}."""
    with closing(Client(server.address, timeout=PATIENT_S, default_noreply=False)) as theirs:
        for one, results in ((theirs, True), (cache, {"a": True, "none": False})):
            one.set("a", b"1")
            assert one.delete_many(["a", "none"]) == results
            assert one.get("a") is None


def test_keys_with_control_characters(server: Any, cache: MemcacheClient) -> None:
    """The protocol forbids them, pymemcache lets them pass, here they are illegal."""
    with closing(Client(server.address, timeout=PATIENT_S, default_noreply=False)) as theirs:
        assert theirs.set("a\x01b", b"v") is True
    with pytest.raises(IllegalInput, match="control characters"):
        cache.set("a\x01b", b"v")


def test_text_and_bytes_are_one_key(memcached: Callable[..., Any]) -> None:
    """HashClient may look for 'k' and b'k' on different nodes; here they are the same key."""
    settings = ClientSettings(op_timeout=PATIENT_S, ring="rendezvous")
    with MemcacheClient([memcached().address for _ in range(2)], settings) as cache:
        for index in range(50):
            key = f"k{index}"
            assert cache.node_for(key) == cache.node_for(key.encode())
            cache.set(key, b"v")
            assert cache.get(key.encode()) == b"v"
            assert cache.get_many([key, key.encode()]) == {key: b"v", key.encode(): b"v"}
