"""One socket to one node, on which no call lasts longer than its operation's deadline.

Rule: whoever holds a connection finds the socket's timeout set to no more than the time that is
left. It rests at op_timeout, so the usual call (one write, one read) sets nothing; every further
read, every large write and every call that had to wait first sets it anew. So a peer that sends a
byte now and then cannot stretch a call. Socket errors become ours here and nowhere else.

One allowance: when the time is over and the reply is already there in the kernel, it is taken
without waiting. Otherwise a stall of this process would look like a failure of the node.

It knows bytes, not replies, and nothing of pools or breakers.
"""

from __future__ import annotations

import contextlib
import importlib.util
import random
import socket
import ssl
from collections.abc import Callable
from typing import Any

from client.errors import (
    ConnectionClosed,
    MemcacheClientError,
    OperationTimeout,
    TooManyConnections,
)

FIRST_READ = 16_384  # holds nearly every reply; allocating more costs on every call
NEXT_READ = 65_536  # a reply that did not fit is large
SMALL_WRITE = 8_192  # below any socket's free send buffer: cannot block on a connection at rest
LATE_READS = 64  # reads past the deadline, none of which waits: 4 MB at most, and no endless drip
REFUSAL = TooManyConnections.text.encode()
MINIMUM_WAIT_S = 0.000_1  # 0 would switch the socket to non-blocking


def _own_select() -> Any:
    """Load a second copy of the C module `select`.

    `select.poll` may have been replaced by a cooperative one that yields; a check that must not
    wait needs the kernel's own, at a third of a microsecond.
    """
    spec = importlib.util.find_spec("select")
    if spec is None or spec.loader is None:
        raise ImportError("the standard module 'select' is missing: poll() is needed")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pristine_select = _own_select()


