"""How connections to one node come about: name, socket, encryption, token, in the time there is.

Nothing of a request has been sent when any of this fails, and the error says so. Whatever ends an
attempt, a kill above all, closes its socket. One place, `_wrap`, decides what a connection is made
of.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from client.addresses import NodeAddress
from client.connection import MINIMUM_WAIT_S, Connection
from client.dialing import Dialer
from client.errors import ConnectTimeout, PoolExhausted
from client.forking import watch
from client.handshake import authenticate
from client.resolver import LookUp, Resolver, SocketAddress, look_up
from client.settings import ClientSettings
from client.tls import TlsConnection, TlsSocket
from client.transport import connection_of


class Connector:
    """Make connections to one node. Thread-safe; raises ValueError for settings that cannot do."""

    def __init__(
        self,
        address: NodeAddress,
        settings: ClientSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        look_up: LookUp = look_up,
    ) -> None:
        self._resolver = Resolver(
            address,
            keep_s=settings.dns_keep_s,
            grace_s=settings.dns_grace_s,
            clock=clock,
            look_up=look_up,
        )
        self._dialer = Dialer(clock)
        self._connect_timeout = settings.connect_timeout
        self._op_timeout = settings.op_timeout
        self._clock = clock
        self._token = settings.auth_token
        self._tls = settings.tls
        self._hostname = settings.tls_hostname or address.host or None
        if self._tls is not None and self._tls.check_hostname and self._hostname is None:
            raise ValueError(f"{address}: tls on a unix socket needs tls_hostname")

    def connect(self, deadline: float) -> Connection:
        """Connect to the first address that answers; all steps share the connect timeout.

        Raises ConnectTimeout, ConnectRefused, Unreachable (CertificateNotTrusted and TlsFailed
        among them), AuthenticationFailed, OutOfResources, or PoolExhausted where too little time
        was left to tell: nothing was sent.
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

    def current_addresses(self) -> tuple[SocketAddress, ...]:
        """Give the addresses of the node as far as known, to compare `connection.address` with.

        Never waits: what is older than `dns_keep_s` is asked for again in the background. Empty
        when nothing is known, which is no reason to close anything.
        """
        return self._resolver.current_addresses()

    def _connect(self, until: float) -> Connection:
        addresses = self._resolver.addresses(max(until - self._clock(), MINIMUM_WAIT_S))
        sock, address = self._dialer.dial(addresses, until)
        try:
            sock.settimeout(max(until - self._clock(), MINIMUM_WAIT_S))
            encrypted = None
            if self._tls is not None:
                encrypted = TlsSocket(sock, self._tls, hostname=self._hostname, clock=self._clock)
                encrypted.handshake(until)
            connection = self._wrap(encrypted or sock, address)
        except BaseException:
            sock.close()
            raise
        watch(connection)
        try:
            if self._token is not None:
                authenticate(connection, self._token, until)
        except BaseException:
            connection.close()
            raise
        return connection

    def _wrap(self, sock: socket.socket | TlsSocket, address: SocketAddress) -> Connection:
        """Decide what kind of connection it is."""
        if isinstance(sock, TlsSocket):
            return TlsConnection(
                sock, op_timeout=self._op_timeout, clock=self._clock, address=address
            )
        return connection_of(sock, op_timeout=self._op_timeout, clock=self._clock, address=address)
