"""Clients that forget, repeat or invent, one fault each: the ledger has to convict them by name.

Each follows the contract `CALLABLE(nodes, settings)` and behaves well apart from its one fault.
"""

from __future__ import annotations

import itertools
import time
from typing import Any

from client import MemcacheClient, build

CACHED_S = 0.5  # long enough to outlive a write, short enough to look like a good idea
ONE_IN = 25
OLD_RING_ONE_IN = 5  # half of these find the right node all the same


class Around:
    """A good client inside, for those that spoil one method of it."""

    def __init__(self, inner: MemcacheClient) -> None:
        self._inner = inner
        self._count = itertools.count(1)

    @classmethod
    def over(cls, nodes: Any, settings: Any) -> Around:
        """Build one, as the contract wants it."""
        return cls(build(nodes, settings))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class FiresAndForgets(Around):
    """Says that a value was stored without waiting to hear of it, as noreply does."""

    def set(self, key: str, value: bytes, expire: int = 0) -> bool:
        try:
            self._inner.set(key, value, expire)
        except Exception:
            return True
        return True


class AcknowledgesNothing(Around):
    """Now and then stores nothing at all, and says that it did."""

    def set(self, key: str, value: bytes, expire: int = 0) -> Any:
        if next(self._count) % ONE_IN == 0:
            return True
        return self._inner.set(key, value, expire)


class CountsTwice(Around):
    """Asks again when an answer is slow to come, although the first request was carried out."""

    def incr(self, key: str, value: int) -> Any:
        if next(self._count) % ONE_IN == 0:
            self._inner.incr(key, value)
        return self._inner.incr(key, value)


class StoresBlindly(Around):
    """Takes the token of a cas and does not send it."""

    def cas(self, key: str, value: bytes, cas: Any, expire: int = 0) -> Any:
        return self._inner.set(key, value, expire)


class RemembersTooLong(Around):
    """Keeps what it read for half a second, whatever is written meanwhile."""

    def __init__(self, inner: MemcacheClient) -> None:
        super().__init__(inner)
        self._near: dict[str, tuple[float, bytes]] = {}

    def get(self, key: str, default: Any = None) -> Any:
        until, value = self._near.get(key, (0.0, b""))
        if time.monotonic() < until:
            return value
        found = self._inner.get(key, default)
        if found is not None:
            self._near[key] = (time.monotonic() + CACHED_S, found)
        return found


class KeepsTheOldRing(Around):
    """Some of its calls still go by a ring of long ago."""

    def __init__(self, inner: MemcacheClient, old: MemcacheClient) -> None:
        super().__init__(inner)
        self._old = old

    def _ring(self) -> MemcacheClient:
        return self._old if next(self._count) % OLD_RING_ONE_IN == 0 else self._inner

    def get(self, key: str, default: Any = None) -> Any:
        return self._ring().get(key, default)

    def set(self, key: str, value: bytes, expire: int = 0) -> Any:
        return self._ring().set(key, value, expire)

    def close(self) -> None:
        self._inner.close()
        self._old.close()


class CallsErrorsMisses(Around):
    """Answers nothing where it should fail, so that nobody has to handle an error."""

    def get(self, key: str, default: Any = None) -> Any:
        try:
            return self._inner.get(key, default)
        except Exception:
            return default


fires_and_forgets = FiresAndForgets.over
acknowledges_nothing = AcknowledgesNothing.over
counts_twice = CountsTwice.over
stores_blindly = StoresBlindly.over
remembers_too_long = RemembersTooLong.over
calls_errors_misses = CallsErrorsMisses.over


def keeps_the_old_ring(nodes: Any, settings: Any) -> Around:
    return KeepsTheOldRing(build(nodes, settings), build(list(reversed(nodes))[:-1], settings))
