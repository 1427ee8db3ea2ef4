"""How a pool's connections come and go: opened in a place, renewed in it, closed.

A place is counted before its connection is opened and until after it is closed, whatever goes wrong
in between; so the numbers hold at every moment. All of it happens outside the lock of `places`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from client.errors import TooManyConnections
from client.places import Places, new_gate
from client.waiting import Gate


class Opening(Places):
    """Places whose connections `connect(deadline)` opens; each lives for `lifetime_s` at most.

    `lifetime_jitter` is the share of it by which a connection may live shorter, drawn for each.
    """

    def __init__(
        self,
        connect: Callable[[float], Any],
        *,
        size: int,
        lifetime_s: float,
        lifetime_jitter: float,
        clock: Callable[[], float],
        rng: random.Random | None,
        make_gate: Callable[[], Gate] = new_gate,
    ) -> None:
        super().__init__(size, clock, make_gate)
        self.on_open: Callable[[], None] | None = None  # called before every connect
        self._connect = connect
        self._lifetime_s = lifetime_s
        self._lifetime_jitter = lifetime_jitter
        self._rng = rng or random.Random()

    def discard(self, connection: Any, reason: str) -> None:
        """Close a connection that the caller has and free its place."""
        self._end(connection, reason)

    def give_up(self, connection: Any) -> None:
        """Close a connection that the node does not serve, and make do with the others."""
        self._end(connection, "node_full", is_refused=True)

    def _open(self, deadline: float, *, claimed: int = 0) -> Any:
        """Open a connection in a place that is already counted."""
        try:
            if self.on_open is not None:
                self.on_open()
            connection = self._connect(deadline)
        except BaseException as error:
            self._vacate(claimed=claimed, is_refused=isinstance(error, TooManyConnections))
            raise
        jitter = self._lifetime_jitter * self._rng.random()
        connection.expires_at = self._clock() + self._lifetime_s * (1.0 - jitter)
        self._count_created()
        return connection

    def _renew(self, connection: Any, reason: str, deadline: float) -> Any:
        """Open a new connection in the place of one that was handed over and is unfit.

        The place is kept: who has waited in turn does not go back to the end of the queue.
        """
        try:
            connection.close()
        except BaseException:
            self._vacate(reason)
            raise
        self._count_closed(reason)
        return self._open(deadline)

    def _end(
        self, connection: Any, reason: str, *, claimed: int = 0, is_refused: bool = False
    ) -> None:
        try:
            connection.close()
        finally:
            self._vacate(reason, claimed=claimed, is_refused=is_refused)
