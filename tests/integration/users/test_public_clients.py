"""Each adapter of tests/clients is built, stores, reads and counts at real nodes."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import pytest

from client.operation import Outcome
from tests.clients.table import CLIENTS
from users.clients import ClientOptions, construct, resolve
from users.outcomes import classify

OPTIONS = ClientOptions(pool_size=3, op_timeout=2.0, connect_timeout=1.0)
WITH_WHEELS = {"tests.clients.libmemcached": "pylibmc", "tests.clients.meta": "meta_memcache"}
"""Modules -> packages that there are wheels of for some versions of Python alone."""


def is_installed(spec: str) -> bool:
    package = WITH_WHEELS.get(spec.partition(":")[0])
    return package is None or importlib.util.find_spec(package) is not None


@pytest.mark.parametrize("spec", [spec for spec in CLIENTS.values() if is_installed(spec)])
def test_an_adapter_works_at_real_nodes(memcached: Callable[..., Any], spec: str) -> None:
    nodes = [memcached() for _ in range(2)]
    client = construct(resolve(spec), [node.address for node in nodes], OPTIONS)
    assert client.get("absent") is None
    long_one = bytes(range(256)) * 4
    for key, value in (("k", b"1"), ("long", long_one)):
        assert client.set(key, value, 60) is True
        assert client.get(key) == value
    assert client.add("k", b"2", 60) is False
    assert client.incr("k", 2) == 3
    assert client.incr("absent", 1) is None
    if hasattr(client, "decr"):
        assert client.decr("k", 1) == 2
        assert client.decr("absent", 1) is None
    if hasattr(client, "cas"):
        assert client.gets("absent")[0] is None
        value, token = client.gets("long")
        assert value == long_one
        assert client.cas("long", long_one, token, 60) is True
        assert client.cas("long", b"late", token, 60) is False
    keys = [f"many:{index}" for index in range(10)]
    for key in keys:
        assert client.set(key, key.encode(), 60) is True
    assert dict(client.get_many([*keys, "absent"])) == {key: key.encode() for key in keys}
    assert client.delete("k") is True
    assert client.get("k") is None
    end = getattr(client, "close", None) or client.disconnect_all
    end()


LEAVE_OUT = {
    "tests.clients.libmemcached:pylibmc_pool",
    "tests.clients.libmemcached:django_pylibmc_threads",
    "tests.clients.meta:meta_memcache_threads",
}


@pytest.mark.parametrize("spec", [spec for spec in LEAVE_OUT if is_installed(spec)])
def test_a_node_that_is_left_out_is_told_from_one_that_fails(
    memcached: Callable[..., Any], spec: str
) -> None:
    """Libraries have names of their own for what is a breaker that is open."""
    node = memcached()
    client = construct(resolve(spec), [node.address], OPTIONS)
    assert client.set("k", b"1", 60) is True
    node.stop()
    seen = []
    for _ in range(5):
        try:
            client.get("k")  # the first one after the node's end is a miss in libmemcached
        except Exception as error:
            seen.append(classify(error))
    assert seen[-1] is Outcome.BREAKER_OPEN
    client.close()
