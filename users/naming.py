"""Names of nodes that this process answers for itself, to whoever asks.

They stand before gevent's resolver, which every cooperative socket of a load process asks; names of
others pass through. Which address a name has is the business of who derives from `Names`.
"""

from __future__ import annotations

from typing import Any

import gevent

from users.clients import Factory


class NamingResolver:
    """A resolver of gevent's that asks `Names` first. IPv4 numbers only."""

    def __init__(self, inner: Any, names: Names) -> None:
        self._inner = inner
        self._names = names

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def getaddrinfo(self, host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        """Give what the system gives, for the name's address."""
        return self._inner.getaddrinfo(self._place(host), port, *args, **kwargs)

    def gethostbyname(self, hostname: Any, *args: Any, **kwargs: Any) -> Any:
        """Give what the system gives, for the name's address."""
        return self._inner.gethostbyname(self._place(hostname), *args, **kwargs)

    def gethostbyname_ex(self, hostname: Any, *args: Any, **kwargs: Any) -> Any:
        """Give what the system gives, for the name's address."""
        return self._inner.gethostbyname_ex(self._place(hostname), *args, **kwargs)

    def _place(self, host: Any) -> Any:
        text = host.decode("ascii", "replace") if isinstance(host, bytes) else host
        if not isinstance(text, str):
            return host
        address = self._names.address_of(text.lower().rstrip("."))
        return host if address is None else address


class Names:
    """Names known from its making until `close`. Without any it stands in no way."""

    strays = 0
    """Questions that nobody could place: what was reached by them proves nothing."""

    def __init__(self, *, any_known: bool) -> None:
        self._hub = gevent.get_hub()
        self._before = self._hub.resolver
        self._resolver = NamingResolver(self._before, self)
        if any_known:
            self._hub.resolver = self._resolver

    def address_of(self, name: str) -> str | None:
        """Give the address of a name, None for one that is not known here."""
        raise NotImplementedError

    def of_group(self, group: int, factory: Factory) -> Factory:
        """Give the factory for the client of a group of users."""
        return factory

    def close(self) -> None:
        """Forget the names; again is fine."""
        if self._hub.resolver is self._resolver:
            self._hub.resolver = self._before
