"""Calls cut off on real connections: a good client hands on nothing of them, a bad one does."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import gevent.lock
import locust  # noqa: F401 - makes sockets cooperative, as in the product
import pytest
from pymemcache.client.base import Client as OneSocket

from users.clients import ClientOptions, construct, resolve
from users.cutting import CutOffError, CuttingClient, Knife
from users.values import check, make

SIZE = 100
CALLERS = 8
CALLS = 150  # of each: hundreds of cuts at every third call
LIMIT_S = 30.0


@pytest.fixture
def address(memcached: Callable[..., Any]) -> tuple[str, int]:
    found: tuple[str, int] = memcached().address
    return found


def call_it(client: Any, share: float) -> tuple[Knife, Counter[str]]:
    """Let several greenlets read and write values that prove themselves, some calls cut off."""
    knife = Knife(share, random.Random(7))
    cutting = CuttingClient(client, knife)
    seen: Counter[str] = Counter()

    def caller(own: int) -> None:
        for turn in range(CALLS):
            key = f"k{own}.{turn % 5}"
            try:
                if turn % 3 == 0:
                    seen["set"] += cutting.set(key, make(key, f"w{own}", turn + 1, SIZE), 60)
                else:
                    value = cutting.get(key)
                    right = value is None or check(key, value, SIZE) is None
                    seen["right" if right else "wrong"] += 1
            except CutOffError:
                seen["cut"] += 1
            except Exception:
                seen["error"] += 1

    with gevent.Timeout(LIMIT_S):
        gevent.joinall([gevent.spawn(caller, own) for own in range(CALLERS)], raise_error=True)
    return knife, seen


@pytest.fixture
def good(address: tuple[str, int]) -> Iterator[Any]:
    options = ClientOptions(pool_size=CALLERS, op_timeout=5.0, connect_timeout=5.0)
    client = construct(resolve("memquake"), [address], options)
    yield client
    client.close()


def test_a_good_client_loses_the_cut_calls_and_nothing_else(good: Any) -> None:
    """No error, no foreign value, no slot is left of calls cut off by either means."""
    knife, seen = call_it(good, 0.3)
    assert knife.cuts.by_timeout > 10
    assert knife.cuts.by_kill > 10
    assert seen["cut"] == knife.cuts.cut
    assert seen["right"] > 100
    assert (seen["wrong"], seen["error"]) == (0, 0)
    (state,) = good.snapshot().values()
    assert state["pool"]["in_use"] == 0


class Unguarded(OneSocket):
    """One socket for all callers, kept whatever ends a call: replies go to whoever reads next."""

    def close(self) -> None:
        """Keep the connection: this is the fault."""


def test_a_client_that_keeps_the_connection_gives_it_away(address: tuple[str, int]) -> None:
    """The same cuts, a client that reuses what was cut: others' values, or errors, show."""
    client = Unguarded(address, default_noreply=False, timeout=1.0, connect_timeout=5.0)
    lock = gevent.lock.BoundedSemaphore()  # one call at a time: only the cuts are to blame
    locked = _Locked(client, lock)
    _, before = call_it(locked, 1e-9)
    assert (before["wrong"], before["error"], before["cut"]) == (0, 0, 0)
    knife, seen = call_it(locked, 0.05)
    OneSocket.close(client)
    assert knife.cuts.cut > 0
    assert seen["wrong"] + seen["error"] > 0


class _Locked:
    def __init__(self, client: Any, lock: Any) -> None:
        self._client = client
        self._lock = lock

    def get(self, key: str) -> Any:
        with self._lock:
            return self._client.get(key)

    def set(self, key: str, value: bytes, expire: int) -> Any:
        with self._lock:
            return self._client.set(key, value, expire)
