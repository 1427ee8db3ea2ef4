"""Libraries with a connection for each thread, which is each greenlet under gevent.

    locust --client tests.clients.thread_local:python_memcached ...

Thin adapters: they give pymemcache's names and results to what the library does, and no more. What
a library answers to a dead node it answers here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import bmemcached
import memcache
from bmemcached.exceptions import MemcachedException
from django.conf import settings as django_settings
from django.core.cache.backends.memcached import BaseMemcachedCache, PyLibMCCache, PyMemcacheCache
from django.utils.connection import BaseConnectionHandler

Address = tuple[str, int]

NOT_FOUND = 1
NO_COUNTER = 0xFFFFFFFF
"""The expiry by which the binary protocol is told not to make a counter that is not there."""


class PythonMemcached:
    """python-memcached. It tells no failure from a miss, or from what was not stored."""

    def __init__(self, servers: Sequence[str], timeout_s: float) -> None:
        self._client = memcache.Client(servers, socket_timeout=timeout_s)

    def get(self, key: str, default: Any = None) -> Any:
        return self._client.get(key, default)

    def set(self, key: str, value: bytes, expire: int = 0) -> bool:
        return bool(self._client.set(key, value, expire))

    def add(self, key: str, value: bytes, expire: int = 0) -> bool:
        return bool(self._client.add(key, value, expire))

    def delete(self, key: str) -> bool:
        return bool(self._client.delete(key))

    def incr(self, key: str, value: int) -> Any:
        return self._client.incr(key, value)

    def decr(self, key: str, value: int) -> Any:
        return self._client.decr(key, value)

    def get_many(self, keys: Iterable[str]) -> Any:
        return self._client.get_multi(list(keys))

    def set_many(self, values: Mapping[str, bytes], expire: int = 0) -> Any:
        return self._client.set_multi(dict(values), expire)

    def disconnect_all(self) -> None:
        self._client.disconnect_all()


def python_memcached(nodes: Sequence[Address], settings: Any) -> PythonMemcached:
    """python-memcached as it comes: a dead node is left out for 30 s, its keys go to others."""
    return PythonMemcached([f"{host}:{port}" for host, port in nodes], settings.op_timeout)


class BinaryMemcached:
    """python-binary-memcached's distributed client. It tells no failure from a miss either."""

    def __init__(self, servers: Sequence[str], timeout_s: float) -> None:
        self._client = bmemcached.DistributedClient(
            servers, socket_timeout=timeout_s, raw_data=True
        )

    def get(self, key: str, default: Any = None) -> Any:
        return self._client.get(key, default)

    def gets(self, key: str) -> Any:
        return self._client.gets(key)

    def set(self, key: str, value: bytes, expire: int = 0) -> bool:
        return bool(self._client.set(key, value, expire))

    def add(self, key: str, value: bytes, expire: int = 0) -> bool:
        return bool(self._client.add(key, value, expire))

    def cas(self, key: str, value: bytes, cas: Any, expire: int = 0) -> Any:
        return self._client.cas(key, value, cas, expire)

    def delete(self, key: str) -> bool:
        return bool(self._client.delete(key))

    def incr(self, key: str, value: int) -> Any:
        return self._count(self._client.incr, key, value)

    def decr(self, key: str, value: int) -> Any:
        return self._count(self._client.decr, key, value)

    @staticmethod
    def _count(method: Any, key: str, value: int) -> Any:
        try:
            # 0 stands for a counter that is not there, and for a node that does not answer.
            return method(key, value, default=0, time=NO_COUNTER) or None
        except MemcachedException as error:
            if error.code != NOT_FOUND:
                raise
            return None

    def get_many(self, keys: Iterable[str]) -> Any:
        return self._client.get_multi(list(keys))

    def set_many(self, values: Mapping[str, bytes], expire: int = 0) -> Any:
        return self._client.set_multi(dict(values), expire)

    def disconnect_all(self) -> None:
        self._client.disconnect_all()


def binary_memcached(nodes: Sequence[Address], settings: Any) -> BinaryMemcached:
    """python-binary-memcached with values as they are."""
    return BinaryMemcached([f"{host}:{port}" for host, port in nodes], settings.op_timeout)


class _Handler(BaseConnectionHandler):
    """Django's own way to a backend: one for each thread, or task."""

    def __init__(self, kind: type[BaseMemcachedCache], servers: list[str], options: Any) -> None:
        super().__init__({"default": {}})
        self._make = lambda: kind(servers, {"OPTIONS": dict(options)})

    def create_connection(self, alias: str) -> BaseMemcachedCache:
        return self._make()


class Django:
    """A backend of Django's, by the names of its own API, as an application has it."""

    def __init__(self, kind: type[BaseMemcachedCache], servers: list[str], options: Any) -> None:
        self._caches = _Handler(kind, servers, options)

    @property
    def _cache(self) -> Any:
        return self._caches["default"]

    def get(self, key: str, default: Any = None) -> Any:
        return self._cache.get(key, default)

    def set(self, key: str, value: bytes, expire: int = 0) -> bool:
        # Django's `set` acknowledges nothing; `set_many` names what was not stored.
        return not self._cache.set_many({key: value}, expire or None)

    def add(self, key: str, value: bytes, expire: int = 0) -> bool:
        return bool(self._cache.add(key, value, expire or None))

    def delete(self, key: str) -> bool:
        return bool(self._cache.delete(key))

    def incr(self, key: str, value: int) -> Any:
        try:
            return self._cache.incr(key, value)
        except ValueError:  # Django's word for a counter that is not there
            return None

    def get_many(self, keys: Iterable[str]) -> Any:
        return self._cache.get_many(list(keys))

    def set_many(self, values: Mapping[str, bytes], expire: int = 0) -> Any:
        return self._cache.set_many(dict(values), expire or None)

    def close(self) -> None:
        self._caches.close_all()


def _django(kind: type[BaseMemcachedCache], nodes: Sequence[Address], **options: Any) -> Django:
    if not django_settings.configured:
        django_settings.configure()
    return Django(kind, [f"{host}:{port}" for host, port in nodes], options)


def django_pymemcache(nodes: Sequence[Address], settings: Any) -> Django:
    """Django's PyMemcacheCache with our timeouts."""
    return _django(
        PyMemcacheCache,
        nodes,
        timeout=settings.op_timeout,
        connect_timeout=settings.connect_timeout,
    )


def django_pylibmc(nodes: Sequence[Address], settings: Any) -> Django:
    """Django's PyLibMCCache with our timeouts; its C blocks the hub, so it needs threads."""
    behaviors = {
        "connect_timeout": int(settings.connect_timeout * 1000),
        "_poll_timeout": int(settings.op_timeout * 1000),  # receive_timeout limits no wait
        "tcp_nodelay": True,
    }
    return _django(PyLibMCCache, nodes, binary=False, behaviors=behaviors)
