"""A client that breaks only after one certain pair of faults: prey for the tools that find it."""

from __future__ import annotations

import collections
import itertools
from typing import Any

from client import MemcacheClient, build
from client.errors import ConnectRefused, OperationTimeout

TIMEOUTS = 5  # on one node: a single slow call on a busy machine is no black hole
EVERY = 20  # of the hits, once it is broken


class BreaksAfterAPair:
    """Serves well until one node has refused it and, later, another one has kept it waiting.

    From then on every 20th hit is the value of the key that was asked before.
    """

    SINGLE = frozenset({"get", "gets", "set", "add", "cas", "delete", "incr", "decr", "touch"})

    def __init__(self, inner: MemcacheClient) -> None:
        self._inner = inner
        self._refused: set[str] = set()
        self._timeouts: collections.Counter[str] = collections.Counter()
        self._hits = itertools.count(1)
        self._last: bytes | None = None
        self._broken = False

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        if name not in self.SINGLE:
            return method

        def watched(key: str, *args: Any, **kwargs: Any) -> Any:
            try:
                return method(key, *args, **kwargs)
            except (ConnectRefused, OperationTimeout) as error:
                self._note(self._inner.node_for(key), error)
                raise

        return watched

    def _note(self, node: str, error: Exception) -> None:
        if isinstance(error, ConnectRefused):
            self._refused.add(node)
        elif self._refused - {node}:
            self._timeouts[node] += 1
            self._broken = self._broken or self._timeouts[node] >= TIMEOUTS

    def get(self, key: str, default: Any = None) -> Any:
        value = self.__getattr__("get")(key, default)
        if isinstance(value, bytes):
            before, self._last = self._last, value
            if self._broken and next(self._hits) % EVERY == 0 and before is not None:
                return before
        return value


def breaks_after_a_pair(nodes: Any, settings: Any) -> BreaksAfterAPair:
    return BreaksAfterAPair(build(nodes, settings))
