"""Three real memcached behind one real Toxiproxy, and the hands to harm and heal them.

The proxies always carry a latency, because on a wire without any most bad states heal themselves
before they are seen. The lab looks at a node past its proxy, over connections of its own.
"""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import psutil
from pymemcache.client.base import Client
from pymemcache.client.hash import HashClient

from cluster.embedded import EmbeddedCluster
from cluster.node import Node
from cluster.probe import ProbeError, stats, version
from cluster.toxiproxy import OWN_PREFIX, Stream, Toxiproxy

WIRE_MS = 2
LATENCY = OWN_PREFIX + "wire"
FAULT = OWN_PREFIX + "fault"
ANSWER_WITHIN_S = 2.0
FORGET_WITHIN_S = 1.0

Make = Callable[[Sequence[tuple[str, int]], Any], Any]


class Lab:
    """Servers for the detectors. `stop()` ends every process."""

    def __init__(self, nodes: int = 3) -> None:
        self._cluster = EmbeddedCluster(nodes)
        self._cluster.start()
        self.nodes: Sequence[Node] = self._cluster.nodes
        assert self._cluster.toxiproxy_url is not None
        self._api = Toxiproxy(self._cluster.toxiproxy_url, deadline_s=10.0)
        self._at_rest = max(self.connections(node) for node in self.nodes)
        self._latency = dict.fromkeys((node.name for node in self.nodes), 0)

    def stop(self) -> None:
        """End everything; again is fine."""
        self._api.close()
        self._cluster.stop()

    def fresh(self, latency_ms: int = WIRE_MS) -> None:
        """Heal and empty every node, and put this much latency before each."""
        for node in self.nodes:
            self._cluster.restart_node(node.name)  # one that lives stays as it is
            self.heal(node)
            self.up(node)
            self.slow(node, latency_ms)
            with self.direct(node) as past:
                past.flush_all(noreply=False)
        # Clients that leak go when they are collected; what they held must not be counted again.
        gc.collect()
        wait_until = time.monotonic() + FORGET_WITHIN_S
        while any(self.connections(node) > self._at_rest for node in self.nodes):
            if time.monotonic() > wait_until:
                break
            time.sleep(0.01)

    def slow(self, node: Node, latency_ms: int) -> None:
        """Give the node this much latency instead of what it has."""
        if self._latency[node.name] == latency_ms:
            return
        self._api.remove_toxic(_proxy(node), LATENCY)
        self._latency[node.name] = latency_ms
        attributes = {"latency": latency_ms, "jitter": 0}
        self._api.add_toxic(_proxy(node), LATENCY, "latency", attributes, "downstream")

    def harm(self, node: Node, kind: str, stream: Stream = "downstream", **attributes: int) -> None:
        """Put a toxic on the way to the node, beside the latency; `heal` first for another."""
        self._api.add_toxic(_proxy(node), FAULT, kind, attributes, stream)

    def heal(self, node: Node) -> None:
        """Take the toxic away."""
        self._api.remove_toxic(_proxy(node), FAULT)

    def down(self, node: Node) -> None:
        """Refuse connections to the node and end those there are."""
        self._api.set_enabled(_proxy(node), False)

    def up(self, node: Node) -> None:
        """Let the node be reached again."""
        self._api.set_enabled(_proxy(node), True)

    def restart(self, node: Node) -> None:
        """Kill the node and start it again, empty."""
        self._cluster.kill_node(node.name)
        self._cluster.restart_node(node.name)

    def is_healthy(self, node: Node) -> bool:
        """Whether the node answers a stranger that goes the way of the clients."""
        try:
            return bool(version(node.address, ANSWER_WITHIN_S))
        except ProbeError:
            return False

    @contextlib.contextmanager
    def direct(self, node: Node) -> Iterator[Any]:
        """Give a client that goes past the proxy."""
        past = Client(
            node.direct, timeout=ANSWER_WITHIN_S, connect_timeout=ANSWER_WITHIN_S, no_delay=True
        )
        try:
            yield past
        finally:
            past.close()

    @contextlib.contextmanager
    def client(
        self, make: Make, nodes: Sequence[Any] | None = None, **settings: Any
    ) -> Iterator[Any]:
        """Make a client of `nodes` (nodes or addresses) by the contract, closed at the end."""
        asked = {"pool_size": 8, "op_timeout": 1.0, "connect_timeout": 0.5, **settings}
        addresses = [getattr(node, "address", node) for node in nodes or self.nodes]
        cache = make(addresses, SimpleNamespace(**asked))
        try:
            yield cache
        finally:
            # A HashClient cannot be closed once it has given up all of its nodes.
            theirs = (ValueError,) if isinstance(cache, HashClient) else ()
            with contextlib.suppress(*theirs):
                cache.close()

    def connections(self, node: Node) -> int:
        """How many connections the node itself counts, the one that asks left out."""
        return stats(node.direct, ANSWER_WITHIN_S)["curr_connections"] - 1

    def connections_ever(self, node: Node) -> int:
        """How many connections the node has taken since it started."""
        return stats(node.direct, ANSWER_WITHIN_S)["total_connections"]

    def sockets(self, node: Node) -> int:
        """How many sockets this process holds to the node's proxy."""
        port = node.address[1]
        return sum(
            1
            for one in psutil.Process().net_connections(kind="tcp")
            if one.raddr and one.raddr.port == port and one.status != psutil.CONN_TIME_WAIT
        )


def _proxy(node: Node) -> str:
    assert node.proxy is not None
    return node.proxy
