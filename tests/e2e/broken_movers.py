"""Clients that move keys when a node fails, which is no fault, and have one besides."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable
from typing import Any

from gevent import getcurrent
from pymemcache.client.hash import HashClient

from tests.e2e.broken_witness import Wrapped

REMEMBERED_S = 2.0


class Moves(Wrapped):
    """The default client with failover to other nodes; it says so itself."""

    def __init__(self, nodes: Any, settings: Any) -> None:
        super().__init__(nodes, dataclasses.replace(settings, failover="rehash"))


class remembers(Moves):  # noqa: N801 - a factory, named like one
    """Serves what it has read from memory for two seconds, whatever is written meanwhile."""

    def __init__(self, nodes: Any, settings: Any) -> None:
        super().__init__(nodes, settings)
        self._near: dict[str, tuple[bytes, float]] = {}

    def get(self, key: str, default: Any = None) -> Any:
        value, until = self._near.get(key, (None, 0.0))
        if value is None or until < time.monotonic():
            value = self.inner.get(key)
            if value is not None:
                self._near[key] = value, time.monotonic() + REMEMBERED_S
        return default if value is None else value


class calls_errors_misses(Moves):  # noqa: N801
    """Says "nothing there" for every read that fails, and for one in five of those that move."""

    def __init__(self, nodes: Any, settings: Any) -> None:
        super().__init__(nodes, settings)
        self._hidden_until = dict.fromkeys((f"{h}:{p}" for h, p in self.nodes), 0.0)

    def get(self, key: str, default: Any = None) -> Any:
        home = self.inner.node_for(key)
        if time.monotonic() < self._hidden_until[home]:
            return default
        try:
            return self.inner.get(key, default)
        except Exception:
            self._hidden_until[home] = time.monotonic() + REMEMBERED_S
            return default


def _hash_client(nodes: Any, settings: Any) -> Any:
    return HashClient(
        list(nodes),
        use_pooling=True,
        timeout=settings.op_timeout,
        connect_timeout=settings.connect_timeout,
        default_noreply=False,
        max_pool_size=settings.pool_size,
    )


class CountsTwice:
    """pymemcache's HashClient, whose counters move as well; one step in ten is made twice."""

    def __init__(self, nodes: Any, settings: Any) -> None:
        self._inner = _hash_client(nodes, settings)
        self._steps = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def incr(self, key: str, value: int) -> Any:
        self._steps += 1
        if self._steps % 10 == 0:
            self._inner.incr(key, value)
        return self._inner.incr(key, value)


def counts_twice(nodes: Any, settings: Any) -> CountsTwice:
    return CountsTwice(nodes, settings)


class KeepsConnections:
    """A client for each greenlet, kept for ever in a table that only `close` of one looks into."""

    def __init__(self, nodes: Any, settings: Any) -> None:
        self._make = lambda: _hash_client(nodes, settings)
        self._of: dict[int, Any] = {}
        self._seen: list[Any] = []  # a number may be given to another greenlet later

    @property
    def _mine(self) -> Any:
        me = getcurrent()
        if id(me) not in self._of:
            self._of[id(me)] = self._make()
            self._seen.append(me)
        return self._of[id(me)]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._mine, name)

    def get_many(self, keys: Iterable[str]) -> Any:
        return self._mine.get_many(keys)


def keeps_connections(nodes: Any, settings: Any) -> KeepsConnections:
    return KeepsConnections(nodes, settings)
