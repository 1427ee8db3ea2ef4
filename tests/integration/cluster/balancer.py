"""A TCP load balancer of the test's own: each new connection goes to the next server in turn."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
from collections.abc import Iterator, Sequence

Address = tuple[str, int]
CHUNK = 65_536


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(CHUNK):
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def balancer(servers: Sequence[Address]) -> Iterator[Address]:
    """Listen on loopback and hand every connection on; give the address."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=512)
    turns = itertools.cycle(servers)
    held: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                taken, _ = listening.accept()
                onward = socket.create_connection(next(turns), 5.0)
            except OSError:
                return
            held.extend((taken, onward))
            for pair in ((taken, onward), (onward, taken)):
                threading.Thread(target=_pass_on, args=pair, daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        for each in held:
            each.close()
        thread.join(2)
