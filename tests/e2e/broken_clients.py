"""Clients that are broken on purpose, one fault each: the verdict has to convict them by name.

Each follows the contract `CALLABLE(nodes, settings)` and behaves well apart from its one fault.
"""

from __future__ import annotations

import itertools
import threading
from typing import Any

import gevent
from gevent import GreenletExit
from pymemcache.client.base import PooledClient
from pymemcache.client.rendezvous import RendezvousHash

from client import MemcacheClient, build


class WrongValueNowAndThen:
    """Answers one hit in so many with the value of the key that was asked before."""

    def __init__(self, inner: MemcacheClient, every: int) -> None:
        self._inner = inner
        self._every = every
        self._count = itertools.count(1)
        self._last: bytes | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def get(self, key: str, default: Any = None) -> Any:
        value = self._inner.get(key, default)
        if value is not None:
            before, self._last = self._last, value
            if next(self._count) % self._every == 0 and before is not None:
                return before
        return value


def wrong_value(nodes: Any, settings: Any) -> WrongValueNowAndThen:
    return WrongValueNowAndThen(build(nodes, settings), 500)


class PerNode:
    """pymemcache clients, one a node, behind rendezvous hashing; nothing else."""

    def __init__(self, nodes: Any, **options: Any) -> None:
        self._clients = {
            f"{host}:{port}": PooledClient((host, port), default_noreply=False, **options)
            for host, port in nodes
        }
        self._ring = RendezvousHash(nodes=list(self._clients))

    def node_for(self, key: str) -> str:
        return str(self._ring.get_node(key))

    def _of(self, key: str) -> Any:
        return self._clients[self.node_for(key)]

    def get(self, key: str, default: Any = None) -> Any:
        return self._of(key).get(key, default)

    def gets(self, key: str) -> Any:
        return self._of(key).gets(key)

    def set(self, key: str, value: bytes, expire: int = 0) -> Any:
        return self._of(key).set(key, value, expire)

    def add(self, key: str, value: bytes, expire: int = 0) -> Any:
        return self._of(key).add(key, value, expire)

    def cas(self, key: str, value: bytes, cas: Any, expire: int = 0) -> Any:
        return self._of(key).cas(key, value, cas, expire)

    def delete(self, key: str) -> Any:
        return self._of(key).delete(key)

    def incr(self, key: str, value: int) -> Any:
        return self._of(key).incr(key, value)

    def decr(self, key: str, value: int) -> Any:
        return self._of(key).decr(key, value)

    def touch(self, key: str, expire: int = 0) -> Any:
        return self._of(key).touch(key, expire)

    def get_many(self, keys: Any) -> dict[str, bytes]:
        return {key: value for key in keys if (value := self.get(key)) is not None}

    def set_many(self, values: Any, expire: int = 0) -> list[str]:
        return [key for key, value in values.items() if not self.set(key, value, expire)]

    def delete_many(self, keys: Any) -> bool:
        results = [self.delete(key) for key in keys]
        return all(results)

    def close(self) -> None:
        for client in self._clients.values():
            client.close()


def no_deadline(nodes: Any, settings: Any) -> PerNode:
    """Give a client that waits for an answer as long as it takes."""
    return PerNode(nodes, max_pool_size=10_000, connect_timeout=None, timeout=None)


def waits_every_time(nodes: Any, settings: Any) -> PerNode:
    """Give a client without a breaker: every call to a dead node waits for its timeout."""
    return PerNode(
        nodes,
        max_pool_size=10_000,
        connect_timeout=settings.connect_timeout,
        timeout=settings.op_timeout,
    )


class BreakerStuckOpenError(Exception):
    """A node was given up for good."""


class NeverClosesAgain:
    """Gives a node up after five failures in a row, and never tries it again."""

    def __init__(self, inner: MemcacheClient) -> None:
        self._inner = inner
        self._failures: dict[str, int] = {}
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        if name not in ("get", "set", "add", "delete", "incr", "gets", "cas", "decr", "touch"):
            return method

        def guarded(key: str, *args: Any, **kwargs: Any) -> Any:
            node = self._inner.node_for(key)
            if self._failures.get(node, 0) >= 5:
                raise BreakerStuckOpenError(node)
            try:
                result = method(key, *args, **kwargs)
            except Exception:
                with self._lock:
                    self._failures[node] = self._failures.get(node, 0) + 1
                raise
            self._failures[node] = 0
            return result

        return guarded

    @property
    def snapshot(self) -> Any:
        raise AttributeError("this client tells nothing about itself")


def never_closes(nodes: Any, settings: Any) -> NeverClosesAgain:
    return NeverClosesAgain(build(nodes, settings))


def _exit(*_: Any) -> Any:
    raise SystemExit(0)


class MuteError(TypeError):
    """An error that ends the process of whoever looks at it."""

    __str__ = __repr__ = _exit
    outcome = property(_exit)


class Mute:
    """An answer that ends the process of whoever looks at it."""

    __str__ = __repr__ = __bool__ = _exit
    failed = property(_exit)


class Rude:
    """Works, but whatever is not a measured call goes wrong in some way."""

    def __init__(self, inner: MemcacheClient, fault: str) -> None:
        self._inner = inner
        self._fault = fault
        self._gets = itertools.count(1)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def get(self, key: str, default: Any = None) -> Any:
        if self._fault == "kills" and next(self._gets) % 50 == 0:
            raise GreenletExit
        if self._fault == "mute":
            at = next(self._gets) % 100
            if at == 0:
                raise MuteError
            if at == 50:
                return Mute()
        return self._inner.get(key, default)

    def node_for(self, key: str) -> str:
        if self._fault == "mute":
            raise SystemExit(0)
        return self._inner.node_for(key)

    def snapshot(self) -> Any:
        if self._fault == "junk":
            return {label: {"pool": "full", "breaker": 7} for label in self._inner.snapshot()}
        if self._fault == "exits":
            raise SystemExit(0)
        return self._inner.snapshot()

    def close(self) -> None:
        self._inner.close()
        if self._fault == "hangs":
            gevent.sleep(3600)


def rude_kills(nodes: Any, settings: Any) -> Rude:
    return Rude(build(nodes, settings), "kills")


def rude_junk(nodes: Any, settings: Any) -> Rude:
    return Rude(build(nodes, settings), "junk")


def rude_exits(nodes: Any, settings: Any) -> Rude:
    return Rude(build(nodes, settings), "exits")


def rude_mute(nodes: Any, settings: Any) -> Rude:
    return Rude(build(nodes, settings), "mute")


def rude_hangs(nodes: Any, settings: Any) -> Rude:
    return Rude(build(nodes, settings), "hangs")


class RefusesEveryCas:
    """Answers every cas that it was overtaken, and asks no server."""

    def __init__(self, inner: MemcacheClient) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def cas(self, key: str, value: bytes, cas: Any, expire: int = 0) -> bool:
        return False


def refuses_every_cas(nodes: Any, settings: Any) -> RefusesEveryCas:
    return RefusesEveryCas(build(nodes, settings))
