"""Clients whose fault shows in no latency: they waste connections, nodes and answers, or lie.

Each is the honest client but for one thing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import psutil
from pymemcache.client.base import Client

from tests.e2e.honest_client import CircuitOpenError, HonestClient


class PageLostError(Exception):
    """A batch is given up because of some of its keys."""


class RaisesWholeBatches(HonestClient):
    """Gives up a batch when one of its nodes fails, with all that the others have."""

    def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        found = super().get_many(keys)
        if getattr(found, "failed", None):
            raise PageLostError
        return found


class EmptiesWholeBatches(HonestClient):
    """Answers that nothing is there when one of a batch's nodes fails."""

    def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        found = super().get_many(keys)
        return {} if getattr(found, "failed", None) else found


class ConnectsForEveryCall(HonestClient):
    """Makes a connection for each call to a node, and closes it."""

    def __init__(self, nodes: Any, settings: Any) -> None:
        super().__init__(nodes, settings)
        self._settings = settings
        self._addresses = {label: client.server for label, client in self._nodes.items()}

    def _client(self, label: str) -> Client:
        return Client(
            self._addresses[label],
            default_noreply=False,
            connect_timeout=self._settings.connect_timeout,
            timeout=self._settings.op_timeout,
        )

    def _call(self, key: str, method: str, *args: Any) -> Any:
        label = str(self._ring.get_node(key))
        return self._apart(label, lambda client: getattr(client, method)(key, *args))

    def _get_part(self, label: str, keys: list[str]) -> Any:
        return self._apart(label, lambda client: client.get_many(keys))

    def _apart(self, label: str, call: Callable[[Client], Any]) -> Any:
        client = self._client(label)
        try:
            return self._guarded(label, lambda: call(client))
        finally:
            client.close()


class ConnectsForEveryBatch(ConnectsForEveryCall):
    """Keeps its connections for single keys only."""

    _call = HonestClient._call


class LeavesANodeUnused(HonestClient):
    """Has one node less on its ring than it was given."""

    def __init__(self, nodes: Any, settings: Any) -> None:
        super().__init__(list(nodes)[:-1], settings)


class NodeAwayError(Exception):
    """Refused without asking the node, by a name that says nothing of it."""


class SaysClosedByItsOwnName(HonestClient):
    """Says that every breaker is closed, and refuses calls by an exception of its own."""

    def _guarded(self, label: str, call: Callable[[], Any]) -> Any:
        try:
            return super()._guarded(label, call)
        except CircuitOpenError:
            raise NodeAwayError(label) from None

    def snapshot(self) -> dict[str, Any]:
        pool = {"idle": None, "in_use": None}
        return {label: {"breaker": "closed", "pool": pool} for label in self._nodes}


def goes_past_the_proxies(nodes: Any, settings: Any) -> HonestClient:
    """Return a client that has found out where the embedded nodes really listen."""
    started = [p.cmdline() for p in psutil.Process().children() if p.name() == "memcached"]
    ports = [int(words[words.index("-p") + 1]) for words in started]
    return HonestClient([("127.0.0.1", port) for port in ports], settings)


raises_whole_batches = RaisesWholeBatches
empties_whole_batches = EmptiesWholeBatches
connects_for_every_call = ConnectsForEveryCall
connects_for_every_batch = ConnectsForEveryBatch
leaves_a_node_unused = LeavesANodeUnused
says_closed_by_its_own_name = SaysClosedByItsOwnName
