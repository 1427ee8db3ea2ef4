"""What is said on a new connection before the first request: the token, and which dialect.

Rule: whatever fails here, no request was sent, so every error says so. A reply is waited for no
longer than the deadline and no further than a line of reasonable length. The token appears in no
error, no repr and no log.
"""

from __future__ import annotations

from client.connection import Connection
from client.errors import (
    AuthenticationFailed,
    ConnectionClosed,
    ConnectRefused,
    ConnectTimeout,
    NotMemcached,
    OperationTimeout,
)

LINE_MAX = 2048  # memcached's own limit for a line of text
# A node that asks for no token stores what is sent: under a name of its own, expired at once (-1).
TOKEN_KEY = b"memquake-token"


def authenticate(connection: Connection, token: str, deadline: float) -> None:
    """Send the token of memcached's ASCII authentication (its option -Y), "user password".

    Raises AuthenticationFailed, ConnectTimeout, ConnectRefused, NotMemcached.
    """
    secret = token.encode()
    request = b"set %b 0 -1 %d\r\n%b\r\n" % (TOKEN_KEY, len(secret), secret)
    reply = _ask(connection, request, deadline)
    if reply.startswith(b"CLIENT_ERROR"):
        raise AuthenticationFailed
    if reply != b"STORED":
        raise NotMemcached


def ask_dialect(connection: Connection, deadline: float) -> bool:
    """Say whether the node speaks meta commands, asked with `mn` at the cost of one round trip.

    The connection is at rest afterwards and fit for use. On any error the caller discards it.
    Raises AuthenticationFailed when the node asks for a token, ConnectTimeout, ConnectRefused,
    NotMemcached.
    """
    reply = _ask(connection, b"mn\r\n", deadline)
    if reply == b"MN":
        return True
    if reply.startswith(b"CLIENT_ERROR unauthenticated"):
        raise AuthenticationFailed("the node asks for a token: set auth_token")
    # memcached before 1.6 says ERROR; relays use the other two for what they do not know.
    if reply.startswith((b"ERROR", b"CLIENT_ERROR", b"SERVER_ERROR")):
        return False
    raise NotMemcached


def _ask(connection: Connection, request: bytes, deadline: float) -> bytes:
    """Send a request and give the one line that comes back, without its end."""
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
    return reply[:-2]
