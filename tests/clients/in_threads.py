"""For libraries that wait in C or Rust: what waits there would stop every greenlet."""

from __future__ import annotations

from functools import partial
from typing import Any

from gevent.threadpool import ThreadPool

THREADS = 40  # more than the users of a run of the table: no call waits for a thread
METHODS = ("get", "gets", "set", "add", "cas", "delete", "incr", "decr", "get_many", "set_many")


class InThreads:
    """Calls of one client, which itself knows threads."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._threads = ThreadPool(THREADS)
        for name in METHODS:
            if hasattr(client, name):
                setattr(self, name, partial(self._call, getattr(client, name)))

    def _call(self, method: Any, *args: Any) -> Any:
        return self._threads.apply(method, args)

    def close(self) -> None:
        self._threads.kill()
        self._client.close()
