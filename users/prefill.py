"""Keys into the cluster before the first measured call, through the client under test.

Storing through the client puts every key where that client will look for it; reading directly then
tells which node that is, by whatever names the client gives its keys. What was acknowledged and is
nowhere is a lost write. Keys that the steady state of the traffic would lack are stored as well, to
learn their place, and deleted directly. Nothing here is measured. A client that fails is tried
again a few times and then ends the run before it began; where a fault was on meanwhile, for users
that come later, it is tried again once the nodes are whole, and nothing is concluded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from itertools import groupby
from typing import Any, NamedTuple

import gevent
from gevent.event import Event

from users.book import EXPIRY_SLACK_S
from users.context import LoadContext
from users.direct_counts import DIRECT
from users.location import KEYS_A_REQUEST, DirectNode, LocationError, fetch_all
from users.spelling import learn_spelling
from users.strangers import ends_the_user, is_named, offers, words_of
from users.values import check

BATCH = 50  # keys a set_many: a few kilobytes, well within any deadline
ATTEMPTS = 5
FIRST_PAUSE_S = 0.1  # doubled each time: 1.5 s in all, longer than any breaker stays open
LATER_S = 1.0  # a client that acknowledges too early may be a moment behind
ASKED_FOR = 5  # of the keys that no server shows

REFUSAL_TTL_S = 10
WAYS_OUT = {
    "too large": ": give a smaller --value-size, or start memcached with a larger -I",
    "out of memory": (
        ": its memory is full, and it may not evict (-M): give fewer users (-u), a smaller "
        "--value-size, more nodes, or start memcached with more memory (-m)"
    ),
}
"""What helps against a server's refusal, by a part of its words."""

Values = Mapping[str, bytes]  # of one key, by the node that has it


class PrefillError(Exception):
    """Keys that could not be stored. One line."""


class Item(NamedTuple):
    """A key to store. One that is not to `stay` is deleted once its place is known."""

    key: str
    value: bytes
    ttl_s: int
    stay: bool = True


