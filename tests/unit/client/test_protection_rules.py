"""Stampede protections against a cache in memory: who asks the origin, and how often."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from client.protection import LockSettings, fetch, lock_key


class MemoryCache:
    """A cache in a dictionary that may fail on chosen methods."""

    def __init__(self, *failing: str) -> None:
        self.data: dict[str, bytes] = {}
        self.failing = set(failing)
        self.calls: list[str] = []

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if name in self.failing:
            raise ConnectionError(name)

    def get(self, key: str) -> bytes | None:
        self._called("get")
        return self.data.get(key)

    def add(self, key: str, value: bytes, expire: int) -> bool:
        self._called("add")
        is_new = key not in self.data
        self.data.setdefault(key, value)
        return is_new

    def set(self, key: str, value: bytes, expire: int) -> bool:
        self._called("set")
        self.data[key] = value
        return True

    def delete(self, key: str) -> bool:
        self._called("delete")
        return self.data.pop(key, None) is not None


class Origin:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> bytes:
        self.calls += 1
        return b"from the origin"


class Time:
    """Time that passes only by sleeping; `events` happen at the sleep of that number."""

    def __init__(self, events: dict[int, Callable[[], object]] | None = None) -> None:
        self.now = 0.0
        self.sleeps: list[float] = []
        self.events = events or {}

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds
        self.events.get(len(self.sleeps), lambda: None)()

    def lock(self) -> LockSettings:
        return LockSettings(sleep=self.sleep, clock=lambda: self.now, rng=random.Random(1))


@pytest.mark.parametrize("protection", ["none", "lock"])
def test_a_hit_asks_nobody(protection: str) -> None:
    """A value in the cache is the answer."""
    cache, origin = MemoryCache(), Origin()
    cache.data["k"] = b"cached"
    assert fetch(cache, "k", origin, 5, protection) == b"cached"
    assert (origin.calls, cache.calls) == (0, ["get"])


def test_none_fills_the_cache_on_a_miss() -> None:
    """Without protection whoever misses asks the origin and stores the answer."""
    cache, origin = MemoryCache(), Origin()
    assert fetch(cache, "k", origin, 5, "none") == b"from the origin"
    assert cache.data == {"k": b"from the origin"}


def test_lock_winner_fills_the_cache_and_unlocks() -> None:
    """Who gets the lock asks the origin, stores, and removes the lock."""
    cache, origin = MemoryCache(), Origin()
    assert fetch(cache, "k", origin, 5, "lock") == b"from the origin"
    assert cache.data == {"k": b"from the origin"}
    assert cache.calls == ["get", "add", "set", "delete"]


def test_lock_winner_unlocks_when_the_origin_fails() -> None:
    """The origin's error is the caller's, and the lock does not outlive it."""
    cache = MemoryCache()

    def broken() -> bytes:
        raise RuntimeError("origin down")

    with pytest.raises(RuntimeError, match="origin down"):
        fetch(cache, "k", broken, 5, "lock")
    assert cache.data == {}


def test_lock_loser_waits_for_the_winners_value() -> None:
    """Losers look again after growing, jittered pauses and never ask the origin."""
    cache, origin = MemoryCache(), Origin()
    cache.data[lock_key("k")] = b"1"
    time = Time({3: lambda: cache.data.update(k=b"winner's")})
    assert fetch(cache, "k", origin, 5, "lock", lock=time.lock()) == b"winner's"
    assert origin.calls == 0
    assert len(time.sleeps) == 3
    assert all(
        0 < pause <= limit for pause, limit in zip(time.sleeps, (0.02, 0.04, 0.08), strict=True)
    )


def test_lock_loser_takes_over_when_the_lock_is_gone() -> None:
    """A winner that ended without a value leaves the lock to the next."""
    cache, origin = MemoryCache(), Origin()
    cache.data[lock_key("k")] = b"1"
    time = Time({2: cache.data.clear})
    assert fetch(cache, "k", origin, 5, "lock", lock=time.lock()) == b"from the origin"
    assert origin.calls == 1
    assert cache.data == {"k": b"from the origin"}


def test_lock_loser_goes_to_the_origin_after_a_bounded_wait() -> None:
    """A winner that hangs costs a loser no more than wait_s and one pause."""
    cache, origin = MemoryCache(), Origin()
    cache.data[lock_key("k")] = b"1"
    time = Time()
    settings = time.lock()
    assert fetch(cache, "k", origin, 5, "lock", lock=settings) == b"from the origin"
    assert time.now <= settings.wait_s + settings.poll_max_s
    assert lock_key("k") in cache.data, "the lock is the winner's to remove"


@pytest.mark.parametrize(
    ("protection", "failing", "stored"),
    [
        ("none", "get", False),
        ("none", "set", False),
        ("lock", "get", False),
        ("lock", "add", False),
        ("lock", "set", False),
        ("lock", "delete", True),
    ],
)
def test_a_failing_cache_is_no_reason_to_fail(protection: str, failing: str, stored: bool) -> None:
    """The origin answers, once, and nothing is stored through a cache that fails."""
    cache, origin = MemoryCache(failing), Origin()
    assert fetch(cache, "k", origin, 5, protection) == b"from the origin"
    assert origin.calls == 1
    assert ("k" in cache.data) == stored


def test_long_keys_have_locks_too() -> None:
    """The name of a lock is a legal key."""
    assert len(lock_key("k" * 250)) == 250


def test_unknown_protection() -> None:
    """It is named, with those that exist."""
    with pytest.raises(ValueError, match="'lease': known: none, lock"):
        fetch(MemoryCache(), "k", Origin(), 5, "lease")
