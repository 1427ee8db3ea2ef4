"""A name server of the test's own, where the system's C function would be.

It stands below gevent: whoever resolves in gevent's way gets it in a thread of the pool, and who
calls C directly blocks the whole process for as long as it thinks.
"""

from __future__ import annotations

import _socket
import contextlib
from collections.abc import Iterator
from typing import Any

from gevent import monkey

_sleep = monkey.get_original("time", "sleep")


class Names:
    """Records that can be changed: name -> addresses. `delay_s` is how long an answer takes."""

    def __init__(self) -> None:
        self.records: dict[str, list[tuple[str, int]]] = {}
        self.delay_s = 0.0
        self.asked = 0
        self._real = _socket.getaddrinfo

    def look_up(self, host: Any, *args: Any, **kwargs: Any) -> Any:
        """Answer as C's getaddrinfo does, blocking whoever calls."""
        name = host.decode() if isinstance(host, bytes) else host
        if name not in self.records:
            return self._real(host, *args, **kwargs)
        self.asked += 1
        _sleep(self.delay_s)
        kind, protocol = _socket.SOCK_STREAM, _socket.IPPROTO_TCP
        return [(_socket.AF_INET, kind, protocol, "", where) for where in self.records[name]]


@contextlib.contextmanager
def name_server(**records: tuple[str, int]) -> Iterator[Names]:
    """Answer for `<name>.test` with the given address while the block runs."""
    names = Names()
    names.records = {f"{name}.test": [address] for name, address in records.items()}
    _socket.getaddrinfo = names.look_up
    try:
        yield names
    finally:
        _socket.getaddrinfo = names._real