class Connection:
    """A connected socket. Not for two callers at once: the pool gives it to one at a time."""

    waits_on_hub = False  # a batch asks: several such are waited for at once

    __slots__ = (
        "__weakref__",
        "_clock",
        "_is_readable",
        "_late_reads",
        "_op_timeout",
        "_recv",
        "_send",
        "_socket",
        "address",
        "allowed_s",
        "armed",
        "deadline",
        "expires_at",
        "idle_since",
        "serial",
    )

    def __init__(
        self,
        sock: socket.socket,
        *,
        op_timeout: float,
        clock: Callable[[], float],
        address: object = None,
    ) -> None:
        self._socket = sock
        self._send = sock.send
        self._recv = sock.recv
        self._clock = clock
        self._op_timeout = op_timeout
        self._late_reads = 0
        self.armed = True  # the socket's timeout is not op_timeout
        self.allowed_s = op_timeout  # how much of it this call had left when it got the connection
        self.address = address  # what it is connected to, as the connector names it
        self.deadline = 0.0  # of the last write
        self.serial = random.getrandbits(31)  # of the next request that carries an opaque
        self.idle_since = 0.0  # kept by the pool
        self.expires_at = 0.0  # kept by the pool
        poller = pristine_select.poll()
        poller.register(sock.fileno(), pristine_select.POLLIN)
        # Of an idle connection: _is_readable(0) is empty, or the peer has closed it, or a reply
        # lies there that nobody waits for. In each case but the first it is not to be used.
        self._is_readable: Callable[[int], list[Any]] = poller.poll

    @property
    def is_stale(self) -> bool:
        """Whether an idle connection has been closed by the peer or holds bytes of nobody's."""
        return bool(self._is_readable(0))

    @property
    def ends(self) -> str:
        """Local and peer address as "local to peer", "" for a socket that is closed or has none."""
        try:
            mine, theirs = self._socket.getsockname(), self._socket.getpeername()
        except (OSError, AttributeError):  # a TLS socket tells neither
            return ""
        if not isinstance(theirs, tuple):
            return str(theirs)  # a unix socket, whose own end has no name
        return f"{mine[0]}:{mine[1]} to {theirs[0]}:{theirs[1]}"

    def ask(self, request: bytes, deadline: float) -> bytes:
        """Send a request and give the first bytes of its reply.

        Raises OperationTimeout, ConnectionClosed.
        """
        self.write(request, deadline)
        return self.read()

    def begin(self, deadline: float) -> None:
        """Start a call part of whose time is already gone. Raises OperationTimeout."""
        self.arm(deadline)
        self.allowed_s = deadline - self._clock()

    def arm(self, deadline: float) -> None:
        """Limit the next system call to the time left. Raises OperationTimeout when none is."""
        remaining = deadline - self._clock()
        if remaining <= 0:
            raise OperationTimeout
        self.armed = True
        self._socket.settimeout(max(remaining, MINIMUM_WAIT_S))

    def disarm(self) -> None:
        """Return to the resting timeout; called when the connection goes back to the pool."""
        self._socket.settimeout(self._op_timeout)
        self._late_reads = 0
        self.allowed_s = self._op_timeout
        self.armed = False

    def write(self, data: bytes, deadline: float) -> None:
        """Send all of `data`. Raises OperationTimeout, ConnectionClosed."""
        self.deadline = deadline
        if len(data) > SMALL_WRITE:
            self.arm(deadline)
        try:
            sent = self._send(data)
            if sent != len(data) or sent > SMALL_WRITE:
                view = memoryview(data)
                while sent < len(data):
                    self.arm(deadline)
                    sent += self._send(view[sent:])
                self.arm(deadline)
        except MemcacheClientError:
            raise
        except TimeoutError as error:
            raise OperationTimeout from error
        except OSError as error:
            raise self._end_because(error) from error

    def write_some(self, data: bytes) -> int:
        """Send what can be sent without waiting; say how many bytes. Raises ConnectionClosed.

        Until the next reading, only `write` of what is left may follow, or `write_some`.
        """
        self.armed = True
        try:
            self._socket.settimeout(0)
            return self._send(data)
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return 0
        except OSError as error:
            raise self._end_because(error) from error

    def read(self) -> bytes:
        """Give the next bytes, at least one. Raises OperationTimeout, ConnectionClosed."""
        try:
            data = self._recv(FIRST_READ)
        except TimeoutError:
            return self._read_late()
        except OSError as error:
            raise ConnectionClosed from error
        if not data:
            raise ConnectionClosed
        return data

    def read_before(self, deadline: float) -> bytes:
        """Give the next bytes of a reply that has been read in part, or of a batch."""
        remaining = deadline - self._clock()
        if remaining <= 0:
            return self._read_late()
        self.armed = True
        try:
            self._socket.settimeout(max(remaining, MINIMUM_WAIT_S))
            data = self._recv(NEXT_READ)
        except TimeoutError:
            return self._read_late()
        except OSError as error:
            raise ConnectionClosed from error
        if not data:
            raise ConnectionClosed
        return data

    def read_within(self, seconds: float) -> bytes:
        """Give the bytes that come within `seconds`, or none at all when none do."""
        self.armed = True
        try:
            self._socket.settimeout(max(seconds, MINIMUM_WAIT_S))
            data = self._recv(FIRST_READ)
        except TimeoutError:
            return b""
        except OSError as error:
            raise ConnectionClosed from error
        if not data:
            raise ConnectionClosed
        return data

    def _end_because(self, error: OSError) -> MemcacheClientError:
        """Return what a failed write means: a node that refuses a connection has said so on it."""
        with contextlib.suppress(OSError):
            self._socket.settimeout(0)
            if self._recv(FIRST_READ).startswith(REFUSAL):
                return TooManyConnections()
        return ConnectionClosed()

    def _read_late(self) -> bytes:
        """Take what has already arrived, without waiting; OperationTimeout when nothing has."""
        self.armed = True  # so that the count of late reads starts anew with the next call
        self._late_reads += 1
        if self._late_reads > LATE_READS or not self._is_readable(0):
            raise OperationTimeout
        try:
            self._socket.settimeout(MINIMUM_WAIT_S)
            data = self._recv(NEXT_READ)
        except TimeoutError as error:
            raise OperationTimeout from error
        except OSError as error:
            raise ConnectionClosed from error
        if not data:
            raise ConnectionClosed
        return data

    def disown(self) -> None:
        """In a forked process: close this copy, and be stale to whoever has it idle."""
        self.close()
        self._is_readable = lambda _: [True]

    def close(self) -> None:
        """Close the socket; never raises for a socket that is broken already."""
        with contextlib.suppress(OSError):
            self._socket.close()
