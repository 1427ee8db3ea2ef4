# ruff: noqa: N818 - an error is named for what happened, as in httpx or asyncio: PoolExhausted
"""Every way a call can fail, as a type that says whether the operation may have happened.

`happened` is NOT_SENT when no byte of the request left this process, INDETERMINATE from the first
byte that may have left, SERVER_REPLY when the node itself said no. `outcome` is the word telemetry
counts the failure under. Texts are constant, because statistics group by them: what varies (the
node) is an attribute. Where pymemcache has an error of the same meaning ours derives from it, so
handlers written for pymemcache keep working (it is untyped, hence the ignores).
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from pymemcache import exceptions as pymemcache_errors

from client.operation import Outcome


class Happened(StrEnum):
    """Whether a failed operation took effect on the node."""

    NOT_SENT = "not_sent"  # definite: it did not
    INDETERMINATE = "indeterminate"  # nobody knows; never repeat a write blindly
    SERVER_REPLY = "server_reply"  # definite: the node refused it


class MemcacheClientError(Exception):
    """Base of every error this client raises for a call."""

    outcome: ClassVar[Outcome] = Outcome.OTHER_ERROR
    happened: ClassVar[Happened] = Happened.NOT_SENT
    blames_node: ClassVar[bool] = False  # whether the node's breaker counts it as a failure
    text: ClassVar[str] = "memcached call failed"

    node: str = ""  # "host:port" of the node asked, "" when none was
    connection: str = ""  # "local to peer" of the connection the call had, where it had one
    in_step: bool = False  # the connection is at a request boundary and stays usable

    def __init__(self, text: str = "", *, node: str = "", in_step: bool = False) -> None:
        super().__init__(text or self.text)
        self.node = node
        self.in_step = in_step


class OperationTimeout(MemcacheClientError, TimeoutError):
    """The deadline of the operation passed after its request was, or may have been, sent."""

    outcome = Outcome.TIMEOUT
    happened = Happened.INDETERMINATE
    blames_node = True
    text = "no complete reply before the operation's deadline"


class ConnectTimeout(MemcacheClientError, TimeoutError):
    """No connection was established in time."""

    outcome = Outcome.TIMEOUT
    blames_node = True
    text = "no connection within the connect timeout"


class ConnectRefused(MemcacheClientError, ConnectionRefusedError):
    """The host answered that nobody listens, or dropped the connection while it was made."""

    outcome = Outcome.REFUSED
    blames_node = True
    text = "connection refused"


class TooManyConnections(ConnectRefused):
    """The node has no place for one more connection: it said so and closed the new one.

    memcached (its option maxconns_fast) writes this line to a connection that it does not serve,
    before and instead of reading from it. So the line is no answer to whatever was sent.
    """

    text = "ERROR Too many open connections"


class Unreachable(MemcacheClientError):
    """The name does not resolve or there is no route."""

    outcome = Outcome.UNREACHABLE
    blames_node = True
    text = "node unreachable"


class TlsFailed(Unreachable):
    """No encrypted connection came about: nothing of the request was sent."""

    text = "TLS handshake failed"


class CertificateNotTrusted(TlsFailed):
    """The node's certificate is not one that the SSLContext trusts for this name."""

    text = "certificate of the node not trusted"


class AuthenticationFailed(MemcacheClientError):
    """The node refused the token, or asks for one and none is set: nothing was sent.

    It counts against the node, though the token may be at fault: no call can succeed until one of
    the two is changed, and the breaker is what keeps the attempts few.
    """

    outcome = Outcome.CLIENT_ERROR
    blames_node = True
    text = "authentication refused by the node"


class OutOfResources(MemcacheClientError):
    """No socket could be made here (descriptors, ports, memory): not the node's fault."""

    text = "no local resources for a connection"


class ConnectionClosed(MemcacheClientError, pymemcache_errors.MemcacheUnexpectedCloseError):  # type: ignore[misc]
    """The peer ended the connection while a request was in flight."""

    outcome = Outcome.CLOSED
    happened = Happened.INDETERMINATE
    blames_node = True
    text = "connection closed by the node"


class PoolExhausted(MemcacheClientError):
    """No connection became free before the deadline."""

    outcome = Outcome.POOL_TIMEOUT
    text = "no connection became free before the operation's deadline"


class BreakerOpen(MemcacheClientError):
    """The node's circuit breaker refused the call; it took no time."""

    outcome = Outcome.BREAKER_OPEN
    text = "circuit breaker open"


class ClientClosed(MemcacheClientError):
    """The call came after `close()`."""

    text = "client is closed"


class ServerError(MemcacheClientError, pymemcache_errors.MemcacheServerError):  # type: ignore[misc]
    """The node answered SERVER_ERROR: too large, out of memory, ..."""

    outcome = Outcome.SERVER_ERROR
    happened = Happened.SERVER_REPLY
    text = "SERVER_ERROR"


class ValueTooLarge(ServerError):
    """The value is larger than the node's item limit (1 MB unless started with -I).

    Nothing was stored, and what was there before may be gone: memcached drops it, so that nobody
    reads an old value, after `set` over text and after every store over meta. The connection stays
    in step.
    """

    text = "SERVER_ERROR object too large for cache"


class ClientError(MemcacheClientError, pymemcache_errors.MemcacheClientError):  # type: ignore[misc]
    """The node answered CLIENT_ERROR: a counter that is no number, ..."""

    outcome = Outcome.CLIENT_ERROR
    happened = Happened.SERVER_REPLY
    text = "CLIENT_ERROR"


class ProtocolError(MemcacheClientError, pymemcache_errors.MemcacheUnknownError):  # type: ignore[misc]
    """The bytes that came back are no reply to this request."""

    outcome = Outcome.PROTOCOL_ERROR
    happened = Happened.INDETERMINATE
    blames_node = True
    text = "bytes that are no reply to the request"


class NotMemcached(ProtocolError):
    """A new connection's first command got bytes back that no memcached would send."""

    happened = Happened.NOT_SENT
    text = "the peer does not speak memcached's protocol"


class IllegalInput(
    MemcacheClientError,
    pymemcache_errors.MemcacheIllegalInputError,  # type: ignore[misc]
    ValueError,
):
    """An argument memcached cannot take; refused before anything was sent."""

    outcome = Outcome.CLIENT_ERROR
    text = "illegal argument"


class IllegalKey(IllegalInput):
    """A key that is empty, too long, text that is not ASCII, or with whitespace or controls."""

    text = "illegal key"


class EncodeError(IllegalInput):
    """The serde raised, or gave no (bytes, flags); its own error is the cause. Nothing was sent."""

    text = "the serde could not encode the value"


class DecodeError(MemcacheClientError):
    """The serde raised on a value that was read whole; its own error is the cause.

    The node did its part and the connection is in step. What is stored has not changed, except
    for the time to live that `gat` and `gats` gave it.
    """

    outcome = Outcome.CLIENT_ERROR
    happened = Happened.SERVER_REPLY
    text = "the serde could not decode the value"


class MetaUnsupported(MemcacheClientError):
    """The call needs a meta command, and the node has none or the text protocol was asked for."""

    outcome = Outcome.CLIENT_ERROR
    text = "this needs the meta protocol: memcached 1.6.10 or newer, and protocol 'auto' or 'meta'"
