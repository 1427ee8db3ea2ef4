"""What is said on a new connection before the first request: the token, and which dialect.

Rule: whatever fails here, no request was sent, so every error says so. A reply is waited for no
longer than the deadline and no further than a line of reasonable length. The token appears in no
error, no repr and no log.
"""

from __future__ import annotations

from client.connection import REFUSAL, Connection
from client.errors import (
    AuthenticationFailed,
    ConnectionClosed,
    ConnectRefused,
    ConnectTimeout,
    NotMemcached,
    OperationTimeout,
    TooManyConnections,
)

LINE_MAX = 2048  # memcached's own limit for a line of text
# A node that asks for no token stores what is sent: under a name of its own, expired at once (-1).
TOKEN_KEY = b"memquake-token"


def authenticate(connection: Connection, token: str, deadline: float) -> None:
    """Send the token of memcached's ASCII authentication (its option -Y), "user password".

    Raises AuthenticationFailed, ConnectTimeout, ConnectRefused (TooManyConnections among them),
    NotMemcached.
    """
    secret = token.encode()
    request = b"set %b 0 -1 %d\r\n%b\r\n" % (TOKEN_KEY, len(secret), secret)
    reply = _ask(connection, request, deadline)
    if reply.startswith(b"CLIENT_ERROR"):
        raise AuthenticationFailed
    if reply.startswith(b"SERVER_ERROR"):
        raise ConnectRefused("SERVER_ERROR instead of an answer to the token")
    if reply != b"STORED":
        raise NotMemcached


def ask_dialect(connection: Connection, deadline: float) -> bool | None:
    """Return whether the node speaks meta commands, asked with `mn` at the cost of one round trip.

    None stands for SERVER_ERROR, which speaks of the server's own trouble (no memory, a backend
    that a proxy cannot reach) and leaves the question open. Otherwise the connection is at rest
    and fit for use. On any error the caller discards it. Raises AuthenticationFailed when the node
    asks for a token, ConnectTimeout, ConnectRefused (TooManyConnections among them), NotMemcached.
    """
    reply = _ask(connection, b"mn\r\n", deadline)
    if reply == b"MN":
        return True
    if reply.startswith(b"CLIENT_ERROR unauthenticated"):
        raise AuthenticationFailed("the node asks for a token: set auth_token")
    if reply.startswith(b"SERVER_ERROR"):
        return None
    # memcached before 1.6 says ERROR; relays also use the other for what they do not know.
    if reply.startswith((b"ERROR", b"CLIENT_ERROR")):
        return False
    raise NotMemcached


def _ask(connection: Connection, request: bytes, deadline: float) -> bytes:
    """Send a request and return the one line that comes back, without its end."""
    reply = b""
    try:
        connection.write(request, deadline)
        while not reply.endswith(b"\r\n"):
            if len(reply) > LINE_MAX:
                raise NotMemcached
            reply += connection.read_before(deadline)
    except OperationTimeout as error:
        raise ConnectTimeout("no reply to the first command in time") from error
    except ConnectionClosed as error:
        raise ConnectRefused("connection closed at the first command") from error
    if reply.startswith(REFUSAL):
        raise TooManyConnections
    return reply[:-2]
