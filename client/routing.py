"""From a key to who answers for it, while nodes come and go.

Nodes, ring and memo of one moment are a `_Table`, which never changes. Adding or removing a node
makes a new table and puts it in the old one's place in a single step, so a call sees the one or the
other and the memo can hold no answer of a ring that is gone. Calls under way end on the node they
had found.

With failover "fail" a key's target is its Node itself and nothing is paid for. Else it is a
`Detour`; those with the same nodes in the same order are one object. It sends nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

from client.addresses import NodeAddress, parse_address
from client.commands import wire_key
from client.failover import Detour, Terms
from client.failover_rules import capped
from client.memo import Memo
from client.node import Node
from client.ring import check_weight, make_ring, point_name
from client.settings import ClientSettings

Key = str | bytes
Target = Any  # a Node, or a Detour with the same face
MakeNode = Callable[[NodeAddress], Node]


class Router:
    """The nodes by label, and the way of each key to its own.

    `routes[key]` is (target, key as it is sent) and raises IllegalKey; `homes[key]` is the same
    with the key's own Node. Both are replaced when nodes change, so look them up at every call.
    """

    def __init__(
        self,
        nodes: Sequence[Any],
        settings: ClientSettings,
        make_node: MakeNode,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._make_node = make_node
        self._wall_clock = wall_clock
        self._lock = threading.Lock()  # one change at a time; makes no node under it
        self._weights = {parse_address(n).label: w for n, w in settings.weights.items()}
        addresses = _distinct(nodes)
        gutters = _distinct(settings.gutter_nodes if settings.failover == "gutter" else ())
        if twice := addresses.keys() & gutters.keys():
            raise ValueError(f"node {min(twice)} is a gutter node too: a gutter must be another")
        if unknown := self._weights.keys() - addresses.keys():
            raise ValueError(f"weights name {min(unknown)}, which is not among the nodes")
        self._terms = Terms(clock=clock, op_timeout=settings.op_timeout, reword=self.reword)
        self.nodes: Mapping[str, Node] = {a.label: make_node(a) for a in addresses.values()}
        self.gutters: Mapping[str, Node] = {a.label: make_node(a) for a in gutters.values()}
        self._publish()

    @property
    def everyone(self) -> dict[str, Node]:
        """All nodes by label, those of the gutter behind the others."""
        return {**self.nodes, **self.gutters}

    @property
    def moved(self) -> Mapping[str, int]:
        """How many calls ended well on another node, by the label of the key's own."""
        return self._terms.moved

    def add_node(self, given: Any, weight: int = 1) -> Node:
        """Take a node in. Raises ValueError for no address, a node that is there, a bad weight."""
        address = parse_address(given)
        check_weight(address.label, weight)
        self._refuse_known(address.label)
        node = self._make_node(address)
        with self._lock:
            is_known = address.label in self.everyone
            if not is_known:
                self._weights[address.label] = weight
                self.nodes = {**self.nodes, address.label: node}
                self._publish()
        if is_known:  # another thread was faster
            node.pool.close()
            node.breaker.retire()
            self._refuse_known(address.label)
        return node

    def remove_node(self, given: Any) -> Node:
        """Take a node out and give it: the caller ends it. Raises ValueError for an unknown one."""
        label = parse_address(given).label
        with self._lock:
            if label not in self.nodes:
                raise ValueError(f"node {label} is not among {', '.join(self.nodes)}")
            if len(self.nodes) == 1:
                raise ValueError(f"node {label} is the last one: add another before removing it")
            node = self.nodes[label]
            self.nodes = {name: kept for name, kept in self.nodes.items() if name != label}
            self._weights.pop(label, None)
            self._publish()
        return node

    def fallbacks(self, wire: bytes, failed_label: str) -> Sequence[Node]:
        """Give the nodes to turn to, in order, for a key that the node `failed_label` refused."""
        found = self._table.others(wire)
        return tuple(node for node in found if node.label != failed_label)

    def reword(self, request: bytes) -> bytes:
        """Give a single request as it is put to a fallback: a gutter keeps nothing for long."""
        if self._settings.failover != "gutter":
            return request
        return capped(request, self._settings.gutter_ttl_s, self._wall_clock())

    def _publish(self) -> None:
        table = _Table(self.nodes, self._weights, self.gutters, self._settings, self._terms)
        self._table = table
        self.homes: Memo[tuple[Node, bytes]] = Memo(table.home)
        self.routes: Memo[tuple[Target, bytes]] = (
            self.homes if self._settings.failover == "fail" else Memo(table.route)
        )

    def _refuse_known(self, label: str) -> None:
        if label in self.everyone:
            raise ValueError(f"node {label} is there already: name each node once")


class _Table:
    """The nodes and rings of one moment. Never changes."""

    def __init__(
        self,
        nodes: Mapping[str, Node],
        weights: Mapping[str, int],
        gutters: Mapping[str, Node],
        settings: ClientSettings,
        terms: Terms,
    ) -> None:
        kind = settings.ring
        self._nodes = {point_name(kind, node.address): node for node in nodes.values()}
        weighed = {
            point_name(kind, node.address): weights.get(label, 1) for label, node in nodes.items()
        }
        self._ring = make_ring(kind, tuple(weighed), weighed)
        self._gutters = {point_name(kind, node.address): node for node in gutters.values()}
        self._gutter = make_ring(kind, tuple(self._gutters)) if gutters else None
        self._attempts = settings.failover_attempts if settings.failover == "rehash" else 0
        if self._gutter is not None:
            self._attempts = settings.failover_attempts
        self._detours: Memo[Detour] = Memo(lambda chain: Detour(chain[0], chain[1:], terms))

    def home(self, key: Key) -> tuple[Node, bytes]:
        wire = wire_key(key)
        return self._nodes[self._ring.look_up(wire)], wire

    def route(self, key: Key) -> tuple[Detour, bytes]:
        node, wire = self.home(key)
        return self._detours[(node, *self.others(wire))], wire

    def others(self, wire: bytes) -> tuple[Node, ...]:
        """Give the nodes to turn to when the key's own refuses."""
        if self._gutter is not None:
            names = islice(self._gutter.order(wire), self._attempts)
            return tuple(self._gutters[name] for name in names)
        if not self._attempts:
            return ()
        names = islice(self._ring.order(wire), 1, 1 + self._attempts)
        return tuple(self._nodes[name] for name in names)


def _distinct(given: Sequence[Any]) -> dict[str, NodeAddress]:
    """Read addresses by label. Raises ValueError when one is there twice."""
    found: dict[str, NodeAddress] = {}
    for each in given:
        address = parse_address(each)
        if address.label in found:
            raise ValueError(f"node {address.label} is given twice: name each node once")
        found[address.label] = address
    return found
