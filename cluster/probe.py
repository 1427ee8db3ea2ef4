"""The harness's own eyes: ask one memcached one question over a fresh socket.

Every question has a deadline for the whole of it, connecting included, however slowly the bytes
drip. The errors keep apart what a fault's proof needs kept apart: nobody listens, somebody
listens but does not answer, somebody answers who is no memcached. Knows no client and no pool.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections import Counter
from collections.abc import Sequence

from cluster.direct import (
    TOO_MANY,
    BrokenHandshakeError,
    NoPlaceError,
    NotAdmittedError,
    SilentHandshakeError,
    connect,
)
from cluster.node import Address, spell

CHUNK = 4096
MAX_REPLY_BYTES = 64 * 1024  # `stats` is about 3 KB; more than this is no memcached
STATS = b"stats\r\n"
KEPT_WITHIN_S = 0.3  # beside the time that the question itself has
UNAUTHENTICATED = b"CLIENT_ERROR unauthenticated"


MADE: Counter[Address] = Counter()
"""Connections this process has made to each address: a server's own counts hold them too."""


class ProbeError(OSError):
    """The question was not answered. `str()` is one line."""


class RefusedError(ProbeError):
    """The connection was refused."""


class SilentError(ProbeError):
    """The connection was made, and no answer came before the deadline."""


class HungUpError(ProbeError):
    """The connection was made and ended before the answer."""


class UnreachableError(ProbeError):
    """No connection could be made: no such name, no route, no answer to the connect."""


class NotMemcachedError(ProbeError):
    """Something answered that does not speak memcached's protocol."""


class FullError(ProbeError):
    """The node has no place for one more connection, and says so."""


class NotAllowedError(ProbeError):
    """The node wants a token or TLS, and did not get what it wants."""


def version(address: Address, timeout_s: float) -> str:
    """Give the node's version; raise a ProbeError after at most `timeout_s`."""
    reply = _ask(address, b"version\r\n", b"\r\n", timeout_s)
    words = reply.decode("latin-1").split()
    if len(words) < 2 or words[0] != "VERSION":
        raise NotMemcachedError(f"{spell(address)} is not memcached: it answered {_short(reply)}")
    return words[1]


def stats(address: Address, timeout_s: float) -> dict[str, int]:
    """Give the whole numbers of the node's `stats`; others (version, rusage) are left out."""
    return _numbers(address, _ask(address, STATS, b"END\r\n", timeout_s))


def _numbers(address: Address, reply: bytes) -> dict[str, int]:
    numbers: dict[str, int] = {}
    for line in reply.decode("latin-1").splitlines():
        words = line.split()
        if len(words) == 3 and words[0] == "STAT" and words[2].isdigit():
            numbers[words[1]] = int(words[2])
    if not numbers:
        raise NotMemcachedError(f"{spell(address)} is not memcached: it answered {_short(reply)}")
    return numbers


def settings(address: Address, timeout_s: float) -> dict[str, str]:
    """Return the node's `stats settings` by name; raise a ProbeError after at most `timeout_s`."""
    reply = _ask(address, b"stats settings\r\n", b"END\r\n", timeout_s)
    words = (line.split(maxsplit=2) for line in reply.decode("latin-1").splitlines())
    return {line[1]: line[2] for line in words if len(line) == 3 and line[0] == "STAT"}


def store(address: Address, key: str, value: bytes, ttl_s: int, timeout_s: float) -> str:
    """Store a value for `ttl_s` seconds; return the node's reply, "STORED" where it did."""
    question = f"set {key} 0 {ttl_s} {len(value)}\r\n".encode() + value + b"\r\n"
    reply = _ask(address, question, b"\r\n", timeout_s, any_line=True)
    return reply.split(b"\r\n", 1)[0].decode("latin-1")


def drop(address: Address, key: str, timeout_s: float) -> None:
    """Delete a key; one that is not there is fine."""
    _ask(address, f"delete {key}\r\n".encode(), b"\r\n", timeout_s, any_line=True)


def held_of(address: Address, keys: Sequence[str], timeout_s: float) -> set[str]:
    """Return those of `keys` that a node has, asked over one fresh connection."""
    question = f"get {' '.join(keys)}\r\n".encode()
    reply = _ask(address, question, b"END\r\n", timeout_s)
    words = (line.split() for line in reply.decode("latin-1").splitlines())
    return {line[1] for line in words if len(line) == 4 and line[0] == "VALUE"}


