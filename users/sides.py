"""Which group of users asks for an address, and the address that its name has for that group.

Clients of all groups are given the same names for the nodes, as a split service has them, and each
group is to reach the nodes by doors of its own. So whoever resolves such a name must be known: a
greenlet that was assigned to a group, or one that such a greenlet started, or one that that one
started. A greenlet that nobody can place is counted: what it reached proves nothing.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import gevent

from cluster.node import Address
from users.clients import Factory
from users.naming import Names

_groups: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()


def belong(group: int) -> None:
    """Assign the current greenlet, and whatever it starts from now on, to a group."""
    _groups[gevent.getcurrent()] = group


def group_here() -> int | None:
    """Give the group of the current greenlet, None for one that nobody assigned."""
    current = greenlet = gevent.getcurrent()
    while greenlet is not None:
        group = _groups.get(greenlet)
        if group is not None:
            _groups[current] = group  # whoever started it may be gone the next time
            return group
        started_by = getattr(greenlet, "spawning_greenlet", None)
        greenlet = started_by() if started_by is not None else None
    return None


class SidedNames(Names):
    """Names and their address by group."""

    def __init__(self, names: Mapping[str, Sequence[str]]) -> None:
        self.strays = 0  # questions of greenlets that belong to no group
        self._addresses = dict(names)
        # Kept: what a client starts when it is built is placed by it.
        self._builders: list[Any] = []
        _groups.clear()  # whoever belonged to a group of another run belongs to none of this one
        super().__init__(any_known=bool(names))

    def address_of(self, name: str) -> str | None:
        """Give the address of a name for the group of the current greenlet."""
        addresses = self._addresses.get(name)
        if addresses is None:
            return None
        group = group_here()
        if group is None:
            self.strays += 1
        return addresses[group or 0]

    def of_group(self, group: int, factory: Factory) -> Factory:
        """Give a factory whose client, and whatever that starts, belongs to a group."""

        @functools.wraps(factory)
        def build(nodes: Sequence[Address], settings: Any) -> Any:
            self._builders.append(gevent.getcurrent())
            belong(group)
            return factory(nodes, settings)

        return build
