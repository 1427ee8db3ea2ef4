"""Clients that are broken where only a witness sees it: the hub, the servers' counts, their words.

Each follows the contract `CALLABLE(nodes, settings)` and behaves well apart from its one fault.
"""

from __future__ import annotations

import dataclasses
import itertools
import socket
import time
from collections.abc import Mapping
from typing import Any

from gevent.monkey import get_original

from client import MemcacheClient, build

_blocking_sleep = get_original("time", "sleep")
BLOCKS_S = 0.3  # of processor time, or asleep: with a machine shared with others it lasts longer
BLOCKS_EVERY_S = 1.5


class Wrapped:
    """The default client, for one fault to be added to."""

    def __init__(self, nodes: Any, settings: Any) -> None:
        self.inner: MemcacheClient = build(nodes, settings)
        self.nodes = list(nodes)
        self.settings = settings

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class BlocksHub(Wrapped):
    """Now and then stops every greenlet of its process."""

    def __init__(self, nodes: Any, settings: Any) -> None:
        super().__init__(nodes, settings)
        self._next = time.monotonic() + BLOCKS_EVERY_S

    def get(self, key: str, default: Any = None) -> Any:
        if time.monotonic() > self._next:
            self._next = time.monotonic() + BLOCKS_EVERY_S
            self.block()
        return self.inner.get(key, default)

    def block(self) -> None:
        raise NotImplementedError


class sleeps_hard(BlocksHub):  # noqa: N801 - a factory, named like one
    """Sleeps in the system, past gevent."""

    def block(self) -> None:
        _blocking_sleep(BLOCKS_S)


class computes_long(BlocksHub):  # noqa: N801
    """Computes for long without letting anybody else run."""

    def block(self) -> None:
        until = time.thread_time() + BLOCKS_S
        while time.thread_time() < until:
            sum(range(500))


class keeps_the_lock(BlocksHub):  # noqa: N801
    """Computes in one instruction, so that no other thread of the process runs either."""

    def block(self) -> None:
        sum(range(25_000_000))


class reconnects_for_every_call(Wrapped):  # noqa: N801
    """Opens a connection for each call, and lets it go."""

    def get(self, key: str, default: Any = None) -> Any:
        host, port = self.inner.node_for(key).rsplit(":", 1)
        with socket.socket() as sock:
            sock.settimeout(self.settings.connect_timeout)
            if not sock.connect_ex((host, int(port))):
                sock.close()
        return self.inner.get(key, default)


class storms_on_heal(Wrapped):  # noqa: N801
    """Opens 200 connections to a node as soon as it answers again."""

    def __init__(self, nodes: Any, settings: Any) -> None:
        super().__init__(nodes, settings)
        self._down: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        node = self.inner.node_for(key)
        try:
            value = self.inner.get(key, default)
        except Exception:
            self._down.add(node)
            raise
        if node in self._down:
            self._down.discard(node)
            self._storm(node)
        return value

    def _storm(self, node: str) -> None:
        host, port = node.rsplit(":", 1)
        socks = [socket.create_connection((host, int(port)), 1.0) for _ in range(200)]
        for sock in socks:
            sock.close()


class retries_always(Wrapped):  # noqa: N801
    """Asks three times for every answer."""

    def get(self, key: str, default: Any = None) -> Any:
        for _ in range(2):
            self.inner.get(key, default)
        return self.inner.get(key, default)

    def get_many(self, keys: Any) -> Any:
        for _ in range(2):
            self.inner.get_many(keys)
        return self.inner.get_many(keys)


class retries_elsewhere(Wrapped):  # noqa: N801
    """Asks every other node ten times when one fails."""

    def __init__(self, nodes: Any, settings: Any) -> None:
        super().__init__(nodes, settings)
        self._others = {
            f"{host}:{port}": build([(host, port)], settings) for host, port in self.nodes
        }

    def get(self, key: str, default: Any = None) -> Any:
        try:
            return self.inner.get(key, default)
        except Exception:
            home = self.inner.node_for(key)
            for _ in range(10):
                for label, other in self._others.items():
                    if label != home:
                        other.get(key)
            raise

    def close(self) -> None:
        self.inner.close()
        for other in self._others.values():
            other.close()


class Lies(Wrapped):
    """Changes what the default client says of itself."""

    def snapshot(self) -> Mapping[str, Any]:
        return {label: self.changed(dict(said)) for label, said in self.inner.snapshot().items()}

    def changed(self, said: dict[str, Any]) -> dict[str, Any]:
        raise NotImplementedError


class says_closed(Lies):  # noqa: N801
    """Says that every breaker is closed."""

    def changed(self, said: dict[str, Any]) -> dict[str, Any]:
        return {"breaker": "closed", "pool": said["pool"]}


class says_open(Lies):  # noqa: N801
    """Says that every breaker is open."""

    def changed(self, said: dict[str, Any]) -> dict[str, Any]:
        return {"breaker": "open", "pool": said["pool"]}


class says_too_many(Lies):  # noqa: N801
    """Says that more connections are idle than a pool can hold."""

    def changed(self, said: dict[str, Any]) -> dict[str, Any]:
        return {"breaker": said["breaker"], "pool": {"idle": 5_000, "in_use": 0}}


class leaks_sockets(Wrapped):  # noqa: N801
    """Opens a connection now and then and forgets it."""

    def __init__(self, nodes: Any, settings: Any) -> None:
        super().__init__(nodes, settings)
        self._count = itertools.count(1)
        self._forgotten: list[socket.socket] = []

    def get(self, key: str, default: Any = None) -> Any:
        if next(self._count) % 200 == 0:
            self._forgotten.append(socket.create_connection(self.nodes[0], 1.0))
        return self.inner.get(key, default)


_KEPT: list[Any] = []  # a leak outlives the client that made it


def leaks(nodes: Any, settings: Any) -> leaks_sockets:
    """Give a client whose forgotten sockets nothing ever closes."""
    client = leaks_sockets(nodes, settings)
    _KEPT.append(client)
    return client


def probes_without_limit(nodes: Any, settings: Any) -> MemcacheClient:
    """Give a client whose half-open breaker lets any number of probes through at once."""
    breaker = dict(settings.breaker or {}) | {"half_open_probes": 1_000}
    return build(nodes, dataclasses.replace(settings, breaker=breaker))
