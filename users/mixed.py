"""The everyday load: reads, writes, deletes and counters, some keys hot and most of one user.

60 get / 30 set / 5 delete / 5 incr unless a mix says otherwise. 30 % of the keys asked for are ten
hot ones that all users share, the others a thousand of the user's own. Misses are not filled in: a
steady part of the keys is expired or deleted, and the prefill starts from that state.
"""

from __future__ import annotations

from cluster.slabs import Items
from users import keys
from users.base import KEY_BYTES, MemcacheUser
from users.bounds import Bounds
from users.context import LoadContext, LoadSettings
from users.counting import step
from users.prefill import Item
from users.presets import MIXED
from users.steady import LONG_TTL_S, remaining_ttl, share_there
from users.values import names_versions, version_of

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

    @classmethod
    def kept(cls, settings: LoadSettings, users: int, rate: float) -> list[Items]:
        """Return the hot keys, counters, and those of its own keys that are there at a time."""
        mix = dict(settings.mix or MIXED)
        per_key = (rate or CLOSED_LOOP_RATE / users) * (1 - HOT_SHARE) / OWN_KEYS
        there = OWN_KEYS * share_there(
            sets_a_s=per_key * (mix.get("set", 0) + mix.get("add", 0)) / sum(mix.values()),
            deletes_a_s=per_key * mix.get("delete", 0) / sum(mix.values()),
            low_s=TTL_S[0],
            high_s=TTL_S[1],
        )
        return [
            Items(count=HOT_KEYS + users * there, key=KEY_BYTES, value=settings.value_size),
            Items(count=users * COUNTERS, key=KEY_BYTES, value=len(ZERO)),
        ]

    def join(self, load: LoadContext) -> None:
        """Become a user of this run, with a book for the keys that nobody else writes."""
        super().join(load)
        self._accounts = load.accounts
        self._book = load.accounts.open_book(self.writer)
        self._pages = self._book.pages

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
        began = self._clock()
        items = self._own_items(own)
        self.prefill.store(items)
        self._enter(items, began)

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

    def _enter(self, items: list[Item], began: float) -> None:
        """Note what the prefill has stored, for keys whose values name their version."""
        for item in items:
            version = version_of(item.value, self.writer)
            if item.key in self.counters:
                self._accounts.counters[item.key] = Bounds(int(ZERO))
            elif version is None or not names_versions(item.key, self.writer, self._size):
                continue
            elif item.stay:
                self._book.known(item.key, version, item.value, began, item.ttl_s)
            else:
                self._book.unknown(item.key, version, item.value, began)

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
            key = next(self._keys)
            page = self._pages.get(key)
            value = self.get(key)
            if page is None:
                return
            if value.__class__ is bytes and value.startswith(page[0]):
                self._book.agreed += 1
            else:
                self._accounts.look(self._book, key, page, value)
        elif op == "incr":
            step(self, self._accounts, self.incr, next(self._counter))
        elif op == "delete":
            self._delete(next(self._keys))
        else:
            self._store(op, next(self._keys))

    def _store(self, op: str, key: str) -> None:
        write = self.set if op == "set" else self.add
        value, ttl_s = self.new_value(key), self._write_ttl()
        if key not in self._pages:
            write(key, value, ttl_s)
            return
        book, version, asked_at = self._book, self._version, self._clock()
        book.begin(key, version)
        result = write(key, value, ttl_s)
        if result is True:
            book.acknowledged(key, version, value, asked_at, ttl_s)
        elif result is False:
            book.undecided(key)

    def _delete(self, key: str) -> None:
        if key not in self._pages:
            self.delete(key)
            return
        self._version += 1  # what is written after this is newer than the delete
        page = self._pages[key]
        was_there = self._book.is_there(key, page, self._clock())
        self._book.begin_delete(key)
        result = self.delete(key)
        if result is True:
            self._book.deleted(key, self._version, self._clock())
        elif result is False:
            self._book.not_found(key)
            if was_there:
                self._accounts.denied(self._book, key, page)
