"""The addresses behind one node's name, found within a deadline.

`getaddrinfo` has no timeout of its own, so a name is looked up in a thread (under gevent a
greenlet) that the caller waits for only as long as it has time. Numeric addresses need none of it.
Answers are kept for a moment, so that a burst of new connections asks once, yet a moved name is
followed almost at once. This module opens no connection.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from client.errors import ConnectTimeout, Unreachable

KEEP_S = 1.0  # an address older than this is asked for again

SocketAddress = tuple[int, Any]  # address family, what connect() takes


class Resolver:
    """Resolve one (host, port)."""

    def __init__(
        self, host: str, port: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._host = host
        self._port = port
        self._clock = clock
        self._numeric = _numeric_address(host, port)
        self._kept: list[SocketAddress] = []
        self._kept_until = -1.0

    def addresses(self, timeout: float) -> list[SocketAddress]:
        """Give all addresses, in the system's order of preference.

        Raises ConnectTimeout when there is no answer within `timeout` seconds, Unreachable when
        the name does not resolve.
        """
        if self._numeric is not None:
            return [self._numeric]
        if self._clock() < self._kept_until:
            return self._kept
        found = self._ask(timeout)
        self._kept, self._kept_until = found, self._clock() + KEEP_S
        return found

    def _ask(self, timeout: float) -> list[SocketAddress]:
        answers: list[list[SocketAddress]] = []
        answered = threading.Event()

        def ask() -> None:
            try:
                answers.append(_look_up(self._host, self._port))
            except OSError:
                pass  # no answer in the list says so
            finally:
                answered.set()

        threading.Thread(target=ask, name=f"resolve {self._host}", daemon=True).start()
        if not answered.wait(timeout):
            raise ConnectTimeout("name not resolved within the connect timeout")
        if not answers or not answers[0]:
            raise Unreachable("name does not resolve")
        return answers[0]


def _look_up(host: str, port: int) -> list[SocketAddress]:
    infos = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    return [(family, address) for family, _, _, _, address in infos]


def _numeric_address(host: str, port: int) -> SocketAddress | None:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except (OSError, ValueError):
            continue
        return (family, (host, port) if family == socket.AF_INET else (host, port, 0, 0))
    return None