class Prefill:
    """Stores the keys of users and learns where they live."""

    def __init__(
        self,
        context: LoadContext,
        sleep: Callable[[float], None] = gevent.sleep,
        *,
        client: Any = None,
    ) -> None:
        self._context = context
        self._client = context.client if client is None else client
        self._sleep = sleep
        self._faults = 0  # how many had begun when the storing did

    def store_shared(self, name: str, make_items: Callable[[], Sequence[Item]]) -> None:
        """Store the keys that several users share: the first to come does it, the others wait."""
        shared = self._context.shared
        while True:
            stored = shared.get(name)
            if stored is None:
                break
            stored.wait()
            if shared.get(name) is stored:
                return
        shared[name] = stored = Event()
        try:
            self.store(make_items())
        except BaseException:
            del shared[name]  # the next in line tries for itself
            raise
        finally:
            stored.set()

    def store(self, items: Sequence[Item]) -> None:
        """Store `items` and learn where each one lives.

        Waits for the end of a fault that is in the way. Raises PrefillError for keys that the
        client does not take, LocationError for a node that cannot be read directly.
        """
        ordered = sorted(items, key=lambda item: item.ttl_s)
        faults = self._context.faults
        while True:
            self._faults = faults.count
            try:
                self._store(ordered)
                return
            except (PrefillError, LocationError):
                if not faults.since(self._faults):
                    raise
            faults.wait_for_none()

    def _store(self, ordered: Sequence[Item]) -> None:
        with self._context.prefill_gate, ExitStack() as stack:
            nodes = [stack.enter_context(DirectNode(node)) for node in self._context.nodes]
            # By the hundred, shortest life first: a key must be found before it expires.
            missing: list[Item] = []
            for at in range(0, len(ordered), KEYS_A_REQUEST):
                part = ordered[at : at + KEYS_A_REQUEST]
                for ttl_s, group in groupby(part, key=lambda item: item.ttl_s):
                    self._store_group(list(group), ttl_s)
                missing += self._learn(nodes, part)
            if nodes and missing and self._is_undisturbed():
                self._missed(nodes, missing, is_all=len(missing) == len(ordered))

    def _is_undisturbed(self) -> bool:
        """Whether no load runs and no fault was on: what lacks then was not taken by either."""
        context = self._context
        return not context.go.is_set() and not context.faults.since(self._faults)

    def _store_group(self, items: Sequence[Item], ttl_s: int) -> None:
        for at in range(0, len(items), BATCH):
            self._store_batch({item.key: item.value for item in items[at : at + BATCH]}, ttl_s)

    def _store_batch(self, batch: Mapping[str, bytes], ttl_s: int) -> None:
        pending, why = dict(batch), ""
        for attempt in range(ATTEMPTS):
            if attempt:
                self._sleep(FIRST_PAUSE_S * 2 ** (attempt - 1))
            failed = self._set_many(pending, ttl_s)
            if failed is None:
                failed, why = self._set_each(pending, ttl_s)
            pending = {key: value for key, value in pending.items() if key in failed}
            if not pending:
                self._context.keys_stored += len(batch)
                return
            if self._context.faults.since(self._faults):
                raise PrefillError(f"a node takes no keys while a fault is on: {why or 'no error'}")
        if refusal := self._refusal(pending):
            raise PrefillError(refusal)
        raise PrefillError(
            f"the client does not store keys although every node is up: {len(pending)} of "
            f"{len(batch)} failed {ATTEMPTS} times, the last with {why or 'no error'}"
        )

    def _refusal(self, pending: Mapping[str, bytes]) -> str:
        """Return in its own words which node refuses such a value, "" when none does.

        Stored past the client, under a key of the harness's own, and deleted at once.
        """
        value = max(pending.values(), key=len)
        key = f"{self._context.settings.run_id}:refused"
        for node in self._context.nodes:
            try:
                with DirectNode(node) as direct:
                    reply = direct.store(key, value, REFUSAL_TTL_S)
                    if reply == "STORED":
                        direct.delete([key])
            except LocationError as why:
                return str(why)
            if reply != "STORED":
                way_out = next((hint for words, hint in WAYS_OUT.items() if words in reply), "")
                return f"{node.name} answers {reply!r} to a value of {len(value):,} bytes{way_out}"
        return ""

    def _set_many(self, batch: Mapping[str, bytes], ttl_s: int) -> set[str] | None:
        """Give the keys that failed; None where there is no set_many or it raised."""
        try:
            failed = self._client.set_many(dict(batch), ttl_s)
            return set() if failed is None else {str(key) for key in failed}
        except BaseException as error:
            if ends_the_user(error):
                raise
            return None

    def store_each(self, batch: Mapping[str, bytes], ttl_s: int) -> set[str]:
        """Store keys one by one, once, where `store` has learnt that they live; give the failed."""
        failed, _ = self._set_each(batch, ttl_s)
        locations = self._context.locations
        DIRECT.commands.update(locations[key] for key in batch.keys() - failed if key in locations)
        return failed

    def _set_each(self, batch: Mapping[str, bytes], ttl_s: int) -> tuple[set[str], str]:
        failed, why = set(), ""
        for key, value in batch.items():
            try:
                if self._client.set(key, value, ttl_s) is True:
                    continue
                why = "a result that was not True"
            except BaseException as error:
                if ends_the_user(error):
                    raise
                why = words_of(error, limit=200)
            failed.add(key)
        return failed, why

    def _learn(self, nodes: Sequence[DirectNode], items: Sequence[Item]) -> list[Item]:
        """Learn where items live; give those that are nowhere."""
        where = self._read(nodes, items)
        self._context.locations.update({key: next(iter(has)) for key, has in where.items() if has})
        if self._is_undisturbed():
            self._context.keys_placed.update(node for has in where.values() for node in has)
        for has in where.values():
            DIRECT.commands.update([*has][:1])  # the client under test stored it, unmeasured
        gone = {item.key for item in items if not item.stay}
        for node in nodes:
            mine = [key for key in gone if node.node.name in where[key]]
            if mine:
                node.delete(mine)
        self._compare(where)
        sent = {item.key: item.value for item in items}
        accounts = self._context.accounts
        accounts.encodes_values |= any(
            value != sent[key] and check(key, value) is not None
            for key, has in where.items()
            for value in has.values()
        )
        return [item for item in items if not where[item.key]]

    def _read(self, nodes: Sequence[DirectNode], items: Sequence[Item]) -> Mapping[str, Values]:
        """Give what each node has of the items, under the names that the client gives them."""
        accounts, keys = self._context.accounts, [item.key for item in items]
        spelling = accounts.spelling
        where = fetch_all(nodes, keys, spelling)
        if any(where.values()) or not nodes:
            return where
        with self._context.spelling_gate:  # one finds it out, the others wait for it
            if not self._context.has_sought_spelling:
                self._seek_spelling(nodes, items)
                self._context.has_sought_spelling = True
        return where if accounts.spelling == spelling else fetch_all(nodes, keys, accounts.spelling)

    def _seek_spelling(self, nodes: Sequence[DirectNode], items: Sequence[Item]) -> None:
        """Learn the names that servers have for keys of this client, where one fits them all.

        A key may have a spelling of its own (its check sum, its length), of no use for the others.
        """
        last = items[-1]
        found = learn_spelling(
            self._context.nodes, last.key, lambda: self._store_group([last], last.ttl_s)
        )
        if found is not None:
            there = fetch_all(nodes, [item.key for item in items], found)
            if sum(map(bool, there.values())) > 1 or len(items) == 1:
                self._context.accounts.spelling = found

    def _missed(self, nodes: Sequence[DirectNode], items: Sequence[Item], *, is_all: bool) -> None:
        """Judge keys that were acknowledged and are on no node: lost, or under unknown names.

        A client that has them all the same hides them. Where others were found it hides none: then
        it only remembers what it was given.
        """
        accounts = self._context.accounts
        if accounts.hides_keys:
            return
        self._sleep(LATER_S)
        still = self._learn(nodes, items)  # the others have only come late
        lost = [item for item in still if item.ttl_s > LATER_S + EXPIRY_SLACK_S]
        if is_all and any(self._gives(item) for item in lost[:ASKED_FOR]):
            accounts.hides_keys = True
        else:
            for item in lost:
                accounts.lost_before(item.key)

    def _gives(self, item: Item) -> bool:
        try:
            return bool(self._client.get(item.key) == item.value)
        except BaseException as error:
            if ends_the_user(error):
                raise
            return False

    def _compare(self, where: Mapping[str, Collection[str]]) -> None:
        """Hold the client's `node_for` against what was read; trust it only where it was right."""
        named = is_named(self._client, "node_for")
        if not where or not offers(self._client, "node_for", next(iter(where))):
            return
        node_for = self._client.node_for
        names = {node.label: node.name for node in self._context.nodes}
        said = {key: _said(node_for, key, names) for key in where}
        if not any(said.values()) and not named:
            return  # a `__getattr__` that answers for every name
        wrong = [key for key, found in where.items() if found and said[key] not in found]
        if wrong:
            detail = {"keys": len(wrong), "for_example": wrong[0]}
            self._context.recorder.finding("node_for_contradicts", detail)
            return
        locations = self._context.locations
        for key, found in where.items():
            if not found and said[key]:
                locations[key] = said[key]


def _said(node_for: Callable[[str], Any], key: str, names: Mapping[str, str]) -> str:
    try:
        return names.get(str(node_for(key)), "")
    except BaseException as error:  # an answer that cannot be had is a wrong one
        if ends_the_user(error):
            raise
        return ""
