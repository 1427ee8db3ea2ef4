"""Stampede protections on a real memcached: many callers, one expired key, one origin."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import gevent
import pytest

from client import MemcacheClient
from client.protection import LockSettings, fetch

PATIENT_S = 5.0  # an op_timeout that a busy machine does not reach
CALLERS = 40
ORIGIN_S = 0.2
PATIENT = LockSettings(ttl_s=30, wait_s=20.0)  # nobody gives up because the machine is busy


@pytest.fixture
def cache(memcached: Callable[..., Any], client: Callable[..., MemcacheClient]) -> MemcacheClient:
    return client(memcached().address, op_timeout=PATIENT_S)


class Origin:
    """A slow origin that numbers its answers."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> bytes:
        self.calls += 1
        answer = b"answer %d" % self.calls
        time.sleep(ORIGIN_S)
        return answer


def fetch_all(cache: MemcacheClient, origin: Origin, protection: str) -> list[bytes]:
    """Have all callers fetch the same key at once."""
    callers = [
        gevent.spawn(fetch, cache, "k", origin, 60, protection, lock=PATIENT)
        for _ in range(CALLERS)
    ]
    gevent.joinall(callers, timeout=30, raise_error=True)
    return [caller.value for caller in callers]


@pytest.mark.parametrize(("protection", "calls"), [("none", CALLERS), ("lock", 1), ("lease", 1)])
def test_who_asks_the_origin(cache: MemcacheClient, protection: str, calls: int) -> None:
    """Without a protection everyone does; with one, a single caller for all."""
    origin = Origin()
    values = fetch_all(cache, origin, protection)
    assert origin.calls == calls
    assert len(values) == CALLERS
    assert all(value.startswith(b"answer ") for value in values)
    assert cache.get("k") in values


def test_a_stale_value_is_served_while_one_renews_it(cache: MemcacheClient) -> None:
    """Marked as stale, the old value is for all but the one who makes the new one."""
    cache.set("k", b"old", 60)
    cache.delete("k", stale_ttl=60)
    origin = Origin()
    values = fetch_all(cache, origin, "lease")
    assert origin.calls == 1
    assert sorted(values) == [b"answer 1"] + [b"old"] * (CALLERS - 1)
    assert cache.get("k") == b"answer 1"


def test_without_leases_the_lease_is_a_lock(
    memcached: Callable[..., Any], client: Callable[..., MemcacheClient]
) -> None:
    """A client that speaks text alone protects as well as it can."""
    cache = client(memcached().address, op_timeout=PATIENT_S, protocol="text")
    origin = Origin()
    assert set(fetch_all(cache, origin, "lease")) == {b"answer 1"}
    assert origin.calls == 1
