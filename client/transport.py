"""Make a connection out of a connected socket: the kind that suits how this process waits."""

from __future__ import annotations

import socket
from collections.abc import Callable

from client.connection import Connection
from client.runtime import has_hub_io


def connection_of(
    sock: socket.socket, *, op_timeout: float, clock: Callable[[], float], address: object = None
) -> Connection:
    """Wrap a connected socket and own it from now on."""
    kind: type[Connection] = Connection
    if has_hub_io():
        from client.hub_connection import HubConnection  # noqa: PLC0415 - needs gevent

        kind = HubConnection
    return kind(sock, op_timeout=op_timeout, clock=clock, address=address)
