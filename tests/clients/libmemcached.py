"""Libraries over libmemcached, each call in a thread.

locust --client tests.clients.libmemcached:pylibmc_pool ...
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

import pylibmc

from tests.clients.in_threads import InThreads
from tests.clients.thread_local import django_pylibmc

Address = tuple[str, int]


class Pylibmc:
    """pylibmc by its own pattern of a pool: a client is in the hands of one caller at a time.

    Its ClientPool is a queue, so that each client has its turn; this one grows where that is empty.
    """

    def __init__(self, servers: Sequence[str], behaviors: dict[str, Any]) -> None:
        self._servers, self._behaviors = list(servers), behaviors
        self._idle: deque[pylibmc.Client] = deque()

    def _call(self, name: str, *args: Any) -> Any:
        try:
            client = self._idle.popleft()
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

    def decr(self, key: str, value: int) -> Any:
        try:
            return self._call("decr", key, value)
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
