"""One talk with a memcached over a fresh socket: what was said, what came back, how and how late.

It sends and receives at the same time, because both ways may be slow, and never waits beyond its
limit. It judges nothing; what came is for the looks to read.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from dataclasses import dataclass
from typing import Literal

from cluster.direct import (
    PLAIN,
    BrokenHandshakeError,
    SilentHandshakeError,
    access_in_use,
    connect,
)
from cluster.node import Address
from cluster.probe import MADE

CHUNK = 65536
CONNECT_S = 1.0

End = Literal["complete", "eof", "reset", "silent", "refused"]


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What came back. `took_s` counts from the first byte sent to the last event."""

    size: int
    pieces: int
    took_s: float
    end: End

    @property
    def ended(self) -> bool:
        """Whether the other side ended the connection."""
        return self.end in ("eof", "reset")

    def __str__(self) -> str:
        words = {
            "complete": "all came",
            "eof": "then the connection ended",
            "reset": "then the connection was reset",
            "silent": "then nothing more",
            "refused": "no connection could be made",
        }
        return f"{self.size} bytes in {self.took_s * 1000:.0f} ms, {words[self.end]}"


def talk(
    address: Address,
    question: bytes,
    *,
    answers: int,
    ending: bytes,
    limit_s: float,
    hang_up: bool = False,
) -> Heard:
    """Say something and listen until so many endings came, the connection ended, or time is up.

    With `answers` of 0 only the end of the connection counts; `hang_up` closes our half of it.
    """
    began = time.monotonic()
    try:
        # What TLS and a token need goes through the proxy as the rest does.
        sock = connect(address, min(CONNECT_S, limit_s) if access_in_use() == PLAIN else limit_s)
    except SilentHandshakeError:
        return Heard(size=0, pieces=0, took_s=time.monotonic() - began, end="silent")
    except BrokenHandshakeError:
        return Heard(size=0, pieces=0, took_s=time.monotonic() - began, end="reset")
    except OSError:
        return Heard(size=0, pieces=0, took_s=0.0, end="refused")
    MADE[address] += 1
    with sock:
        sock.setblocking(False)
        return _listen(sock, question, answers, ending, (limit_s, hang_up))


def _listen(
    sock: socket.socket, question: bytes, answers: int, ending: bytes, until: tuple[float, bool]
) -> Heard:
    limit_s, hang_up = until
    unsent = memoryview(question)
    size = pieces = seen = 0
    tail = b""
    began = time.monotonic()
    end: End = "silent"
    while (left := began + limit_s - time.monotonic()) > 0:
        try:
            if hang_up and not unsent:
                sock.shutdown(socket.SHUT_WR)
                hang_up = False
            readable, writable, _ = select.select([sock], [sock] if unsent else [], [], left)
            if writable:
                unsent = unsent[sock.send(unsent[:CHUNK]) :]
            if not readable:
                continue
            data = sock.recv(CHUNK)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            continue
        except OSError:
            end = "reset"
            break
        if not data:
            end = "eof"
            break
        size += len(data)
        pieces += 1
        # An ending may come in two pieces.
        seen += (tail + data).count(ending)
        tail = (tail + data)[-(len(ending) - 1) :] if len(ending) > 1 else b""
        if answers and seen >= answers:
            end = "complete"
            break
    return Heard(size=size, pieces=pieces, took_s=time.monotonic() - began, end=end)
