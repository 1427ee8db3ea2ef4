"""The everyday load: reads, writes, deletes and counters, some keys hot and most of one user.

60 get / 30 set / 5 delete / 5 incr unless a mix says otherwise. 30 % of the keys asked for are ten
hot ones that all users share, the others a thousand of the user's own. Misses are not filled in: a
steady part of the keys is expired or deleted, and the prefill starts from that state.
"""

from __future__ import annotations

from users import keys
from users.base import MemcacheUser
from users.prefill import Item
from users.presets import MIXED
from users.steady import LONG_TTL_S, remaining_ttl

HOT_KEYS = 10
HOT_SHARE = 0.3
OWN_KEYS = 1_000
COUNTERS = 10
TTL_S = (30, 90)
CLOSED_LOOP_RATE = 1_000.0  # iterations a second of one process, where nobody says how many
ZERO = b"0"


class MixedUser(MemcacheUser):
    """A bit of everything."""

    kind = "mixed"
    weight = 6

    def prepare(self) -> None:
        """Choose the keys and store what the steady state of the mix holds."""
        assert self.load is not None
        settings = self.load.settings
        self.mix = dict(settings.mix or MIXED)
        prefix = f"{settings.run_id}:m"
        mine = f"{prefix}{settings.worker_index}.{self.index}"
        hot = [f"{prefix}:hot{i}" for i in range(HOT_KEYS)]
        own = [f"{mine}:{i}" for i in range(OWN_KEYS)]
        self.counters = [f"{mine}:n{i}" for i in range(COUNTERS)]
        self._ops = keys.mixed_ops(self.rng, self.mix)
        self._keys = keys.hot_set(self.rng, hot, own, HOT_SHARE)
        self._counter = keys.uniform(self.rng, self.counters)
        self.prefill.store_shared("mixed", lambda: self._hot_items(hot))
        self.prefill.store(self._own_items(own))

    def _hot_items(self, hot: list[str]) -> list[Item]:
        # Changed several times a second: within a second they are as if they had always been.
        ttl_s = self._write_ttl() if self._writes_share() else LONG_TTL_S
        return [Item(key, self.new_value(key), ttl_s) for key in hot]

    def _own_items(self, own: list[str]) -> list[Item]:
        per_key = self._iterations_a_s() * (1 - HOT_SHARE) / OWN_KEYS
        items = [Item(key, ZERO, LONG_TTL_S) for key in self.counters]
        for key in own:
            ttl_s = remaining_ttl(
                self.rng,
                sets_a_s=per_key * self._writes_share(),
                deletes_a_s=per_key * self._share("delete"),
                low_s=TTL_S[0],
                high_s=TTL_S[1],
            )
            value = self.new_value(key)
            items.append(Item(key, value, ttl_s or LONG_TTL_S, stay=ttl_s is not None))
        return items

    def _iterations_a_s(self) -> float:
        assert self.load is not None
        return self.load.expected_rate or CLOSED_LOOP_RATE / max(1, self.load.user_count)

    def _share(self, op: str) -> float:
        return self.mix.get(op, 0) / sum(self.mix.values())

    def _writes_share(self) -> float:
        return self._share("set") + self._share("add")

    def _write_ttl(self) -> int:
        return self.rng.randint(*TTL_S)

    def iterate(self) -> None:
        """Do one operation of the mix."""
        op = next(self._ops)
        if op == "get":
            self.get(next(self._keys))
        elif op == "incr":
            self._count(next(self._counter))
        elif op == "delete":
            self.delete(next(self._keys))
        else:
            key = next(self._keys)
            write = self.set if op == "set" else self.add
            write(key, self.new_value(key), self._write_ttl())

    def _count(self, counter: str) -> None:
        if self.incr(counter) is None:  # the node lost it: begin again
            self.add(counter, ZERO, LONG_TTL_S)
