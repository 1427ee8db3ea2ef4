"""A scripted server that takes every connection, reads every request and never says a word.

It notes when a request came that nobody will answer and when its connection was given up, so how
many callers waited at once is counted where it cannot be talked away: at the server.
"""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from bench.nodes import Address

BACKLOG = 256
LOOK_S = 0.05  # how soon it notices that it is to stop


@dataclass(frozen=True, kw_only=True)
class Wait:
    """One connection on which a request lay unanswered. Times of the monotonic clock."""

    began: float
    ended: float  # infinite while it is open


class SilentServer:
    """Listen on loopback from the start; `waits` may be read when it has stopped."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        self.address: Address = self._listener.getsockname()
        self._began: dict[socket.socket, float] = {}
        self._stopping = False
        self.waits: list[Wait] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close every connection and the port; what still waits is noted as never given up."""
        self._stopping = True
        self._thread.join()

    def _serve(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            while not self._stopping:
                for key, _ in selector.select(LOOK_S):
                    if key.fileobj is self._listener:
                        connection, _ = self._listener.accept()
                        selector.register(connection, selectors.EVENT_READ)
                    elif isinstance(key.fileobj, socket.socket):
                        self._read(selector, key.fileobj)
            for entry in list(selector.get_map().values()):
                if isinstance(entry.fileobj, socket.socket):
                    entry.fileobj.close()
        self.waits += [Wait(began=at, ended=float("inf")) for at in self._began.values()]

    def _read(self, selector: selectors.BaseSelector, connection: socket.socket) -> None:
        now = time.monotonic()
        try:
            data = connection.recv(65_536)
        except OSError:
            data = b""
        if data:
            self._began.setdefault(connection, now)
            return
        selector.unregister(connection)
        connection.close()
        began = self._began.pop(connection, None)
        if began is not None:
            self.waits.append(Wait(began=began, ended=now))


@contextmanager
def silent_server() -> Iterator[SilentServer]:
    """Run a silent server for the length of a block."""
    server = SilentServer()
    try:
        yield server
    finally:
        server.stop()


def most_at_once(waits: Sequence[Wait], since: float) -> int:
    """Give the largest number of waits under way together, of those that began after `since`."""
    edges = [(wait.began, 1) for wait in waits if wait.began > since]
    edges += [(wait.ended, -1) for wait in waits if wait.began > since]
    most = now = 0
    for _, step in sorted(edges):  # at the same time, an end (-1) comes before a beginning
        now += step
        most = max(most, now)
    return most
