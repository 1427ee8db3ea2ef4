"""Libraries that wait in C or Rust, each call in a thread: what waits there stops every greenlet.

locust --client tests.clients.in_threads:pylibmc_pool ...
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import pylibmc
from gevent.monkey import get_original
from gevent.threadpool import ThreadPool

from tests.clients.shared import MetaMemcache, connected
from tests.clients.thread_local import django_pylibmc

Address = tuple[str, int]
THREADS = 40  # more than the users of a run of the table: no call waits for a thread
METHODS = ("get", "set", "add", "delete", "incr", "get_many")


class InThreads:
    """Calls of one client, which itself knows threads."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._threads = ThreadPool(THREADS)
        for name in METHODS:
            setattr(self, name, partial(self._call, getattr(client, name)))

    def _call(self, method: Any, *args: Any) -> Any:
        return self._threads.apply(method, args)

    def close(self) -> None:
        self._threads.kill()
        self._client.close()


class Pylibmc:
    """pylibmc by its own pattern of a pool: a client is in the hands of one caller at a time."""

    def __init__(self, servers: Sequence[str], behaviors: dict[str, Any]) -> None:
        self._servers, self._behaviors = list(servers), behaviors
        self._idle: list[pylibmc.Client] = []

    def _call(self, name: str, *args: Any) -> Any:
        try:
            client = self._idle.pop()
        except IndexError:
            client = pylibmc.Client(self._servers, behaviors=self._behaviors)
        try:
            return getattr(client, name)(*args)
        finally:
            self._idle.append(client)  # libmemcached itself renews a connection that failed

    def get(self, key: str) -> Any:
        return self._call("get", key)

    def set(self, key: str, value: bytes, expire: int = 0) -> Any:
        return self._call("set", key, value, expire)

    def add(self, key: str, value: bytes, expire: int = 0) -> Any:
        return self._call("add", key, value, expire)

    def delete(self, key: str) -> Any:
        return self._call("delete", key)

    def incr(self, key: str, value: int) -> Any:
        try:
            return self._call("incr", key, value)
        except pylibmc.NotFound:
            return None

    def get_many(self, keys: Iterable[str]) -> Any:
        return self._call("get_multi", list(keys))

    def close(self) -> None:
        while self._idle:
            self._idle.pop().disconnect_all()


def pylibmc_pool(nodes: Sequence[Address], settings: Any) -> InThreads:
    """Return pylibmc with its ketama and our limits."""
    behaviors = {
        "ketama_weighted": True,
        "no_block": True,
        "_poll_timeout": int(settings.op_timeout * 1000),
        "connect_timeout": int(settings.connect_timeout * 1000),
    }
    servers = [f"{host}:{port}" for host, port in nodes]
    return InThreads(Pylibmc(servers, behaviors))


def django_pylibmc_threads(nodes: Sequence[Address], settings: Any) -> InThreads:
    """Return Django's PyLibMCCache as a server of threads has it: an object for each of them."""
    return InThreads(django_pylibmc(nodes, settings))


def meta_memcache_threads(nodes: Sequence[Address], settings: Any) -> InThreads:
    """Return meta-memcache, whose connections wait in Rust.

    They are Python's own: one of gevent's belongs to the thread that made it.
    """
    plain = partial(connected, kind=get_original("socket", "socket"))
    return InThreads(MetaMemcache(nodes, settings, plain))
