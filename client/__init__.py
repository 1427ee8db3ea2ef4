"""The reference client: memcached with deadlines, fair pools and a breaker for each node.

    from client import ClientSettings, MemcacheClient
    client = MemcacheClient([("127.0.0.1", 11211)], ClientSettings(op_timeout=0.2))

It needs neither gevent nor Locust and runs under both, and under plain threads.
"""

from client.breaker_settings import BREAKER_PROFILES, BreakerSettings
from client.client import MemcacheClient, build
from client.errors import (
    AuthenticationFailed,
    BreakerOpen,
    CertificateNotTrusted,
    ClientClosed,
    ClientError,
    ConnectionClosed,
    ConnectRefused,
    ConnectTimeout,
    DecodeError,
    EncodeError,
    Happened,
    IllegalInput,
    IllegalKey,
    MemcacheClientError,
    MetaUnsupported,
    NotMemcached,
    OperationTimeout,
    OutOfResources,
    PoolExhausted,
    ProtocolError,
    ServerError,
    TlsFailed,
    TooManyConnections,
    Unreachable,
    ValueTooLarge,
)
from client.items import Item
from client.multi import FailedKeys, PartialDict
from client.operation import Operation, Outcome
from client.settings import ClientSettings
from client.warming import WarmUp

__all__ = [
    "BREAKER_PROFILES",
    "AuthenticationFailed",
    "BreakerOpen",
    "BreakerSettings",
    "CertificateNotTrusted",
    "ClientClosed",
    "ClientError",
    "ClientSettings",
    "ConnectRefused",
    "ConnectTimeout",
    "ConnectionClosed",
    "DecodeError",
    "EncodeError",
    "FailedKeys",
    "Happened",
    "IllegalInput",
    "IllegalKey",
    "Item",
    "MemcacheClient",
    "MemcacheClientError",
    "MetaUnsupported",
    "NotMemcached",
    "Operation",
    "OperationTimeout",
    "OutOfResources",
    "Outcome",
    "PartialDict",
    "PoolExhausted",
    "ProtocolError",
    "ServerError",
    "TlsFailed",
    "TooManyConnections",
    "Unreachable",
    "ValueTooLarge",
    "WarmUp",
    "build",
]
