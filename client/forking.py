"""A forked process leaves the connections of its parent alone.

Both would send over one socket, and each could read the other's replies: their opaques are equal.
So every connection is known here from the moment it was made, and the child closes its copies
before any of its code runs: idle ones are stale from then on, a call under way ends with
ConnectionClosed. The parent notices nothing. Places in a pool that other threads of the parent held
stay taken in the child, and a connection that is being opened is not known here yet: fork while
nobody is in a call.
"""

from __future__ import annotations

import os
from typing import Any
from weakref import WeakSet

_connections: WeakSet[Any] = WeakSet()


def watch(connection: Any) -> None:
    """Have `connection.disown()` called in a process that is forked from this one."""
    _connections.add(connection)


def _disown_all() -> None:
    for connection in list(_connections):
        connection.disown()
    _connections.clear()


if hasattr(os, "register_at_fork"):  # not every system forks
    os.register_at_fork(after_in_child=_disown_all)
