"""Stampede protections against a cache in memory: who asks the origin, and how often."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from client.errors import MetaUnsupported
from client.items import NO_ITEM, Item
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


@pytest.mark.parametrize("protection", ["none", "lock", "lease"])
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
    assert cache.calls == ["get", "add", "get", "set", "delete"]


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


def test_lock_winner_looks_again() -> None:
    """Who locks just after another has stored and unlocked takes the value that is there now."""
    cache, origin = MemoryCache(), Origin()
    add = cache.add

    def store_and_add(key: str, value: bytes, expire: int) -> bool:
        cache.data["k"] = b"the winner's"
        return add(key, value, expire)

    cache.add = store_and_add  # type: ignore[method-assign]
    assert fetch(cache, "k", origin, 5, "lock") == b"the winner's"
    assert origin.calls == 0
    assert cache.data == {"k": b"the winner's"}, "and the lock is gone"


def test_long_keys_have_locks_too() -> None:
    """The name of a lock is a legal key."""
    assert len(lock_key("k" * 250)) == 250


def test_unknown_protection() -> None:
    """It is named, with those that exist."""
    with pytest.raises(ValueError, match="'luck': known: none, lock, lease"):
        fetch(MemoryCache(), "k", Origin(), 5, "luck")


class LeasingMemoryCache(MemoryCache):
    """A cache with leases, that marks values as stale when it is told to."""

    def __init__(self, *failing: str) -> None:
        super().__init__(*failing)
        self.held: set[str] = set()
        self.stale: set[str] = set()
        self.has_leases = True

    def get_or_lease(self, key: str, lease_ttl_s: int) -> Item:
        self._called("get_or_lease")
        if not self.has_leases:
            raise MetaUnsupported
        value, is_stale = self.data.get(key), key in self.stale
        if value is not None and not is_stale:
            return Item(value=value, flags=0, cas=b"1")
        won = key not in self.held
        self.held.add(key)
        return Item(value=value, flags=0, cas=b"1", is_stale=is_stale, won=won, is_held=not won)

    def cas(self, key: str, value: bytes, cas: bytes, expire: int) -> bool | None:
        self._called("cas")
        if key not in self.held:
            return None
        self.data[key] = value
        self.stale.discard(key)
        self.held.discard(key)
        return True

    def delete(self, key: str) -> bool:
        self.held.discard(key)
        return super().delete(key)


def test_the_winner_of_a_lease_fills_it() -> None:
    """One request finds nothing and wins, one stores; nothing else is asked."""
    cache, origin = LeasingMemoryCache(), Origin()
    assert fetch(cache, "k", origin, 5, "lease") == b"from the origin"
    assert fetch(cache, "k", origin, 5, "lease") == b"from the origin"
    assert origin.calls == 1
    assert cache.calls == ["get_or_lease", "cas", "get_or_lease"]


def test_who_does_not_win_waits_for_the_winner() -> None:
    """The value of the winner is taken as soon as it is there, and the origin is left alone."""
    cache, origin = LeasingMemoryCache(), Origin()
    cache.held.add("k")
    time = Time({3: lambda: cache.cas("k", b"the winner's", b"1", 5)})
    assert fetch(cache, "k", origin, 5, "lease", lock=time.lock()) == b"the winner's"
    assert (origin.calls, len(time.sleeps)) == (0, 3)


def test_who_does_not_win_takes_a_stale_value_at_once() -> None:
    """A stale value is served while one caller renews it; that one gets the new value."""
    cache, origin = LeasingMemoryCache(), Origin()
    cache.data["k"] = b"old"
    cache.stale.add("k")
    cache.held.add("k")
    assert fetch(cache, "k", origin, 5, "lease") == b"old"
    cache.held.clear()
    assert fetch(cache, "k", origin, 5, "lease") == b"from the origin"
    assert origin.calls == 1


def test_a_winner_that_is_lost_costs_a_bounded_wait() -> None:
    """A lease nobody fills sends the others to the origin after wait_s."""
    cache, origin = LeasingMemoryCache(), Origin()
    cache.held.add("k")
    time = Time()
    settings = time.lock()
    assert fetch(cache, "k", origin, 5, "lease", lock=settings) == b"from the origin"
    assert time.now <= settings.wait_s + settings.poll_max_s
    assert cache.data["k"] == b"from the origin"


def test_an_origin_that_fails_frees_the_lease() -> None:
    """Its error is the caller's; nobody waits for what will not come, and stale values stay."""

    def fail() -> bytes:
        raise OSError("no origin")

    cache = LeasingMemoryCache()
    with pytest.raises(OSError, match="no origin"):
        fetch(cache, "k", fail, 5, "lease")
    assert not cache.held
    cache.data["k"] = b"old"
    cache.stale.add("k")
    with pytest.raises(OSError, match="no origin"):
        fetch(cache, "k", fail, 5, "lease")
    assert cache.data["k"] == b"old"


@pytest.mark.parametrize("failing", ["get_or_lease", "cas", "delete"])
def test_a_failing_lease_is_no_reason_to_fail(failing: str) -> None:
    """The origin answers, once, whatever the cache does."""
    cache, origin = LeasingMemoryCache(failing), Origin()
    assert fetch(cache, "k", origin, 5, "lease") == b"from the origin"
    assert origin.calls == 1


@pytest.mark.parametrize("kind", ["client", "node"])
def test_without_leases_there_is_the_lock(kind: str) -> None:
    """A client without the method and a node without meta get the protection they can have."""
    cache = MemoryCache() if kind == "client" else LeasingMemoryCache()
    if isinstance(cache, LeasingMemoryCache):
        cache.has_leases = False
    origin = Origin()
    assert fetch(cache, "k", origin, 5, "lease") == b"from the origin"
    assert cache.calls[-5:] == ["get", "add", "get", "set", "delete"]


def test_a_place_that_cannot_be_held_is_not_waited_for() -> None:
    """A node too full for a place-holder leases nothing: the origin answers at once."""
    cache, origin, time = LeasingMemoryCache(), Origin(), Time()
    cache.get_or_lease = lambda *_: NO_ITEM  # type: ignore[method-assign]
    assert fetch(cache, "k", origin, 5, "lease", lock=time.lock()) == b"from the origin"
    assert (origin.calls, time.sleeps) == (1, [])
