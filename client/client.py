"""MemcacheClient: pymemcache's methods over nodes, each behind its own breaker and pool.

A call is: route the key, build the command, hand both to the node. The calls of one key are in
`reading`, `writing` and `counting`; here are `get` and the batches. What can fail fails as a typed
error; nothing is retried, nothing is masked as a miss, and nothing is sent without waiting for the
reply. One client serves all threads or greenlets of a process.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from client import commands, multi
from client.addresses import label_of
from client.breaker import Breaker
from client.calls import Key, Value
from client.counting import Counting
from client.guard import ShareGuard
from client.maintenance import Maintenance
from client.memo import Memo
from client.multi import FailedKeys, PartialDict
from client.node import LEASE_PER_TIMEOUT, Address, Node
from client.reading import Reading
from client.ring import make_ring
from client.serving import Serving
from client.settings import ClientSettings
from client.tending import tend
from client.values import Values
from client.warming import WARM_UP_S, WarmUp, drain_all, warm_up_all
from client.writing import Writing


class MemcacheClient(Reading, Writing, Counting, Serving):
    """A client of `nodes`, a sequence of (host, port).

    Every method may raise `MemcacheClientError`. `clock` and `rng` are for tests.
    """

    def __init__(
        self,
        nodes: Sequence[Address],
        settings: ClientSettings | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        self.settings = settings or ClientSettings()
        self._clock = clock
        self._care = Maintenance(self._tend, every_s=self.settings.maintenance_s, clock=clock)
        share = self.settings.guard_share
        self._guard = None if share is None else ShareGuard(share)
        self._values = Values(self.settings.serde)
        self._is_plain = self._values.is_plain
        self._nodes: dict[str, Node] = {}
        for host, port in nodes:
            label = label_of((host, port))
            if label in self._nodes:
                raise ValueError(f"node {label} is given twice: name each node once")
            self._nodes[label] = self._make_node((host, int(port)), label, rng)
        self._ring = make_ring(self.settings.ring, tuple(self._nodes)).look_up
        self._routes: Memo[tuple[Node, bytes]] = Memo(self._route)

    def get(self, key: Key, default: Any = None, *, protocol: str | None = None) -> Any:
        """Give the value (bytes, or what the serde makes of them), or `default` on a miss."""
        if protocol is not None or not self._is_plain:
            return self._get_decoded(key, default, protocol)
        node, wire = self._routes[key]
        value = node.fetch(wire)
        return default if value is None else value

    def get_many(self, keys: Iterable[Key]) -> PartialDict:
        """Get many keys, all nodes at once: {key: value} of those found, and `.failed`."""
        return self._fetch_many(keys, with_cas=False)

    def gets_many(self, keys: Iterable[Key]) -> PartialDict:
        """Get many keys with their cas tokens: {key: (value, cas)}, and `.failed`."""
        return self._fetch_many(keys, with_cas=True)

    def set_many(
        self, values: Mapping[Any, Value], expire: int = 0, *, flags: int = 0
    ) -> FailedKeys:
        """Store many, all nodes at once; give the list of keys that were not stored."""

        def encode(key: bytes, value: Value) -> bytes:
            return commands.storage(b"set", key, value, expire, flags)

        started = self._clock()
        return multi.store_many(
            self._routes, values, encode,
            started=started, deadline=started + self.settings.op_timeout,
        )  # fmt: skip

    def delete_many(self, keys: Iterable[Key]) -> PartialDict:
        """Delete many, all nodes at once: {key: whether it was there}, and `.failed`."""
        started = self._clock()
        return multi.delete_many(
            self._routes, keys, started=started, deadline=started + self.settings.op_timeout
        )

    get_multi = get_many
    set_multi = set_many
    delete_multi = delete_many

    def node_for(self, key: Key) -> str:
        """Give the `host:port` of the node the key lives on."""
        return self._routes[key][0].label

    def snapshot(self) -> dict[str, dict[str, Any]]:
        """Give breaker, pool and counts by node, as plain types; never waits."""
        return {label: node.snapshot() for label, node in self._nodes.items()}

    def add_listener(self, listener: Any) -> None:
        """Tell a pybreaker listener of every breaker's state changes, outside the calls' locks."""
        for node in self._nodes.values():
            node.breaker.add_listener(listener)

    def warm_up(
        self, count: int | None = None, *, timeout_s: float = WARM_UP_S
    ) -> dict[str, WarmUp]:
        """Open connections before they are needed, to all nodes at once: {label: WarmUp}.

        Each node gets `count`, by default `pool_minimum` and at least one, within `timeout_s`. What
        fails is told by its `error`, not raised.
        """
        return warm_up_all(list(self._nodes.values()), count, timeout_s)

    def drain(self, timeout_s: float) -> dict[str, int]:
        """Close, but first let calls under way end for up to `timeout_s`: {label: still in use}.

        New calls raise ClientClosed at once; what is still in use closes when its call ends.
        """
        try:
            return drain_all(list(self._nodes.values()), timeout_s)
        finally:
            self._care.stop()

    def close(self) -> None:
        """Close idle connections at once, those in use when their call ends. May be repeated."""
        for node in self._nodes.values():
            node.pool.close()
        self._care.stop()

    def __enter__(self) -> MemcacheClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<MemcacheClient {' '.join(map(repr, self._nodes.values()))}>"

    def _make_node(self, address: Address, label: str, rng: random.Random | None) -> Node:
        settings = self.settings
        lease_s = max(settings.breaker.probe_lease_s, LEASE_PER_TIMEOUT * settings.op_timeout)
        breaker = Breaker(
            settings.breaker,
            name=label,
            lease_s=lease_s,
            guard=self._guard,
            clock=self._clock,
            rng=rng,
        )
        node = Node(address, settings, breaker, clock=self._clock, rng=rng)
        node.pool.on_open = self._care.start
        return node

    def _tend(self, since: float, is_to_stop: Callable[[], bool]) -> None:
        """Look after every node's idle connections; called by the worker alone."""
        settings = self.settings
        for node in list(self._nodes.values()):
            if not is_to_stop():
                tend(node, since, check_s=settings.idle_check_s, timeout_s=settings.op_timeout)

    def _route(self, key: Key) -> tuple[Node, bytes]:
        wire = commands.wire_key(key)
        return self._nodes[self._ring(wire)], wire

    def _fetch_many(self, keys: Iterable[Key], *, with_cas: bool) -> PartialDict:
        started = self._clock()
        return multi.fetch_many(
            self._routes, keys, with_cas=with_cas,
            started=started, deadline=started + self.settings.op_timeout,
        )  # fmt: skip


def build(nodes: Sequence[Address], settings: object) -> MemcacheClient:
    """Make the client under test from the harness's settings (the contract's CALLABLE).

    `settings` has pool_size, op_timeout, connect_timeout and, if it likes, ring, failover and
    breaker, a mapping of `BreakerSettings` fields.
    """
    return MemcacheClient(nodes, ClientSettings.of(settings))
