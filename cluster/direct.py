"""Direct connections to nodes, past proxies and clients: the one place that opens them.

A node listens on a TCP port or on a unix socket, and may want TLS and a token first. What it wants
is the same for all nodes of a run and is set once in each process (`use`). Access holds names of
files and never what is in them, so it may be written and sent anywhere; each process reads the
files itself. Only the standard library: helpers and the guard run isolated.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import socket
import ssl
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.errors import ClusterError
from cluster.names import look_up
from cluster.node import Address, is_unix, unix_path

_OPENED: weakref.WeakSet[socket.socket] = weakref.WeakSet()
"""TCP connections that were opened here: no client's, to whoever looks at what this process has."""

LINE_MAX = 2048  # memcached's own limit for a line of text
TOO_MANY = b"ERROR Too many open connections"  # memcached's word to a connection it does not serve
REFUSAL_S = 0.5  # a node at its limit says so at once
TOKEN_MAX = 256  # bytes of user and password; memcached takes no longer ones
# A node that asks for no token stores what is sent: under a name of its own, expired at once (-1).
TOKEN_KEY = b"memquake-token"


class NotAdmittedError(ConnectionError):
    """The node refused the token. `str()` is one line."""


class NoPlaceError(NotAdmittedError):
    """The node has no place for one more connection."""


class SilentHandshakeError(TimeoutError):
    """The node took the connection, and nothing came of TLS or the token in time."""


class BrokenHandshakeError(ConnectionResetError):
    """The node took the connection and ended it during TLS or at the token."""


class AccessError(ClusterError):
    """Files of an access that cannot be used. `str()` is one line and shows no secret."""


class NamedContext(ssl.SSLContext):
    """A context that checks a certificate for one name, whatever address was connected to.

    A node behind a proxy is reached at the proxy's address, and its certificate is for its own.
    """

    server_name: str | None = None

    def wrap_socket(self, *args: Any, **more: Any) -> ssl.SSLSocket:
        """Wrap as any context does, for the name of the nodes where they have one."""
        return super().wrap_socket(*args, **self._named(more))

    def wrap_bio(self, *args: Any, **more: Any) -> ssl.SSLObject:
        """Wrap as any context does, for the name of the nodes where they have one."""
        return super().wrap_bio(*args, **self._named(more))

    def _named(self, words: dict[str, Any]) -> dict[str, Any]:
        return words if self.server_name is None else {**words, "server_hostname": self.server_name}


@dataclass(frozen=True, kw_only=True)
class NodeAccess:
    """What a node wants before it answers. Names of files; "" for what it does not want."""

    tls_ca: str = ""  # authority of the nodes' certificates; with it connections are encrypted
    tls_client_cert: str = ""  # shown to nodes that ask for one
    tls_client_key: str = ""
    tls_server_name: str = ""  # what the certificates are for; "" for the host connected to
    auth_token_file: str = ""

    def to_wire(self) -> dict[str, str]:
        """Return plain types for a message or a command line."""
        return dataclasses.asdict(self)

    def context(self) -> NamedContext | None:
        """Return what encrypts connections, None where nothing does. Raises AccessError."""
        if not self.tls_ca:
            return None
        context = NamedContext(ssl.PROTOCOL_TLS_CLIENT)
        context.server_name = self.tls_server_name or None
        try:
            context.load_verify_locations(cafile=self.tls_ca)
        except OSError as why:
            raise AccessError(f"--tls-ca {self.tls_ca}: {_reason(why)}") from None
        if self.tls_client_cert:
            try:
                context.load_cert_chain(
                    self.tls_client_cert, self.tls_client_key or None, _no_password
                )
            except OSError as why:
                files = f"--tls-client-cert {self.tls_client_cert}"
                files += f" --tls-client-key {self.tls_client_key}" if self.tls_client_key else ""
                raise AccessError(f"{files}: {_reason(why)}") from None
        return context

    def token(self) -> str | None:
        """Return "user password" out of the first line of the token's file, None without one.

        The file may be the one that memcached was given with -Y, which has "user:password".
        Raises AccessError.
        """
        if not self.auth_token_file:
            return None
        name = f"--auth-token-file {self.auth_token_file}"
        try:
            with Path(self.auth_token_file).open(encoding="utf-8") as file:
                line = file.readline(TOKEN_MAX + 2).rstrip("\r\n")
        except (OSError, ValueError) as why:
            raise AccessError(f"{name}: {_reason(why)}") from None
        user, *rest = re.split("[: ]", line, maxsplit=1)
        token = " ".join((user, *rest))
        if not user or not any(rest) or not token.isprintable() or len(token) > TOKEN_MAX:
            raise AccessError(f"{name}: its first line is not user:password")
        return token


