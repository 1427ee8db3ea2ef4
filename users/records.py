"""Names of nodes whose records change: every name has an old address, and later a new one.

The records of all nodes are known here, those that never change too, so that a client sees no
difference. They know no time to live: who asks again is told the truth of the moment, as by a
name server whose records live for no time at all.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence

from cluster.node import Node
from users.naming import Names

OLD, NEW = 1, 0
"""Doors of a node: everything that knows no names knows the new address only, so nothing has to be
undone when the old one has been given up."""


class Records(Names):
    """The names of the nodes of one run. `moved` are the nodes whose name has changed before."""

    def __init__(self, nodes: Sequence[Node], moved: Iterable[str] = ()) -> None:
        self._hosts = {node.name: node.client_address[0] for node in nodes}
        self._new = {node.client_address[0]: node.doors[NEW].address[0] for node in nodes}
        self._now = {node.client_address[0]: node.doors[OLD].address[0] for node in nodes}
        super().__init__(any_known=True)
        self.move(moved)

    def address_of(self, name: str) -> str | None:
        """Give the address that the record has now."""
        return self._now.get(name)

    def move(self, nodes: Iterable[str]) -> None:
        """Let the names of these nodes lead to their new addresses; again is fine."""
        for node in nodes:
            host = self._hosts[node]
            self._now[host] = self._new[host]

    def look_up(self, node: str) -> str:
        """Ask for a node's address the way a client does. Raises OSError."""
        return socket.gethostbyname(self._hosts[node])
