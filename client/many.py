"""The calls of many keys: all nodes at once, under one deadline.

A batch raises only for what its caller did wrong, before anything is sent: an illegal key or value,
a serde that fails. What a node did is in the result: `.failed` maps the keys of a node that failed
to the error, whose `happened` says whether a write may have taken effect. A key that is neither in
the result nor in `.failed` was not there. Keyword `protocol` is as in `calls`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from client import commands
from client.calls import Calls, Key, Value
from client.multi import FailedKeys, PartialDict, Route, Terms
from client.multi_reading import fetch_many
from client.multi_writing import delete_many, store_many
from client.routing import Router


class Many(Calls):
    """The client's methods for many keys."""

    _clock: Callable[[], float]
    _homes: Mapping[Key, Route]
    _router: Router

    def get_many(self, keys: Iterable[Key], *, protocol: str | None = None) -> PartialDict:
        """Get many keys: {key: value} of those found, and `.failed`.

        Raises IllegalKey, and DecodeError when the serde does.
        """
        decode = None if self._values.is_plain else self._values.decode
        return fetch_many(self._homes, keys, self._terms(protocol), decode=decode)

    def gets_many(self, keys: Iterable[Key], *, protocol: str | None = None) -> PartialDict:
        """Get many keys with their cas tokens: {key: (value, cas)}, and `.failed`.

        Raises as `get_many`.
        """
        decode = None if self._values.is_plain else self._values.decode
        return fetch_many(self._homes, keys, self._terms(protocol), with_cas=True, decode=decode)

    def set_many(
        self,
        values: Mapping[Any, Value],
        expire: int = 0,
        noreply: bool | None = None,
        flags: int | None = None,
        *,
        protocol: str | None = None,
    ) -> FailedKeys:
        """Store many; give the list of keys that were not stored, with `.failed`.

        Raises IllegalKey, IllegalInput and EncodeError: nothing was sent.
        """
        commands.refuse_noreply(noreply)
        commands.check_expire(expire)
        if flags is not None:
            commands.check_flags(flags)

        def encode(key: Key, value: Value) -> tuple[bytes, int]:
            data, kept = self._values.encode(key, value, flags)
            return data, commands.check_flags(kept)

        def begin() -> Terms:
            return self._terms(protocol)

        return store_many(self._homes, values, encode, expire, begin, reword=self._router.reword)

    def delete_many(
        self, keys: Iterable[Key], noreply: bool | None = None, *, protocol: str | None = None
    ) -> PartialDict:
        """Delete many: {key: whether it was there}, and `.failed`. Raises IllegalKey."""
        commands.refuse_noreply(noreply)
        return delete_many(self._homes, keys, self._terms(protocol))

    get_multi = get_many
    set_multi = set_many
    delete_multi = delete_many

    def _terms(self, protocol: str | None) -> Terms:
        started = self._clock()
        settings = self.settings
        return Terms(
            started,
            started + settings.op_timeout,
            settings.protocol if protocol is None else self._chosen(protocol),
            None if settings.failover == "fail" else self._router.fallbacks,
        )
