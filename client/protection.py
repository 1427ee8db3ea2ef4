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
from typing import Any, Protocol

PROTECTIONS = ("none", "lock")

LOCK_TTL_S = 5  # a winner that dies blocks its key no longer; whole seconds are memcached's unit
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


@dataclass(frozen=True, kw_only=True)
class LockSettings:
    """The numbers of the lock protection, times in seconds, and how it passes time."""

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
    a bounded time. `errors` are the client's failures. Raises what `origin` raises.
    """
    if protection not in PROTECTIONS:
        raise ValueError(f"unknown protection {protection!r}: known: {', '.join(PROTECTIONS)}")
    try:
        value = client.get(key)
    except errors:
        return origin()
    if value is not None:
        return value  # type: ignore[no-any-return]  # a stranger's client may give anything
    if protection == "none":
        return _refill(client, key, origin, ttl, errors)
    return _fetch_locked(client, key, origin, ttl, lock=lock or LockSettings(), errors=errors)


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
        lock.sleep(
            pause * (0.5 + lock.rng.random() / 2)
        )  # jittered, so the losers do not look as one
        pause = min(pause * 2, lock.poll_max_s)
        try:
            value = client.get(key)
        except errors:
            return origin()
        if value is not None:
            return value  # type: ignore[no-any-return]  # a stranger's client may give anything
    try:
        return _refill(client, key, origin, ttl, errors)
    finally:
        with contextlib.suppress(*errors):  # it expires by itself
            client.delete(name)
