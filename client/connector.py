"""How connections to one node come about: resolve, try every address, within the time there is.

Nothing has been sent when any of this fails, and the error says so. As with replies, a connection
that is established in the kernel when the time is over is taken: this process may have stalled, not
the peer.
"""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable

from client.connection import MINIMUM_WAIT_S, Connection, pristine_select
from client.errors import (
    ConnectRefused,
    ConnectTimeout,
    MemcacheClientError,
    OutOfResources,
    PoolExhausted,
    Unreachable,
)
from client.resolver import Resolver, SocketAddress
from client.transport import connection_of

_LOCAL_ERRNOS = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}
)


class Connector:
    """Make connections to one node."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        connect_timeout: float,
        op_timeout: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._resolver = Resolver(host, port, clock=clock)
        self._connect_timeout = connect_timeout
        self._op_timeout = op_timeout
        self._clock = clock

    def connect(self, deadline: float) -> Connection:
        """Connect to the first address that answers; all share the connect timeout.

        Raises ConnectTimeout, ConnectRefused, Unreachable, OutOfResources, or PoolExhausted where
        too little time was left to tell: nothing was sent.
        """
        now = self._clock()
        until = min(deadline, now + self._connect_timeout)
        try:
            return self._connect(until)
        except ConnectTimeout as error:
            if until - now < self._connect_timeout / 2:
                # Most of the time was gone before: too little was left to blame the node.
                raise PoolExhausted from error
            raise

    def _connect(self, until: float) -> Connection:
        addresses = self._resolver.addresses(max(until - self._clock(), MINIMUM_WAIT_S))
        failure: MemcacheClientError | None = None
        for index, address in enumerate(addresses):
            remaining = until - self._clock()
            if remaining <= 0:
                break
            try:
                sock = _open(address, remaining / (len(addresses) - index))
            except OSError as error:
                failure = _connect_error(error)
                failure.__cause__ = error
                continue
            return connection_of(
                sock, op_timeout=self._op_timeout, clock=self._clock, address=address
            )
        raise failure or ConnectTimeout()


def _open(address: SocketAddress, timeout: float) -> socket.socket:
    family, where = address
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(timeout)
        try:
            sock.connect(where)
        except TimeoutError:
            if not _is_connected(sock):  # it may be: this process may have stalled, not the peer
                raise
    except BaseException:
        sock.close()
        raise
    return sock


def _is_connected(sock: socket.socket) -> bool:
    poller = pristine_select.poll()
    poller.register(sock.fileno(), pristine_select.POLLOUT)
    return bool(poller.poll(0)) and not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def _connect_error(error: OSError) -> MemcacheClientError:
    if isinstance(error, TimeoutError):
        return ConnectTimeout()
    if isinstance(error, ConnectionError):
        return ConnectRefused()
    if error.errno in _LOCAL_ERRNOS:
        return OutOfResources()
    return Unreachable()
