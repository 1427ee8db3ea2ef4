"""What a node speaks: the meta commands, or the classic ones alone. Its first caller asks.

The question is meta's no-op. A node that knows it says `MN`; an old one says ERROR; a proxy in
between may close the connection or say nothing at all. Everything but `MN` means classic, and the
question never costs the caller its call: silence is waited for half the time there is at most, and
the call goes on over another connection. Only a clear answer stands. Silence may have been a dead
network, and SERVER_ERROR a moment's trouble: it is asked again later. A node that takes no further
connection has said nothing of what it speaks, and the next connection asks. That, and a node that
asks for a token, end the call: nothing else would be understood either.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from client.connection import Connection
from client.errors import (
    ConnectRefused,
    ConnectTimeout,
    MetaUnsupported,
    NotMemcached,
    TooManyConnections,
)
from client.handshake import ask_dialect

ASK_AGAIN_S = 30.0  # long enough not to be felt, short enough to end a wrong guess


class Dialect:
    """What one node speaks. `speaks_meta` is None until the first connection was made."""

    def __init__(
        self,
        protocol: str,
        connect: Callable[[float], Connection],
        *,
        patience_s: float,
        clock: Callable[[], float],
    ) -> None:
        self._connect = connect
        self._patience_s = patience_s
        self._clock = clock
        self._is_asking = False
        self._is_demanded = protocol == "meta"
        self._ask_at = math.inf if protocol == "text" else -math.inf
        self.speaks_meta: bool | None = {"auto": None, "meta": True, "text": False}[protocol]

    def doubt(self) -> None:
        """Ask with the next connection: the node did not understand what it had promised to."""
        self._ask_at = -math.inf

    def connect(self, deadline: float) -> Connection:
        """Open a connection, asking what the node speaks when that is due.

        Raises what connecting raises, TooManyConnections, AuthenticationFailed, and MetaUnsupported
        where meta is demanded: a value behind an `ms` that is not understood would be read as
        commands.
        """
        connection = self._connect(deadline)
        if self._is_asking or self._clock() < self._ask_at:
            return connection  # who comes while another asks is served the classic way
        self._is_asking = True
        is_fit = False
        try:
            is_fit = self._ask(connection, deadline)
        finally:
            self._is_asking = False
            if not is_fit:
                connection.close()
        return connection if is_fit else self._connect(deadline)

    def _ask(self, connection: Connection, deadline: float) -> bool:
        """Put the question; return whether the connection is fit for what comes."""
        now = self._clock()
        until = now + min(self._patience_s, max(deadline - now, 0.0) / 2)
        try:
            speaks_meta = ask_dialect(connection, until)
        except TooManyConnections:
            raise
        except (ConnectTimeout, ConnectRefused, NotMemcached):
            speaks_meta = None
        if speaks_meta is None:
            self._settle(self._is_demanded, now + ASK_AGAIN_S)
            return False
        if self._is_demanded and not speaks_meta:
            raise MetaUnsupported
        self._settle(speaks_meta, math.inf)
        return True

    def _settle(self, speaks_meta: bool, ask_at: float) -> None:
        self.speaks_meta = speaks_meta
        self._ask_at = ask_at
