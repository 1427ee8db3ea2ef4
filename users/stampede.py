"""Many users, one expired key: everyone misses at once, and the origin pays for it.

The key lives a few seconds. Whoever misses it fetches from the origin and stores the answer, under
the protection that the run has chosen. Every call of the cache that the protection makes is
measured like any other; the time at the origin is not the client's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from locust.exception import StopUser

from client.errors import MetaUnsupported
from client.items import Item as Leased
from client.operation import Outcome
from client.protection import LOCK_TTL_S, fetch, lock_key
from cluster.slabs import Items
from users.base import FAILED, KEY_BYTES, MemcacheUser
from users.context import LoadSettings
from users.prefill import Item
from users.strangers import offers
from users.values import check


class CacheCallError(Exception):
    """A call of the cache failed; it has been recorded already."""


class MeasuredCache:
    """The cache as a protection sees it: measured, and raising where it fails.

    Between two calls of a protection the run may have stopped; then the user ends, because the
    client is about to be closed.
    """

    def __init__(self, user: StampedeUser) -> None:
        self._user = user

    def get(self, key: str) -> Any:
        """Read a key, None on a miss."""
        return self._checked(self._user.get, key)

    def add(self, key: str, value: bytes, expire: int = 0) -> Any:
        """Store where there is none."""
        return self._checked(self._user.add, key, value, expire)

    def set(self, key: str, value: bytes, expire: int = 0) -> Any:
        """Store a value."""
        return self._checked(self._user.set, key, value, expire)

    def delete(self, key: str) -> Any:
        """Remove a key."""
        return self._checked(self._user.delete, key)

    def _checked(self, call: Callable[..., Any], *args: Any) -> Any:
        if self._user.load is None or self._user.load.is_stopping:
            raise StopUser
        result = call(*args)
        if result is FAILED:
            raise CacheCallError
        return result


class LeasingCache(MeasuredCache):
    """The cache of a client that has leases."""

    def get_or_lease(self, key: str, lease_ttl_s: int) -> Any:
        """Read a key or be told to make its value."""
        return self._checked(self._user.get_or_lease, key, lease_ttl_s)

    def cas(self, key: str, value: bytes, cas: bytes, expire: int = 0) -> Any:
        """Store what nobody has changed."""
        return self._checked(self._user.cas, key, value, cas, expire)


class StampedeUser(MemcacheUser):
    """Reads one key that expires again and again."""

    kind = "stampede"
    weight = 1
    # Without the cache every iteration spends the origin's 50 ms: at this pace four users of a
    # default run keep up with their schedule while the node of their key is gone.
    pace = 0.25

    @classmethod
    def kept(cls, settings: LoadSettings, users: int, rate: float) -> list[Items]:
        """Return the one key."""
        return [Items(count=1, key=KEY_BYTES, value=settings.value_size)]

    def prepare(self) -> None:
        """Store the key once in this process."""
        assert self.load is not None
        settings = self.load.settings
        self._key = f"{settings.run_id}:stampede"
        self._ttl_s = settings.stampede_ttl_s
        self._protection = settings.protection
        self._origin = self.load.origin
        has_leases = offers(self._client, "get_or_lease")
        self._cache = LeasingCache(self) if has_leases else MeasuredCache(self)
        self.prefill.store_shared("stampede", self._items)

    def _items(self) -> list[Item]:
        # The lock is stored only to learn on which node it lives.
        return [
            Item(self._key, self.new_value(self._key), self._ttl_s),
            Item(lock_key(self._key), b"1", LOCK_TTL_S, stay=False),
        ]

    def iterate(self) -> None:
        """Read the key, and do what a miss asks for."""
        fetch(
            self._cache,
            self._key,
            self._compute,
            self._ttl_s,
            self._protection,
            errors=(CacheCallError,),
        )

    def get_or_lease(self, key: str, lease_ttl_s: int) -> Any:
        """Read a key or win its lease: an item with its verified value, or FAILED.

        A node without leases was asked nothing: MetaUnsupported passes unrecorded.
        """
        clock, inside, name = self._clock, self._inside, self._name
        inside[name] += 1
        started = clock()
        try:
            # Taken apart inside the call: the item may be a stranger's, with properties.
            found = self._client.get_or_lease(key, lease_ttl_s)
            value, won, is_held = found.value, bool(found.won), bool(found.is_held)
            item = Leased(value=value, flags=0, cas=found.cas, won=won, is_held=is_held)
            ended = clock()
        except MetaUnsupported:
            raise
        except BaseException as error:
            return self._raised("get_or_lease", key, started, clock(), error)
        finally:
            inside[name] -= 1
        if value is None:
            self._finish("get_or_lease", key, str(Outcome.MISS), started, ended)
            return item
        if type(value) is bytes and check(key, value, self._size) is None:
            length = len(value)
            hit = str(Outcome.HIT)
            self._finish("get_or_lease", key, hit, started, ended, length=length, hits=1)
            return item
        outcome = self._blame("get_or_lease", key, value, ended)
        self._finish("get_or_lease", key, outcome, started, ended)
        return FAILED

    def cas(self, key: str, value: bytes, cas: bytes, ttl_s: int) -> Any:
        """Store what nobody has changed. True, False or None when it was, or FAILED."""
        return self._write("cas", key, value, cas, ttl_s)

    def _compute(self) -> bytes:
        self._origin.call()
        return self.new_value(self._key)