PLAIN = NodeAccess()


class _InUse:
    access = PLAIN
    context: NamedContext | None = None
    token: str | None = None


def use(access: NodeAccess) -> None:
    """Open the direct connections of this process with this access from now on; AccessError."""
    context, token = access.context(), access.token()
    _InUse.access, _InUse.context, _InUse.token = access, context, token


def access_in_use() -> NodeAccess:
    """Return the access that direct connections are opened with."""
    return _InUse.access


def connect(address: Address, timeout_s: float) -> socket.socket:
    """Open a connection that the node is ready to take commands on, within `timeout_s` of all.

    Raises OSError: ConnectionRefusedError, TimeoutError, ssl.SSLError, NotAdmittedError, and
    SilentHandshakeError or BrokenHandshakeError once the node has taken the connection.
    """
    deadline = time.monotonic() + timeout_s
    sock = dial(address, timeout_s)
    try:
        if _InUse.context is not None:
            sock.settimeout(_left(deadline))
            sock = _kept(_InUse.context.wrap_socket(sock, server_hostname=address[0]))
        if _InUse.token is not None:
            _authenticate(sock, _InUse.token, deadline)
        sock.settimeout(timeout_s)
    except TimeoutError:
        sock.close()
        raise SilentHandshakeError from None
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionResetError, BrokenPipeError):
        sock.close()
        raise BrokenHandshakeError from None
    except ssl.SSLError:
        sock.close()
        if _says_no_place(address, _left(deadline)):
            raise NoPlaceError("the node has no place for one more connection") from None
        raise
    except BaseException:
        sock.close()
        raise
    return sock


def _says_no_place(address: Address, within_s: float) -> bool:
    """Return whether a node that broke TLS off is at its limit.

    memcached says so before it encrypts anything, and no TLS library gives such bytes back.
    """
    with contextlib.suppress(OSError), dial(address, within_s) as sock:
        sock.settimeout(min(within_s, REFUSAL_S))
        return sock.recv(LINE_MAX).startswith(TOO_MANY)
    return False


def dial(address: Address, timeout_s: float) -> socket.socket:
    """Open a socket to a node and say nothing on it, whatever the node wants first; OSError."""
    deadline = time.monotonic() + timeout_s
    if is_unix(address):
        return _connected_to_unix(unix_path(address), timeout_s)
    trouble: OSError = TimeoutError()
    # Each address of the name in the time there is, the look-up included.
    for entry in look_up(*address, within_s=timeout_s):
        left = deadline - time.monotonic()
        if left <= 0:
            break
        try:
            # A number with a scope (fe80::1%eth0) would lose it.
            where = address if "%" in address[0] else entry[4][:2]
            return _kept(socket.create_connection(where, timeout=left))
        except OSError as why:
            trouble = why
    raise trouble


def own_ports() -> set[int]:
    """Return the local ports of the connections that were opened here and are still open."""
    return {sock.getsockname()[1] for sock in list(_OPENED) if sock.fileno() != -1}


def _kept(sock: socket.socket) -> socket.socket:
    _OPENED.add(sock)
    return sock


def _connected_to_unix(path: str, timeout_s: float) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout_s)
        sock.connect(path)
    except BaseException:
        sock.close()
        raise
    return sock


def _authenticate(sock: socket.socket, token: str, deadline: float) -> None:
    secret = token.encode()
    sock.settimeout(_left(deadline))
    sock.sendall(b"set %b 0 -1 %d\r\n%b\r\n" % (TOKEN_KEY, len(secret), secret))
    reply = b""
    while not reply.endswith(b"\r\n") and len(reply) < LINE_MAX:
        sock.settimeout(_left(deadline))
        data = sock.recv(LINE_MAX)
        if not data:
            raise ConnectionResetError("the connection ended at the token")
        reply += data
    if reply.startswith(TOO_MANY):
        raise NoPlaceError("the node has no place for one more connection")
    if reply != b"STORED\r\n":
        raise NotAdmittedError("the node refuses the token of --auth-token-file")


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _no_password() -> str:
    raise OSError("the key is encrypted: give one that is not")


def _reason(why: Exception) -> str:
    if isinstance(why, ssl.SSLError):
        reason = (why.reason or "").replace("_", " ").lower()
        return f"no certificate or key in PEM that can be used ({reason or 'unknown reason'})"
    return (why.strerror if isinstance(why, OSError) else None) or str(why)


def access_of(variables: Mapping[str, str]) -> NodeAccess:
    """Return the access that the environment's variables of the options say."""
    return NodeAccess(
        **{
            field.name: variables.get(f"LOCUST_{field.name.upper()}", "")
            for field in dataclasses.fields(NodeAccess)
        }
    )
