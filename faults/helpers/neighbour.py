"""A heavy neighbour: reads large values from one node at a bounded rate, past the proxies.

Reads go out on time, as long as not too many wait for their answers: a node that keeps up gets
the whole rate, one that does not is kept at its limit.
"""

from __future__ import annotations

import math
import os
import select
import socket
import ssl
import time
from collections import deque
from typing import Any

from cluster.direct import connect
from faults.helpers.link import ANSWER_S, CHUNK, Link

STEP_S = 0.005
CREDIT_S = 0.05
CONNECTIONS = 4  # memcached spreads connections over its threads; it has 4 unless told otherwise
WAITING_EACH = 32  # reads under way on a connection: a deep queue, and bounded
TTL_MARGIN_S = 30


class Neighbour:
    """`rate` reads a second of values of `size` bytes, spread over some connections."""

    def __init__(self, host: str, port: int, rate: float, size: int, lasts_s: float) -> None:
        self._address = (host, port)
        self._rate = rate
        self._size = size
        self._ttl = int(lasts_s) + TTL_MARGIN_S
        self._key = f"memquake-heavy:{os.getpid()}".encode()
        self._socks: list[socket.socket] = []
        self._waiting: dict[socket.socket, deque[float]] = {}
        self._rest: dict[socket.socket, int] = {}  # bytes of the answer that are still to come
        self._answer = 0
        self._began = self._looked = 0.0
        self._credit = 0.0
        self._sent = self._answered = 0
        self._wait_s = self._longest_s = 0.0

    def begin(self) -> None:
        """Store the value and open the connections."""
        with Link(*self._address) as link:
            head = b"set %s 0 %d %d\r\n" % (self._key, self._ttl, self._size)
            link.ask(head + b"x" * self._size + b"\r\n")
            self._answer = len(link.ask(b"get " + self._key + b"\r\n"))
        for _ in range(CONNECTIONS):
            sock = connect(self._address, ANSWER_S)
            sock.setblocking(False)
            self._socks.append(sock)
            self._waiting[sock] = deque()
            self._rest[sock] = self._answer
        self._began = self._looked = time.monotonic()

    def step(self) -> float:
        """Send what is due, read what has come."""
        now = time.monotonic()
        # What was not sent in time is not sent later: no burst after a stall.
        self._credit = min(
            self._credit + (now - self._looked) * self._rate, self._rate * CREDIT_S + 1
        )
        self._looked = now
        for sock in self._socks:
            room = WAITING_EACH - len(self._waiting[sock])
            count = min(room, math.ceil(self._credit / CONNECTIONS), int(self._credit))
            if count > 0:
                sock.send(b"get %s\r\n" % self._key * count)
                self._waiting[sock].extend([now] * count)
                self._sent += count
                self._credit -= count
        self._read()
        return STEP_S

    def report(self) -> dict[str, Any]:
        """Give reads sent and answered, and how long the answers took, in seconds."""
        elapsed = max(1e-6, time.monotonic() - self._began)
        mean = self._wait_s / max(1, self._answered)
        return {
            "sent": self._sent,
            "answered": self._answered,
            "elapsed_s": elapsed,
            "mean_s": mean,
            "longest_s": self._longest_s,
        }

    def end(self) -> None:
        """Leave; the value is deleted, or expires where the node no longer answers."""
        for sock in self._socks:
            sock.close()
        with Link(*self._address) as link:
            link.ask(b"delete " + self._key + b"\r\n")

    def _read(self) -> None:
        ready, _, _ = select.select(self._socks, [], [], 0)
        now = time.monotonic()
        for sock in ready:
            come = _received(sock)
            while self._waiting[sock] and come >= self._rest[sock]:
                come -= self._rest[sock]
                self._rest[sock] = self._answer
                waited = now - self._waiting[sock].popleft()
                self._answered += 1
                self._wait_s += waited
                self._longest_s = max(self._longest_s, waited)
            self._rest[sock] -= come


def _received(sock: socket.socket) -> int:
    """Take all that has come; return how many bytes. TLS may hold more than the socket shows."""
    come = 0
    while True:
        try:
            data = sock.recv(CHUNK)
        except (BlockingIOError, ssl.SSLWantReadError):
            return come
        if not data:
            raise ConnectionError("the node ended a connection of the heavy neighbour")
        come += len(data)
        if not isinstance(sock, ssl.SSLSocket):
            return come