class StatsReader:
    """Asks nodes for their statistics, those as well that take no new connection.

    Each question goes over a new connection, which shows what any client would meet: another server
    behind the same name, a refusal. But a node at its limit tells so only to whom it serves
    already: one connection to each node is kept for that.
    """

    def __init__(self) -> None:
        self._kept: dict[Address, socket.socket] = {}

    def stats(self, address: Address, timeout_s: float) -> dict[str, int]:
        """Return what `stats` does, as a node at its limit tells it as well; ProbeError."""
        self._keep(address)
        try:
            return stats(address, timeout_s)
        except (FullError, SilentError, UnreachableError):
            sock = self._kept.pop(address, None)  # not for two at once
            if sock is None:
                raise
            try:
                reply = _exchange(sock, address, STATS, b"END\r\n", KEPT_WITHIN_S)
                numbers = _numbers(address, reply)
            except ProbeError:
                sock.close()  # an answer may still be on its way
            except BaseException:
                sock.close()
                raise
            else:
                self._put(address, sock)
                return numbers
            raise

    def close(self) -> None:
        """Close what was kept."""
        while self._kept:
            self._kept.popitem()[1].close()

    def _keep(self, address: Address) -> None:
        """Have a connection that is served, unless there is none to be had."""
        sock = self._kept.get(address)
        if sock is not None:
            if not select.select([sock], [], [], 0)[0]:
                return
            del self._kept[address]  # the node has ended it
            sock.close()
        try:
            sock = _connect(address, KEPT_WITHIN_S)
        except ProbeError:
            return
        try:
            _exchange(sock, address, b"version\r\n", b"\r\n", KEPT_WITHIN_S)
        except BaseException as error:
            sock.close()
            if not isinstance(error, ProbeError):
                raise
        else:
            self._put(address, sock)

    def _put(self, address: Address, sock: socket.socket) -> None:
        other = self._kept.pop(address, None)
        if other is not None:
            other.close()
        self._kept[address] = sock


def _ask(
    address: Address, question: bytes, ending: bytes, timeout_s: float, *, any_line: bool = False
) -> bytes:
    deadline = time.monotonic() + timeout_s
    with _connect(address, timeout_s) as sock:
        left_s = deadline - time.monotonic()
        return _exchange(sock, address, question, ending, left_s, any_line=any_line)


def _exchange(
    sock: socket.socket,
    address: Address,
    question: bytes,
    ending: bytes,
    timeout_s: float,
    *,
    any_line: bool = False,
) -> bytes:
    def is_strange(reply: bytes) -> bool:
        return not any_line and _is_strange(reply)

    deadline = time.monotonic() + timeout_s
    reply = b""
    try:
        sock.sendall(question)
        while not reply.endswith(ending) and not is_strange(reply):
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            sock.settimeout(left)
            chunk = sock.recv(CHUNK)
            if not chunk:
                raise ConnectionResetError
            reply += chunk
    except TimeoutError:
        raise SilentError(f"{spell(address)} did not answer within {timeout_s:.2g} s") from None
    except OSError:
        raise HungUpError(f"{spell(address)} ended the connection without an answer") from None
    if reply.startswith(TOO_MANY):
        raise FullError(f"{spell(address)} has no place for one more connection")
    if reply.startswith(UNAUTHENTICATED):
        raise NotAllowedError(f"{spell(address)} asks for a token")
    if is_strange(reply):
        raise NotMemcachedError(f"{spell(address)} is not memcached: it answered {_short(reply)}")
    return reply


def _is_strange(reply: bytes) -> bool:
    """Tell whether a full line came that is no part of an answer, or far too much of it."""
    line = b"\n" in reply and not reply.startswith((b"STAT ", b"VERSION ", b"VALUE ", b"END"))
    return line or len(reply) > MAX_REPLY_BYTES


def _connect(address: Address, timeout_s: float) -> socket.socket:
    where = spell(address)
    try:
        sock = connect(address, timeout_s)
    except ConnectionRefusedError:
        raise RefusedError(f"nobody listens on {where}") from None
    except NoPlaceError:
        raise FullError(f"{where} has no place for one more connection") from None
    except NotAdmittedError as why:
        raise NotAllowedError(f"{where}: {why}") from None
    except ssl.SSLError as why:
        raise NotAllowedError(f"{where}: {_tls_trouble(why)}") from None
    except SilentHandshakeError:
        raise SilentError(f"{where} did not answer within {timeout_s:g} s") from None
    except BrokenHandshakeError:
        raise HungUpError(f"{where} ended the connection without an answer") from None
    except TimeoutError:
        raise UnreachableError(f"{where} did not take a connection in {timeout_s:g} s") from None
    except (OSError, UnicodeError, OverflowError) as why:
        text = getattr(why, "strerror", None) or str(why)
        raise UnreachableError(f"{where} cannot be reached: {text}") from None
    MADE[address] += 1
    return sock


def _tls_trouble(why: ssl.SSLError) -> str:
    if isinstance(why, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({why.verify_message})"
    return f"no TLS ({(why.reason or 'connection closed').replace('_', ' ').lower()})"


def _short(reply: bytes) -> str:
    shown = reply[:40].decode("latin-1")
    return repr(shown) + ("..." if len(reply) > 40 else "")
