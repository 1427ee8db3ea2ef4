"""Many keys at once: the fan-out of a page that needs dozens of items from all nodes.

Batches have 24 keys on average and 95 at p95 (NSDI 2013), so nearly every one touches every node
and a single dead node reaches nearly every page. A few single sets keep the keys alive where a
node lost them.
"""

from __future__ import annotations

from cluster.slabs import Items
from users import keys
from users.base import KEY_BYTES, MemcacheUser
from users.context import LoadSettings
from users.prefill import Item
from users.steady import LONG_TTL_S

SHARED_KEYS = 2_000
MIX = {"get_many": 95, "set": 5}


class MultiGetUser(MemcacheUser):
    """95 batches / 5 single sets over keys that all users share."""

    kind = "multi_get"
    weight = 1

    @classmethod
    def kept(cls, settings: LoadSettings, users: int, rate: float) -> list[Items]:
        """Return the shared keys."""
        return [Items(count=SHARED_KEYS, key=KEY_BYTES, value=settings.value_size)]

    def prepare(self) -> None:
        """Store the shared keys once in this process."""
        assert self.load is not None
        shared = [f"{self.load.settings.run_id}:b:{i}" for i in range(SHARED_KEYS)]
        self._ops = keys.mixed_ops(self.rng, MIX)
        self._batches = keys.batches(self.rng, shared)
        self._keys = keys.uniform(self.rng, shared)
        self.prefill.store_shared(
            "multi_get", lambda: [Item(key, self.new_value(key), LONG_TTL_S) for key in shared]
        )

    def iterate(self) -> None:
        """Read a batch, or write one key."""
        if next(self._ops) == "get_many":
            self.get_many(next(self._batches))
        else:
            key = next(self._keys)
            self.set(key, self.new_value(key), LONG_TTL_S)
