"""Clients that do not survive a call that is cut off, each in its own way.

pymemcache itself mends a connection after an `Exception`, and what cuts a call off (gevent.Timeout,
the kill of a greenlet) is none. Its own pool never gets the connection back; here are the two other
ways to be wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gevent.lock import RLock
from pymemcache.client.base import Client, PooledClient
from pymemcache.client.rendezvous import RendezvousHash

from users.pooled import PooledRing, build_pooled


class OneSocketANode:
    """One connection a node, one call at a time: a call cut off leaves its reply for the next."""

    def __init__(self, nodes: Any, settings: Any) -> None:
        self._clients = {
            f"{host}:{port}": Client(
                (host, port),
                default_noreply=False,
                connect_timeout=settings.connect_timeout,
                timeout=settings.op_timeout,
            )
            for host, port in nodes
        }
        self._locks = {label: RLock() for label in self._clients}
        self._ring = RendezvousHash(nodes=list(self._clients))

    def _call(self, name: str, key: str, *args: Any) -> Any:
        label = str(self._ring.get_node(key))
        with self._locks[label]:
            return getattr(self._clients[label], name)(key, *args)

    def get(self, key: str, default: Any = None) -> Any:
        return self._call("get", key, default)

    def gets(self, key: str) -> Any:
        return self._call("gets", key)

    def set(self, key: str, value: bytes, expire: int = 0) -> Any:
        return self._call("set", key, value, expire)

    def add(self, key: str, value: bytes, expire: int = 0) -> Any:
        return self._call("add", key, value, expire)

    def replace(self, key: str, value: bytes, expire: int = 0) -> Any:
        return self._call("replace", key, value, expire)

    def cas(self, key: str, value: bytes, cas: Any, expire: int = 0) -> Any:
        return self._call("cas", key, value, cas, expire)

    def delete(self, key: str) -> Any:
        return self._call("delete", key)

    def incr(self, key: str, value: int) -> Any:
        return self._call("incr", key, value)

    def decr(self, key: str, value: int) -> Any:
        return self._call("decr", key, value)

    def touch(self, key: str, expire: int = 0) -> Any:
        return self._call("touch", key, expire)

    def get_many(self, keys: Any) -> dict[str, bytes]:
        parts: dict[str, list[str]] = {}
        for key in keys:
            parts.setdefault(str(self._ring.get_node(key)), []).append(key)
        found: dict[str, bytes] = {}
        for label, part in parts.items():
            with self._locks[label]:
                found.update(self._clients[label].get_many(part))
        return found

    def set_many(self, values: Any, expire: int = 0) -> list[str]:
        return [key for key, value in values.items() if not self.set(key, value, expire)]

    def delete_many(self, keys: Any) -> bool:
        results = [self.delete(key) for key in keys]
        return all(results)

    def close(self) -> None:
        for client in self._clients.values():
            client.close()


def desyncs(nodes: Any, settings: Any) -> OneSocketANode:
    return OneSocketANode(nodes, settings)


def returns_dirty(nodes: Any, settings: Any) -> PooledRing:
    """Give pools that take every connection back, whatever became of the call."""

    def make(address: tuple[str, int]) -> PooledClient:
        client = PooledClient(
            address,
            default_noreply=False,
            max_pool_size=settings.pool_size,
            connect_timeout=settings.connect_timeout,
            timeout=settings.op_timeout,
        )
        pool = client.client_pool

        @contextmanager
        def lend(destroy_on_fail: bool = False) -> Iterator[Any]:
            lent = pool.get()
            try:
                yield lent
            finally:
                pool.release(lent)

        pool.get_and_release = lend
        return client

    return build_pooled(nodes, make)
