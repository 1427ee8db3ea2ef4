"""Which group of users asks for an address, and the address that its name has for that group.

Clients of all groups are given the same names for the nodes, as a split service has them, and each
group is to reach the nodes by doors of its own. So whoever resolves such a name must be known: a
greenlet that was assigned to a group, or one that such a greenlet started, or one that that one
started. It stands before gevent's resolver, which every socket of a load process asks; names of
others pass through. A greenlet that nobody can place is counted: what it reached proves nothing.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import gevent

from cluster.node import Address
from users.clients import Factory

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


class SidedResolver:
    """A resolver of gevent's that knows names with one address a group. IPv4 numbers only."""

    def __init__(self, inner: Any, names: Mapping[str, Sequence[str]]) -> None:
        self.strays = 0  # questions of greenlets that belong to no group
        self._inner = inner
        self._names = dict(names)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def getaddrinfo(self, host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        """Give what the system gives, for the group's own address."""
        return self._inner.getaddrinfo(self._place(host), port, *args, **kwargs)

    def gethostbyname(self, hostname: Any, *args: Any, **kwargs: Any) -> Any:
        """Give what the system gives, for the group's own address."""
        return self._inner.gethostbyname(self._place(hostname), *args, **kwargs)

    def gethostbyname_ex(self, hostname: Any, *args: Any, **kwargs: Any) -> Any:
        """Give what the system gives, for the group's own address."""
        return self._inner.gethostbyname_ex(self._place(hostname), *args, **kwargs)

    def _place(self, host: Any) -> Any:
        text = host.decode("ascii", "replace") if isinstance(host, bytes) else host
        addresses = self._names.get(text.lower().rstrip(".")) if isinstance(text, str) else None
        if addresses is None:
            return host
        group = group_here()
        if group is None:
            self.strays += 1
        return addresses[group or 0]


class SidedNames:
    """Names and their address by group, known until `close`. Without any it stands in no way."""

    def __init__(self, names: Mapping[str, Sequence[str]]) -> None:
        self._hub = gevent.get_hub()
        self._before = self._hub.resolver
        self._resolver = SidedResolver(self._before, names)
        self._builders: list[
            Any
        ] = []  # kept: what a client starts when it is built is placed by it
        _groups.clear()  # whoever belonged to a group of another run belongs to none of this one
        if names:
            self._hub.resolver = self._resolver

    def of_group(self, group: int, factory: Factory) -> Factory:
        """Give a factory whose client, and whatever that starts, belongs to a group."""

        @functools.wraps(factory)
        def build(nodes: Sequence[Address], settings: Any) -> Any:
            self._builders.append(gevent.getcurrent())
            belong(group)
            return factory(nodes, settings)

        return build

    @property
    def strays(self) -> int:
        """How many questions came from greenlets of no group."""
        return self._resolver.strays

    def close(self) -> None:
        """Forget the names; again is fine."""
        if self._hub.resolver is self._resolver:
            self._hub.resolver = self._before
