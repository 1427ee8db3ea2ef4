"""Make a connection out of a connected socket: the kind that suits how this process waits."""

from __future__ import annotations

import functools
import socket
from collections.abc import Callable

from client.connection import Connection
from client.runtime import has_hub_io


def connection_of(
    sock: socket.socket, *, op_timeout: float, clock: Callable[[], float], address: object = None
) -> Connection:
    """Wrap a connected socket and own it from now on."""
    kind = _on_hub() if has_hub_io() else Connection
    return kind(sock, op_timeout=op_timeout, clock=clock, address=address)


@functools.cache
def _on_hub() -> type[Connection]:
    from client.hub_connection import HubConnection  # noqa: PLC0415 - needs gevent

    return HubConnection


if has_hub_io():
    _on_hub()  # at once: in a load process the name `client` may soon be another module's
