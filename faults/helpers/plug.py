"""Holds a port so that no connect to it completes: a listener with a full queue that never accepts.

Linux ignores a request to connect while the queue of the listener is full. With a queue of length
0 one connection fits, so a few of our own fill it; a stranger who was quicker fills it as well.
"""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import time
from typing import Any

TAKE_WITHIN_S = 2.0  # whoever had the port before gives it up at once
RETRY_S = 0.005
FILL_WAIT_S = 0.1  # on loopback a connect completes in 0.1 ms, or never
MOST_FILLERS = 16
STEP_S = 0.5


class Plug:
    """One port of one host."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener: socket.socket | None = None
        self._fillers: list[socket.socket] = []

    def begin(self) -> None:
        """Take the port and fill the queue."""
        self._listener = self._listen()
        while self._fits():
            if len(self._fillers) > MOST_FILLERS:
                raise OSError("the queue of a listener does not fill on this system")

    def step(self) -> float:
        """Nothing: what is in the queue stays there."""
        return STEP_S

    def report(self) -> dict[str, Any]:
        """Give how many connections of ours stand in the queue."""
        return {"queued": len(self._fillers)}

    def end(self) -> None:
        """Leave the port."""
        for sock in [*self._fillers, self._listener]:
            if sock is not None:
                sock.close()

    def _listen(self) -> socket.socket:
        limit = time.monotonic() + TAKE_WITHIN_S
        while True:
            sock = socket.socket(self._family)
            try:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.bind(self._address)
                sock.listen(0)
                return sock
            except OSError as why:
                sock.close()
                if why.errno != errno.EADDRINUSE or time.monotonic() > limit:
                    raise
            time.sleep(RETRY_S)

    def _fits(self) -> bool:
        """Try one more connection; False when it does not complete."""
        sock = socket.socket(self._family)
        sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            sock.connect(self._address)
        if select.select([], [sock], [], FILL_WAIT_S)[1]:
            self._fillers.append(sock)
            return True
        sock.close()
        return False
