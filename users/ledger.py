"""The ledger's own traffic: a few keys whose every version has one writer who remembers.

It rides along in every run, beside the users of the run and not among them: sets with rising
versions, reads one by one and in batches, chains of cas and counters, in key spaces of its own and
with TTLs that outlive any run. Each acknowledged write is looked for on its server before the key
is written again, so that none can be lost unseen. What the reads and the servers say is held
against each other by `users.accounts`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gevent

from client.operation import Outcome
from cluster.slabs import Items
from users import keys
from users.accounts import Accounts
from users.base import FAILED, KEY_BYTES, MemcacheUser
from users.book import Book, Page
from users.bounds import Bounds
from users.context import LoadContext, LoadSettings
from users.counting import step
from users.prefill import Item
from users.short_lived import TTL_S, ShortLived
from users.steady import LONG_TTL_S
from users.strangers import offers
from users.values import check

VALUE_SIZE = 100  # the ledger is about versions; values of the run's own size prove themselves
SETS = 150  # three seconds' worth of writes on each node: one is free while others are looked for
CHAINS = 50
COUNTERS = 15  # in each direction
BATCH = 32
SHORT_LIVED = 10
DUEL_EVERY = 4
"""One in so many links of a chain is followed by a cas with the token that it has used up."""

UP_FROM, DOWN_FROM = b"0", b"1000000000"  # memcached does not count below nothing
PAUSE_S = 0.08  # between iterations where nobody paces them: 100 a second of a process's eight

MIX = {
    "set": 10, "reread": 14, "get": 8, "get_many": 12, "count": 29, "chain": 20, "add": 3,
    "expire": 4,
}  # fmt: skip
"""In iterations. A batch checks 32 keys at the price of one operation, so that a short run at a low
rate has its thousand checked reads and its fifty keys that must be gone."""


class LedgerUser(MemcacheUser):
    """Writes and reads what nobody else writes. Started by the session, never by Locust."""

    abstract = True
    kind = "ledger"

    @classmethod
    def kept(cls, settings: LoadSettings, users: int, rate: float) -> list[Items]:
        """Return the keys and counters of all ledger users."""
        return [
            Items(count=users * (SETS + CHAINS), key=KEY_BYTES, value=VALUE_SIZE),
            Items(count=users * 2 * COUNTERS, key=KEY_BYTES, value=len(DOWN_FROM)),
        ]

    def end(self) -> None:
        """Believe the kill that is about to come."""
        self._is_ending = True

    def join(self, load: LoadContext) -> None:
        """Become a user beside those that were asked for."""
        load.riders.add(self._name)
        super().join(load)
        self._size = VALUE_SIZE

    def prepare(self) -> None:
        """Store all keys and counters and enter them in the book."""
        assert self.load is not None
        prefix = f"{self.load.settings.run_id}:l{self.load.settings.worker_index}.{self.index}"
        self.accounts: Accounts = self.load.accounts
        self.book: Book = self.accounts.open_book(self.writer)
        self._sets = [f"{prefix}:s{i}" for i in range(SETS)]
        chains = [f"{prefix}:c{i}" for i in range(CHAINS)]
        unused = f"{prefix}:unused"
        self._has_cas = offers(self._client, "gets", unused) and offers(
            self._client, "cas", unused, b"1", b"0"
        )
        self._chains = chains if self._has_cas else []
        self._up = [f"{prefix}:u{i}" for i in range(COUNTERS)]
        self._down = (
            [f"{prefix}:d{i}" for i in range(COUNTERS)]
            if offers(self._client, "decr", unused, 1)
            else []
        )
        self._brief = [f"{prefix}:t{i}" for i in range(SHORT_LIVED)]
        self._short_lived = ShortLived(self, self.accounts, self._brief, self._clock)
        self._ops = keys.mixed_ops(self.rng, MIX)
        self._links = 0
        self._again: str | None = None  # a chain whose last link was refused: is that true?
        self._store()

    def _store(self) -> None:
        own = [*self._sets, *self._chains]
        items = [Item(key, self.new_value(key), LONG_TTL_S) for key in own]
        items += [Item(key, UP_FROM, LONG_TTL_S) for key in self._up]
        items += [Item(key, DOWN_FROM, LONG_TTL_S) for key in self._down]
        items += [Item(key, self.new_value(key), LONG_TTL_S, stay=False) for key in self._brief]
        began = self._clock()
        self.prefill.store(items)
        # Once their places are known. So a short run has looked for enough of them.
        brief = {key: self.new_value(key) for key in self._brief}
        failed = self.prefill.store_each(brief, TTL_S)
        self._short_lived.stored(brief.keys() - failed)
        for version, (key, item) in enumerate(zip(own, items, strict=False), 1):
            self.book.known(key, version, item.value, began, LONG_TTL_S)
            self.accounts.keys[key] = self.book
        self.accounts.chains.update(self._chains)
        for key in self._up:
            self.accounts.counters[key] = Bounds(int(UP_FROM))
        for key in self._down:
            self.accounts.counters[key] = Bounds(int(DOWN_FROM), sign=-1)

    def iterate(self) -> None:
        """Do one entry of the mix."""
        if not self._recorder.paced:
            gevent.sleep(PAUSE_S)
        op = next(self._ops)
        if op == "set":
            self._set_one()
        elif op == "reread":
            self._reread_one()
        elif op == "count":
            self._count_one()
        elif op == "chain" and self._chains:
            again, self._again = self._again, None
            self._link(again or self.rng.choice(self._chains), is_again=again is not None)
        elif op == "get_many":
            self._read_many()
        elif op == "add":
            self._add_one()
        elif op != "expire" or not self._short_lived.turn():
            self._read_one()

    # Sets and reads ------------------------------------------------------------------------------

    def _set_one(self) -> None:
        """Write a key, unless a server is being asked about it."""
        key = self.rng.choice(self._sets)
        if key in self.accounts.held:
            self._read(key)
        else:
            self._write_next(key)

    def _reread_one(self) -> None:
        """Read a key, write it and read it again: whoever remembers the first read shows it."""
        key = self.rng.choice(self._sets)
        self._read(key)
        if key not in self.accounts.held and self.load is not None and not self.load.is_stopping:
            self._write_next(key)
            self._read(key)

    def _write_next(self, key: str) -> None:
        value, asked_at = self.new_value(key), self._clock()
        version = self._version
        self.book.begin(key, version)
        if self.set(key, value, LONG_TTL_S) is True:
            self.book.acknowledged(key, version, value, asked_at, LONG_TTL_S)
            self.accounts.gone.discard(key)
            self.accounts.wrote(self.book, key)

    def _add_one(self) -> None:
        """Try to add a key that is there: nothing must come of it."""
        key = self.rng.choice(self._sets)
        book, page = self.book, self.book.pages[key]
        if key in self.accounts.held or not book.is_there(key, page, self._clock()):
            self._read(key)
            return
        value, asked_at = self.new_value(key), self._clock()
        version = self._version
        book.begin(key, version)
        added = self.add(key, value, LONG_TTL_S)
        if added is True:
            book.acknowledged(key, version, value, asked_at, LONG_TTL_S)
            self.accounts.added(book, key)
        elif added is False:
            self.accounts.adds_refused += 1
            book.undecided(key)

    def _read_one(self) -> None:
        moved = self.accounts.moved
        self._read(moved.popleft() if moved else self.rng.choice(self._everybodys()))

    def _everybodys(self) -> Sequence[str]:
        """Give the keys of all ledger users: in a divided run they have different clients."""
        accounts = self.accounts
        if len(accounts.order) != len(accounts.keys):
            accounts.order = list(accounts.keys)
        return accounts.order

    def _read(self, key: str) -> None:
        book = self.accounts.keys[key]
        page = book.pages[key]
        value = self.get(key)
        self._compare(book, key, page, value)
        if value is None and book is self.book and key in self.accounts.gone:
            self._write_next(key)  # what a node lost is filled in again, as everybody would

    def _compare(self, book: Book, key: str, page: Page, value: object) -> None:
        if type(value) is bytes and value.startswith(page.head):
            book.agreed += 1
        else:
            self.accounts.look(book, key, page, value)

    def _read_many(self) -> None:
        accounts = self.accounts
        due = self._short_lived.take_due(BATCH // 2)
        known = self.rng.sample(self._everybodys(), BATCH - len(due))
        batch = [*known, *(each.key for each in due)]
        pages = {key: accounts.keys[key].pages[key] for key in known}
        self._answer: tuple[Mapping[str, Any], frozenset[str]] = {}, frozenset(batch)
        verified = self.get_many(batch)
        if verified is FAILED:
            self._short_lived.give_back(due)
            return
        values, failed = self._answer
        for key in known:
            if key not in failed:
                value = verified.get(key, FAILED) if key in values else None
                self._compare(accounts.keys[key], key, pages[key], value)
        for each in due:
            there = each.key in values or each.key in failed
            self._short_lived.found(each, verified.get(each.key, FAILED) if there else None)

    def _finish_batch(
        self,
        keys: Sequence[str],
        values: Mapping[str, Any],
        failed: Sequence[str],
        started: float,
        ended: float,
    ) -> Any:
        self._answer = values, frozenset(failed)
        return super()._finish_batch(keys, values, failed, started, ended)

    # Counters and chains -------------------------------------------------------------------------

    def _count_one(self) -> None:
        """Move the one of a few counters whose bounds are tightest."""
        counters = self.accounts.counters
        few = self.rng.sample([*self._up, *self._down], 4)
        key = min(few, key=lambda name: counters[name].pending)
        if counters[key].sign > 0:
            step(self, self.accounts, self.incr, key)
        else:
            step(self, self.accounts, self.decr, key)

    def _link(self, key: str, *, is_again: bool = False) -> None:
        """Add a link to a chain of cas: read, then replace exactly what was read."""
        book, page = self.book, self.book.pages[key]
        found = self.gets(key)
        if found is FAILED:
            return
        value, token = found
        book.next_link(key, value)
        self._compare(book, key, page, value)
        if key in self.accounts.held:
            return
        if value is None:
            if key in self.accounts.gone:
                self._write_next(key)
            return
        new, asked_at = self.new_value(key), self._clock()
        version = self._version
        book.begin(key, version)
        stored = self.cas(key, new, token, LONG_TTL_S)
        if stored is False and value.startswith(page.head):
            book.link_refused(key)
            self._again = None if is_again else key  # not one key for ever
        elif stored is False:
            book.undecided(key)
        if stored is not True:
            return
        book.links_stored += 1
        self.accounts.updates += 1
        book.acknowledged(key, version, new, asked_at, LONG_TTL_S)
        self._links += 1
        if self._links % DUEL_EVERY == 0:
            self._duel(key, token)
        if key not in self.accounts.held:
            self.accounts.wrote(book, key)

    def _duel(self, key: str, used_token: Any) -> None:
        """Try to replace what another writer, with the same token, has just replaced."""
        loser, asked_at = self.new_value(key), self._clock()
        version = self._version
        self.book.begin(key, version)
        stored = self.cas(key, loser, used_token, LONG_TTL_S)
        if stored is True:
            before = self.book.pages[key].version
            self.book.acknowledged(key, version, loser, asked_at, LONG_TTL_S)
            what = f"version {version} was stored over {before} with a token that was used up"
            self.accounts.wrong_update(key, f"cas: {what}")
        elif stored is False:
            self.book.refused(key)

    # Measured calls ------------------------------------------------------------------------------

    def gets(self, key: str) -> Any:
        """Read a key with its token: (verified value or None, token), or FAILED."""
        clock, inside, name = self._clock, self._inside, self._name
        inside[name] += 1
        started = clock()
        try:
            found = self._client.gets(key)
            ended = clock()
        except BaseException as error:
            return self._raised("gets", key, started, clock(), error)
        finally:
            inside[name] -= 1
        if type(found) is not tuple or len(found) != 2:
            self._find_bad_result("gets", key, self._described(found))
            self._finish("gets", key, str(Outcome.BAD_RESULT), started, ended)
            return FAILED
        value = found[0]
        if value is None:
            self._finish("gets", key, str(Outcome.MISS), started, ended)
            return None, None
        if type(value) is bytes and check(key, value, self._size) is None:
            hit = str(Outcome.HIT)
            self._finish("gets", key, hit, started, ended, length=len(value), hits=1)
            return found
        outcome = self._blame("gets", key, value, ended)
        self._finish("gets", key, outcome, started, ended)
        return FAILED

    def cas(self, key: str, value: bytes, token: Any, ttl_s: int) -> Any:
        """Store what nobody has changed. True, False or None when it was, or FAILED."""
        return self._write("cas", key, value, token, ttl_s)

    def decr(self, key: str, by: int = 1) -> Any:
        """Take from a counter. The new count, None when there is no such counter, or FAILED."""
        return self._write("decr", key, by)
