"""Reads of one key that tell more than `get`: token, flags, time to live, leases.

A read that failed changed nothing, except that `gat` and `gats` may have given the new time to live
and `get_or_lease` may have taken the lease, when the error's `happened` says indeterminate.

Times to live are as in `commands`: 0 never ends, a negative one has ended, more than 30 days is an
absolute Unix time. Keyword `protocol` is as in `calls`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from client import commands, meta, meta_answers
from client.calls import Calls, Key, ask
from client.items import NO_ITEM, Item
from client.replies import read_flagged, read_valued


class Reading(Calls):
    """The reading methods of the client, batches apart."""

    def gets(
        self,
        key: Key,
        default: Any = None,
        cas_default: Any = None,
        *,
        protocol: str | None = None,
    ) -> tuple[Any, Any]:
        """Give (value, cas token), or (default, cas_default) on a miss."""
        item = self._read(key, protocol)
        return (default, cas_default) if item is None else (item.value, item.cas)

    def gat(
        self, key: Key, expire: int = 0, default: Any = None, *, protocol: str | None = None
    ) -> Any:
        """Give the value and set a new time to live in seconds; `default` on a miss."""
        item = self._read_value(key, protocol, expire=commands.check_expire(expire))
        return default if item is None else item.value

    def gats(
        self,
        key: Key,
        expire: int = 0,
        default: Any = None,
        cas_default: Any = None,
        *,
        protocol: str | None = None,
    ) -> tuple[Any, Any]:
        """As `gat`, but give (value, cas token), or (default, cas_default) on a miss."""
        item = self._read(key, protocol, expire=commands.check_expire(expire))
        return (default, cas_default) if item is None else (item.value, item.cas)

    def get_item(self, key: Key, *, protocol: str | None = None) -> Item | None:
        """Give the value with flags, token, time to live and the marks of a lease; None on a miss.

        Over the text protocol there is no time to live and there are no marks.
        """
        return self._read(key, protocol, answer=meta_answers.item)

    def get_or_lease(
        self,
        key: Key,
        lease_ttl_s: int,
        *,
        renew_before_s: int | None = None,
        protocol: str | None = None,
    ) -> Item:
        """Give the value, or see to it that one caller alone makes a new one.

        Of all who find nothing, the first has `won`; memcached puts an empty place-holder there for
        `lease_ttl_s` seconds, and the others find `value` None and `is_held` until the winner
        stores: with `cas(key, value, item.cas, expire)`, which stores nothing when the key has been
        deleted or written meanwhile. A winner that is lost costs the others lease_ttl_s seconds.
        `renew_before_s`: also have one caller renew a value that has fewer seconds left; everyone,
        the winner too, is given the old one. The same goes for a value that
        `delete(key, stale_ttl=...)` has marked: `is_stale`.

        Read such keys in no other way: any other read over meta may win and not know it, and over
        text a place-holder looks like an empty value. Raises MetaUnsupported where there are no
        leases. After a timeout this caller may have won unseen, until lease_ttl_s is over.
        """
        node, wire = self._routes[key]
        commands.check_seconds(lease_ttl_s, "lease_ttl_s")
        if renew_before_s is not None:
            commands.check_seconds(renew_before_s, "renew_before_s")
        self._need_meta(node, protocol)
        wants = meta.leasing(lease_ttl_s, renew_before_s)
        item: Item = ask(node, meta.fetch(wire, wants, meta_answers.leased))
        return self._decoded(key, item)

    def _read(
        self,
        key: Key,
        protocol: str | None,
        *,
        expire: int | None = None,
        answer: Callable[[meta.Reply], Item | None] = meta_answers.present,
    ) -> Item | None:
        node, wire = self._routes[key]
        if self._reads_meta(node, protocol):
            wants = meta.ITEM if expire is None else b"%b T%d" % (meta.ITEM, expire)
            item = ask(node, meta.fetch(wire, wants, answer))
        else:
            request = b"gets %b\r\n" % wire
            if expire is not None:
                request = commands.get_and_touch(b"gats", wire, expire)
            found = node.call(request, read_flagged, wire)
            if found is None:
                return None
            data, flags, cas = found
            item = Item(value=data, flags=flags, cas=cas)
        return None if item is None else self._decoded(key, item)

    def _get_decoded(self, key: Key, default: Any, protocol: str | None) -> Any:
        """Carry out `get` where there is a serde, which needs the flags, or a protocol is asked."""
        item = self._read_value(key, protocol)
        return default if item is None else item.value

    def _read_value(
        self, key: Key, protocol: str | None, *, expire: int | None = None
    ) -> Item | None:
        """Read without a token, which would tie the call to the key's own node."""
        node, wire = self._routes[key]
        if self._reads_meta(node, protocol):
            wants = meta.VALUE if expire is None else b"%b T%d" % (meta.VALUE, expire)
            item = ask(node, meta.fetch(wire, wants, meta_answers.valued))
        else:
            request = b"get %b\r\n" % wire
            if expire is not None:
                request = commands.get_and_touch(b"gat", wire, expire)
            found = node.call(request, read_valued, wire)
            item = None if found is None else Item(value=found[0], flags=found[1], cas=NO_ITEM.cas)
        return None if item is None else self._decoded(key, item)

    def _decoded(self, key: Key, item: Item) -> Item:
        # After the call: the connection is back in its pool when the serde runs.
        if self._values.is_plain or item.value is None:
            return item
        return dataclasses.replace(item, value=self._values.decode(key, item.value, item.flags))
