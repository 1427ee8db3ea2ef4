"""meta-memcache, as it comes and with each call in a thread: its connections wait in Rust.

locust --client tests.clients.meta:meta_memcache_threads ...
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from gevent.monkey import get_original
from meta_memcache import (
    CacheClient,
    ConnectionPool,
    ServerAddress,
    SetMode,
    connection_pool_factory_builder,
)

from tests.clients.in_threads import InThreads

Address = tuple[str, int]


class MetaMemcache:
    """meta-memcache with its own serializer, which packs larger values; it raises what failed."""

    def __init__(
        self, nodes: Sequence[Address], make_pool: Callable[[ServerAddress], ConnectionPool]
    ) -> None:
        servers = [ServerAddress(host, port) for host, port in nodes]
        self._pools = {server: make_pool(server) for server in servers}
        self._client = CacheClient.cache_client_from_servers(servers, self._pools.__getitem__)

    def get(self, key: str) -> Any:
        return self._client.get(key)

    def gets(self, key: str) -> Any:
        return self._client.get_cas(key)

    def set(self, key: str, value: bytes, expire: int = 0) -> bool:
        return self._client.set(key, value, expire)

    def add(self, key: str, value: bytes, expire: int = 0) -> bool:
        return self._client.set(key, value, expire, set_mode=SetMode.ADD)

    def cas(self, key: str, value: bytes, cas: Any, expire: int = 0) -> bool:
        return self._client.set(key, value, expire, cas_token=cas)

    def delete(self, key: str) -> bool:
        return self._client.delete(key)

    def incr(self, key: str, value: int) -> Any:
        return self._client.delta_and_get(key, value)

    def decr(self, key: str, value: int) -> Any:
        return self._client.delta_and_get(key, -value)

    def get_many(self, keys: Iterable[str]) -> Any:
        found = self._client.multi_get(list(keys))
        return {key.key: value for key, value in found.items() if value is not None}

    def close(self) -> None:
        """End what the pools hold; the library itself has no way to close."""
        for pool in self._pools.values():
            for _ in range(pool.get_counters().available):
                pool.pop_connection().close()


def meta_memcache(nodes: Sequence[Address], settings: Any) -> MetaMemcache:
    """Return meta-memcache over its own ring; a node without connections is left out for 5 s."""
    make_pool = connection_pool_factory_builder(
        max_pool_size=settings.pool_size,
        connection_timeout=settings.connect_timeout,
        recv_timeout=settings.op_timeout,
    )
    return MetaMemcache(nodes, make_pool)


def meta_memcache_threads(nodes: Sequence[Address], settings: Any) -> InThreads:
    """Return meta-memcache, whose connections wait in Rust.

    Its sockets are made as the library's own factory makes them, of Python's own kind: one of
    gevent's belongs to the thread that made it.
    """
    kind = get_original("socket", "socket")

    def make_pool(server: ServerAddress) -> ConnectionPool:
        def connected() -> socket.socket:
            sock: socket.socket = kind(socket.AF_INET, socket.SOCK_STREAM)
            sock.settimeout(settings.connect_timeout)
            try:
                sock.connect((server.host, server.port))
            except OSError:
                sock.close()
                raise
            sock.settimeout(settings.op_timeout)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock

        return ConnectionPool(str(server), connected, 1, settings.pool_size)

    return InThreads(MetaMemcache(nodes, make_pool))
