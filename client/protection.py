"""What to do when many callers miss the same key at once: stampede protections.

Helpers on top of any client with pymemcache's methods; a wrapper that measures will do. When the
cache fails, the origin answers and nothing is stored: a cache is never the reason for an error.
The origin's own errors are the caller's. This module starts no thread and keeps no state.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from client.errors import MetaUnsupported
from client.items import Item

PROTECTIONS = ("none", "lock", "lease")

LOCK_TTL_S = 5  # a winner that dies blocks its key no longer (memcached knows whole seconds)
LOCK_WAIT_S = 2.0  # how long a loser believes in the winner before it goes to the origin itself
POLL_S = 0.02  # first pause between looks; it doubles
POLL_MAX_S = 0.2  # a value is at most this late for a loser
LOCK_SUFFIX = ":lock"
_MAX_KEY = 250


class Cache(Protocol):
    """What a protection calls."""

    def get(self, key: str, /) -> Any:
        """Give the value, or None on a miss."""
        ...

    def add(self, key: str, value: bytes, expire: int, /) -> Any:
        """Store if the key is not there; say whether it was stored."""
        ...

    def set(self, key: str, value: bytes, expire: int, /) -> Any:
        """Store."""
        ...

    def delete(self, key: str, /) -> Any:
        """Delete."""
        ...


class LeasingCache(Cache, Protocol):
    """What the lease protection calls as well."""

    def get_or_lease(self, key: str, lease_ttl_s: int, /) -> Item:
        """Give the value, or tell one caller to make it."""
        ...

    def cas(self, key: str, value: bytes, cas: bytes, expire: int, /) -> Any:
        """Store if unchanged."""
        ...


@dataclass(frozen=True, kw_only=True)
class LockSettings:
    """The numbers of the protections by lock and by lease, in seconds, and how they pass time."""

    ttl_s: int = LOCK_TTL_S
    wait_s: float = LOCK_WAIT_S
    poll_s: float = POLL_S
    poll_max_s: float = POLL_MAX_S
    sleep: Callable[[float], object] = time.sleep
    clock: Callable[[], float] = time.monotonic
    rng: random.Random = field(default_factory=random.Random)


def fetch(
    client: Cache,
    key: str,
    origin: Callable[[], bytes],
    ttl: int,
    protection: str = "none",
    *,
    lock: LockSettings | None = None,
    errors: tuple[type[Exception], ...] = (Exception,),
) -> bytes:
    """Give the value of `key` from the cache, or from `origin`, storing it for `ttl` seconds.

    `none`: whoever misses asks the origin. `lock`: one of them does, the others wait for its value
    a bounded time. `lease`: the same by memcached's own means, in one request where the lock needs
    two, and whoever finds a value marked as stale takes it while one caller renews it; where the
    client or a node has no leases it is `lock`. `errors` are the client's failures. Raises what
    `origin` raises.
    """
    if protection not in PROTECTIONS:
        raise ValueError(f"unknown protection {protection!r}: known: {', '.join(PROTECTIONS)}")
    lock = lock or LockSettings()
    if protection == "lease" and callable(getattr(client, "get_or_lease", None)):
        leasing = cast(LeasingCache, client)
        with contextlib.suppress(MetaUnsupported):
            return _fetch_leased(leasing, key, origin, ttl, lock=lock, errors=errors)
    try:
        value = client.get(key)
    except errors:
        return origin()
    if value is not None:
        return value  # type: ignore[no-any-return]  # a stranger's client may give anything
    if protection == "none":
        return _refill(client, key, origin, ttl, errors)
    return _fetch_locked(client, key, origin, ttl, lock=lock, errors=errors)


def lock_key(key: str) -> str:
    """Give the key of the lock; of a key too long for the suffix, its end makes room."""
    return key[: _MAX_KEY - len(LOCK_SUFFIX)] + LOCK_SUFFIX


def _refill(
    client: Cache,
    key: str,
    origin: Callable[[], bytes],
    ttl: int,
    errors: tuple[type[Exception], ...],
) -> bytes:
    value = origin()
    with contextlib.suppress(*errors):  # the caller has its value; the next one will miss
        client.set(key, value, ttl)
    return value


def _fetch_locked(
    client: Cache,
    key: str,
    origin: Callable[[], bytes],
    ttl: int,
    *,
    lock: LockSettings,
    errors: tuple[type[Exception], ...],
) -> bytes:
    name = lock_key(key)
    until = lock.clock() + lock.wait_s
    pause = lock.poll_s
    while True:
        try:
            if client.add(name, b"1", lock.ttl_s):
                break
        except errors:
            return origin()
        if lock.clock() >= until:
            # The winner is slow or gone; its lock stays, so the origin gets at most one caller
            # a wait from each process that loses patience.
            return _refill(client, key, origin, ttl, errors)
        pause = _pause(lock, pause)
        try:
            value = client.get(key)
        except errors:
            return origin()
        if value is not None:
            return value  # type: ignore[no-any-return]  # a stranger's client may give anything
    try:
        # Another may have stored and unlocked between this caller's last look and its lock.
        with contextlib.suppress(*errors):
            value = client.get(key)
            if value is not None:
                return value  # type: ignore[no-any-return]  # a stranger's client may give anything
        return _refill(client, key, origin, ttl, errors)
    finally:
        with contextlib.suppress(*errors):  # it expires by itself
            client.delete(name)


def _fetch_leased(
    client: LeasingCache,
    key: str,
    origin: Callable[[], bytes],
    ttl: int,
    *,
    lock: LockSettings,
    errors: tuple[type[Exception], ...],
) -> bytes:
    until = lock.clock() + lock.wait_s
    pause = lock.poll_s
    while True:
        try:
            found = client.get_or_lease(key, lock.ttl_s)
        except MetaUnsupported:
            raise
        except errors:
            return origin()
        # The cases, in order: 1. this caller is to make the value; 2. there is one, maybe stale;
        # 3. the node could not give a lease, or whoever has it is slow or gone; 4. wait for it.
        if found.won:
            return _fill(client, key, origin, ttl, found=found, errors=errors)
        if found.value is not None:
            return found.value  # type: ignore[no-any-return]  # bytes, or what a serde made
        if not found.is_held or lock.clock() >= until:
            return _refill(client, key, origin, ttl, errors)
        pause = _pause(lock, pause)


def _fill(
    client: LeasingCache,
    key: str,
    origin: Callable[[], bytes],
    ttl: int,
    *,
    found: Item,
    errors: tuple[type[Exception], ...],
) -> bytes:
    """Make the value a lease was given for; stored only if nobody wrote or deleted meanwhile."""
    try:
        value = origin()
    except Exception:
        if found.value is None:  # nobody need wait for what will not come; a stale value stays
            with contextlib.suppress(*errors):
                client.delete(key)
        raise
    with contextlib.suppress(*errors):
        client.cas(key, value, found.cas, ttl)
    return value


def _pause(lock: LockSettings, pause: float) -> float:
    """Wait, jittered so that the losers do not look as one; give the next pause."""
    lock.sleep(pause * (0.5 + lock.rng.random() / 2))
    return min(pause * 2, lock.poll_max_s)
