"""Clients whose answers are wrong with every node up, or whose batches are: one fault each.

Each follows the contract `CALLABLE(nodes, settings)` and behaves well apart from its one fault.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import gevent

from tests.e2e.broken_ledger import Around
from tests.e2e.honest_client import HonestClient

MISSED_ONE_IN = 20
DROPPED_ONE_IN = 50
BEHIND_S = 0.16  # a server that is asked at once does not have it yet


class MissesHits(Around):
    """Takes a reply for a miss now and then, and loses the last key of every batch."""

    def get(self, key: str, default: Any = None) -> Any:
        value = self._inner.get(key, default)
        return default if next(self._count) % MISSED_ONE_IN == 0 else value

    def get_many(self, keys: Iterable[str]) -> Any:
        wanted = list(keys)
        answer = self._inner.get_many(wanted)
        answer.pop(wanted[-1], None)
        return answer


class DropsInBulk(Around):
    """Stores all but a few keys of a bulk write, and names none as failed."""

    def set_many(self, values: Mapping[str, bytes], expire: int = 0) -> Any:
        kept = {k: v for k, v in values.items() if next(self._count) % DROPPED_ONE_IN}
        return self._inner.set_many(kept, expire)


class WritesBehind(Around):
    """Acknowledges a write and sends it a moment later."""

    def set(self, key: str, value: bytes, expire: int = 0) -> bool:
        gevent.spawn_later(BEHIND_S, self._send, key, value, expire)
        return True

    def set_many(self, values: Mapping[str, bytes], expire: int = 0) -> list[str]:
        for key, value in values.items():
            self.set(key, value, expire)
        return []

    def _send(self, key: str, value: bytes, expire: int) -> None:
        try:
            self._inner.set(key, value, expire)
        except Exception:
            return


class MixesTokens(Around):
    """Sends every second cas with the token of another key."""

    _last: Any = None

    def gets(self, key: str) -> Any:
        value, token = self._inner.gets(key)
        before, self._last = self._last, token
        return value, token if before is None or next(self._count) % 2 else before


class LivesForEver(Around):
    """Drops the TTL of a set on its way."""

    def set(self, key: str, value: bytes, expire: int = 0) -> Any:
        return self._inner.set(key, value)


class AddsOver(Around):
    """Takes add for another name of set."""

    def add(self, key: str, value: bytes, expire: int = 0) -> Any:
        return self._inner.set(key, value, expire)


class CountsElsewhere(HonestClient):
    """Asks another node for counters than the one it stored them on."""

    def _beside(self, key: str, method: str, value: int) -> Any:
        labels = sorted(self._nodes)
        label = labels[labels.index(str(self._ring.get_node(key))) - 1]
        return self._guarded(label, lambda: getattr(self._nodes[label], method)(key, value))

    def incr(self, key: str, value: int) -> Any:
        return self._beside(key, "incr", value)

    def decr(self, key: str, value: int) -> Any:
        return self._beside(key, "decr", value)


class BatchesWait(HonestClient):
    """Has a breaker for single keys only: every batch waits for the dead node."""

    def _get_part(self, label: str, keys: list[str]) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._nodes[label].get_many(keys)
        return found


misses_hits = MissesHits.over
drops_in_bulk = DropsInBulk.over
writes_behind = WritesBehind.over
mixes_tokens = MixesTokens.over
lives_for_ever = LivesForEver.over
adds_over = AddsOver.over
counts_elsewhere = CountsElsewhere
batches_wait = BatchesWait
