"""One connection to a memcached, in its text protocol; the standard library alone.

Every question has a deadline for the whole of it. It is used by the helper processes and by the
backends that look at a node's counters; it knows neither faults nor clients under test.
"""

from __future__ import annotations

import socket
import ssl
import struct
import time
from collections.abc import Iterable

from cluster.direct import connect
from cluster.node import is_unix, spell

CHUNK = 256 * 1024
ANSWER_S = 1.0  # on loopback 1 ms, across a continent 0.3 s
ENDINGS = (b"END\r\n", b"OK\r\n", b"STORED\r\n", b"DELETED\r\n", b"NOT_FOUND\r\n")
ERRORS = (b"ERROR", b"SERVER_ERROR", b"CLIENT_ERROR", b"MEMLIMIT_")
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class LinkError(OSError):
    """The node did not answer, or not as it should. `str()` is one line."""


class SilentError(LinkError):
    """The node has taken the connection and gave no answer in time."""


class Link:
    """A connection that is opened at once and closed without lingering."""

    def __init__(self, host: str, port: int, timeout_s: float = ANSWER_S) -> None:
        self._timeout_s = timeout_s
        try:
            self._sock = connect((host, port), timeout_s)
        except OSError as why:
            raise LinkError(f"{spell((host, port))} takes no connection: {why}") from None
        if not is_unix((host, port)):
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A reset leaves no port in TIME_WAIT, and the node forgets the connection at once.
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self._peer = spell((host, port))

    def __enter__(self) -> Link:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it."""
        self._sock.close()

    def send(self, data: bytes) -> None:
        """Send without waiting for an answer."""
        try:
            self._sock.settimeout(self._timeout_s)
            self._sock.sendall(data)
        except OSError as why:
            raise LinkError(f"{self._peer}: {why or type(why).__name__}") from None

    def send_each(self, commands: Iterable[bytes]) -> None:
        """Send several commands without waiting for an answer.

        Over TLS each goes by itself: memcached 1.6 does not look for a command that begins in the
        record in which the value of another ends (client/records.py has the cause).
        """
        if isinstance(self._sock, ssl.SSLSocket):
            for command in commands:
                self.send(command)
        else:
            self.send(b"".join(commands))

    def ask(self, question: bytes, endings: tuple[bytes, ...] = ENDINGS) -> bytes:
        """Send one command and give its whole answer; LinkError for an error line."""
        self.send(question)
        answer = b""
        deadline = time.monotonic() + self._timeout_s
        while not answer.endswith(endings) and not _is_error(answer):
            answer += self._receive(deadline)
        if _is_error(answer):
            raise LinkError(f"{self._peer} said {answer.decode('latin-1').strip()[:100]}")
        return answer

    def drain(self, count: int, line: bytes) -> int:
        """Read until `count` lines have come; give how many of them are not `line`."""
        deadline = time.monotonic() + self._timeout_s
        seen, others, rest = 0, 0, b""
        while seen < count:
            *lines, rest = (rest + self._receive(deadline)).split(b"\r\n")
            seen += len(lines)
            others += sum(one != line for one in lines)
        return others

    def numbers(self, what: str = "") -> dict[str, int]:
        """Give the whole numbers of `stats`, `stats items`, `stats slabs` or `stats settings`."""
        question = f"stats {what}".strip().encode() + b"\r\n"
        found: dict[str, int] = {}
        for line in self.ask(question, (b"END\r\n",)).decode("latin-1").splitlines():
            words = line.split()
            if len(words) == 3 and words[2].isdigit():
                found[words[1]] = int(words[2])
        return found

    def _receive(self, deadline: float) -> bytes:
        try:
            self._sock.settimeout(max(0.001, deadline - time.monotonic()))
            data = self._sock.recv(CHUNK)
        except TimeoutError:
            words = f"{self._peer} did not answer within {self._timeout_s:g} s"
            raise SilentError(words) from None
        except OSError as why:
            raise LinkError(f"{self._peer}: {why}") from None
        if not data:
            raise LinkError(f"{self._peer} ended the connection")
        return data


def _is_error(answer: bytes) -> bool:
    return answer.startswith(ERRORS) and answer.endswith(b"\r\n")
