"""MemcacheClient: pymemcache's methods over nodes, each behind its own breaker and pool.

A call is: route the key, build the command, hand both to the node. The calls of one key are in
`reading`, `writing` and `counting`, the batches in `many`; here is `get`. What can fail fails as a
typed error; nothing is retried, nothing is masked as a miss, and nothing is sent without waiting
for the reply. One client serves all threads of a process, under gevent all greenlets of a hub.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import Any

from client.addresses import NodeAddress
from client.breaker import Breaker
from client.calls import Key
from client.counting import Counting
from client.guard import ShareGuard
from client.maintenance import Maintenance
from client.many import Many
from client.node import LEASE_PER_TIMEOUT, Address, Node
from client.reading import Reading
from client.routing import Router
from client.serving import Serving
from client.settings import ClientSettings
from client.tending import tend
from client.values import Values
from client.warming import WARM_UP_S, WarmUp, drain_all, warm_up_all
from client.writing import Writing


class MemcacheClient(Reading, Writing, Counting, Many, Serving):
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
        self._rng = rng
        self._listeners: list[Any] = []
        self._is_closed = False
        self._router = Router(nodes, self.settings, self._make_node, clock=clock)
        self._follow_router()

    def get(self, key: Key, default: Any = None, *, protocol: str | None = None) -> Any:
        """Give the value (bytes, or what the serde makes of them), or `default` on a miss."""
        if protocol is not None or not self._is_plain:
            return self._get_decoded(key, default, protocol)
        node, wire = self._routes[key]
        value = node.fetch(wire)
        return default if value is None else value

    @property
    def moves_keys(self) -> bool:
        """Whether keys go to other nodes while their own is out, as `failover` says."""
        return self.settings.failover != "fail"

    def node_for(self, key: Key) -> str:
        """Give the `host:port` of the node the key lives on, whoever answers for it just now."""
        return self._routes[key][0].label

    def add_node(self, node: Address, *, weight: int = 1) -> None:
        """Take a node in; from now on it owns its share of the keys.

        With ketama and rendezvous and equal weights no other node's keys move. Raises ValueError
        for what is no address, is there already, or has a weight that is no whole number.
        """
        added = self._router.add_node(node, weight)
        for listener in self._listeners:
            added.breaker.add_listener(listener)
        self._follow_router()
        if self._is_closed:
            added.pool.close()

    def remove_node(self, node: Address) -> None:
        """Take a node out: its keys belong to others, calls under way on it end in peace.

        Its idle connections close at once, those in use when their call ends. What it stored stays
        with it. Raises ValueError for a node that is not there, or the last one.
        """
        removed = self._router.remove_node(node)
        self._follow_router()
        removed.pool.retire()
        removed.breaker.retire()

    def snapshot(self) -> dict[str, dict[str, Any]]:
        """Give breaker, pool and counts by node, as plain types; never waits."""
        moved = self._router.moved
        return {
            label: {**node.snapshot(), "moved": moved.get(label, 0)}
            for label, node in self._nodes.items()
        }

    def add_listener(self, listener: Any) -> None:
        """Tell a pybreaker listener of every breaker's state changes, outside the calls' locks."""
        self._listeners.append(listener)
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
        self._is_closed = True  # before the nodes are looked at: one that is added looks here
        try:
            return drain_all(list(self._nodes.values()), timeout_s)
        finally:
            self._care.stop()

    def close(self) -> None:
        """Close idle connections at once, those in use when their call ends. May be repeated."""
        self._is_closed = True
        for node in self._nodes.values():
            node.pool.close()
        self._care.stop()

    def __enter__(self) -> MemcacheClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<MemcacheClient {' '.join(map(repr, self._nodes.values()))}>"

    @property
    def _nodes(self) -> dict[str, Node]:  # type: ignore[override]
        """All nodes by label, a gutter's too."""
        return self._router.everyone

    def _follow_router(self) -> None:
        # Attributes of the client, because every call looks one of them up. Of two threads that
        # change nodes the slower one must not put back the older routes: each looks again.
        while True:
            router = self._router
            self._routes, self._homes = router.routes, router.homes
            if self._routes is router.routes and self._homes is router.homes:
                return

    def _make_node(self, address: NodeAddress) -> Node:
        settings = self.settings
        lease_s = max(settings.breaker.probe_lease_s, LEASE_PER_TIMEOUT * settings.op_timeout)
        breaker = Breaker(
            settings.breaker,
            name=address.label,
            lease_s=lease_s,
            guard=self._guard,
            clock=self._clock,
            rng=self._rng,
        )
        node = Node(address, settings, breaker, clock=self._clock, rng=self._rng)
        node.pool.on_open = self._care.start
        return node

    def _tend(self, since: float, is_to_stop: Callable[[], bool]) -> None:
        """Look after every node's idle connections; called by the worker alone."""
        settings = self.settings
        for node in list(self._nodes.values()):
            if not is_to_stop():
                tend(node, since, check_s=settings.idle_check_s, timeout_s=settings.op_timeout)


def build(nodes: Sequence[Address], settings: object) -> MemcacheClient:
    """Make the client under test from the harness's settings (the contract's CALLABLE).

    `settings` has pool_size, op_timeout, connect_timeout and, if it likes, ring, failover and
    breaker, a mapping of `BreakerSettings` fields.
    """
    return MemcacheClient(nodes, ClientSettings.of(settings))
