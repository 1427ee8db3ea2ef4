"""A crowd of idle connections that leaves a node only so many for everybody else.

How many a node takes cannot be computed from its `-c` alone: it keeps some back. So the crowd
grows until the node refuses one, then gives `free` of them back. Whenever somebody else leaves,
the crowd takes that place too: what is free at rest stays `free`.
"""

from __future__ import annotations

import contextlib
import resource
import socket
import time
from typing import Any

from cluster.direct import (
    BrokenHandshakeError,
    NoPlaceError,
    SilentHandshakeError,
    connect,
)
from faults.helpers.link import ANSWER_S, RESET_ON_CLOSE, Link, LinkError

EVERY_S = 0.05  # somebody who left a connection finds its place taken within this
KEPT_BACK = 64  # of its `-c` a node keeps a few for itself, by its threads: 16 with two of them
BLIND_AT_ONCE = 400  # connections nobody has taken yet; a node's backlog is 1,024 unless told
BLIND_WITHIN_S = 3.0
COUNTED_WITHIN_S = 0.2
AT_ONCE = 16  # connections made before the first answers are read


class Crowd:
    """The crowd at one node."""

    def __init__(self, host: str, port: int, free: int, most: int) -> None:
        self._host = host
        self._port = port
        self._free = free
        self._most = most
        self._held: list[socket.socket] = []
        self._eyes: Link | None = None  # one of the crowd, for `stats`
        self._full = 0  # the node's own count when it refused one more

    def begin(self) -> None:
        """Fill the node, then give back what is to stay free."""
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self._eyes = Link(self._host, self._port)
        self._grow_blindly()
        self._grow(self._most)
        self._full = self._count()
        for sock in self._held[len(self._held) - min(self._free, len(self._held)) :]:
            self._held.remove(sock)
            sock.close()

    def step(self) -> float:
        """Take the places of those who left."""
        missing = self._full - self._free - self._count()
        if missing > 0:
            self._grow(min(missing, self._most - len(self._held)))
        return EVERY_S

    def report(self) -> dict[str, Any]:
        """Give the connections held and the node's own count, when full and now."""
        return {"held": len(self._held) + 1, "full": self._full, "now": self._count()}

    def end(self) -> None:
        """Leave."""
        for sock in self._held:
            sock.close()
        if self._eyes is not None:
            self._eyes.close()

    def _count(self) -> int:
        if self._eyes is None:
            raise LinkError("the crowd has not begun")
        return self._eyes.numbers()["curr_connections"]

    def _grow_blindly(self) -> None:
        """Take most of the places without asking for an answer each, which costs both a lot."""
        deadline = time.monotonic() + BLIND_WITHIN_S
        while time.monotonic() < deadline:
            count = self._count()
            room = self._most - KEPT_BACK - count
            if room <= 0:
                return
            batch = min(BLIND_AT_ONCE, room)
            self._held += filter(None, (self._connect() for _ in range(batch)))
            # What waits in the node's backlog is not counted yet, and must not be made twice.
            counted_by = time.monotonic() + COUNTED_WITHIN_S
            while self._count() < count + batch and time.monotonic() < counted_by:
                time.sleep(0.001)

    def _grow(self, wanted: int) -> None:
        """Add so many connections; fewer where the node refuses one."""
        while wanted > 0:
            tried = min(AT_ONCE, wanted)
            batch = list(filter(None, (self._connect() for _ in range(tried))))
            for sock in batch:
                with contextlib.suppress(OSError):  # a refused unix socket takes no question
                    sock.sendall(b"version\r\n")
            taken = [sock for sock in batch if self._is_served(sock)]
            self._held += taken
            for sock in batch:
                if sock not in taken:
                    sock.close()
            if len(taken) < tried:
                return
            wanted -= len(taken)

    def _connect(self) -> socket.socket | None:
        """Open one more connection; None where TLS or the token already meet the refusal."""
        try:
            sock = connect((self._host, self._port), ANSWER_S)
        except (NoPlaceError, SilentHandshakeError, BrokenHandshakeError):
            return None
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        return sock

    def _is_served(self, sock: socket.socket) -> bool:
        # A node that is full says ERROR and closes, or with no_maxconns_fast stays silent.
        try:
            return sock.recv(64).startswith(b"VERSION")
        except OSError:
            return False
