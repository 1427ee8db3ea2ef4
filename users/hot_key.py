"""Few keys get most of the traffic: popularity by Zipf's law over keys that all users share.

The skew is an option; 1.2 is the median of Twitter's clusters (OSDI 2020). Whatever node holds the
first keys carries far more than its share, as a real one does.
"""

from __future__ import annotations

from cluster.slabs import Items
from users import keys
from users.base import KEY_BYTES, MemcacheUser
from users.context import LoadSettings
from users.prefill import Item
from users.presets import HOT_KEY
from users.steady import LONG_TTL_S

SHARED_KEYS = 1_000


class HotKeyUser(MemcacheUser):
    """95 get / 5 set by Zipf's law."""

    kind = "hot_key"
    weight = 2

    @classmethod
    def kept(cls, settings: LoadSettings, users: int, rate: float) -> list[Items]:
        """Return the shared keys."""
        return [Items(count=SHARED_KEYS, key=KEY_BYTES, value=settings.value_size)]

    def prepare(self) -> None:
        """Store the shared keys once in this process."""
        assert self.load is not None
        settings = self.load.settings
        shared = [f"{settings.run_id}:z:{i}" for i in range(SHARED_KEYS)]
        self._ops = keys.mixed_ops(self.rng, HOT_KEY)
        self._keys = keys.zipf(self.rng, shared, settings.zipf_alpha)
        self.prefill.store_shared(
            "hot_key", lambda: [Item(key, self.new_value(key), LONG_TTL_S) for key in shared]
        )

    def iterate(self) -> None:
        """Read or write one popular key."""
        key = next(self._keys)
        if next(self._ops) == "get":
            self.get(key)
        else:
            self.set(key, self.new_value(key), LONG_TTL_S)
