"""Writes of one key: stores, deletions, counters, times to live.

Every write waits for the node's answer. One that fails says whether it happened: an error whose
`happened` is "not_sent" or "server_reply" changed nothing (ValueTooLarge apart: the old value
may be gone); "indeterminate" means that it may have happened, and nothing here ever repeats it.

`expire` is a time to live in whole seconds: 0 never ends; a negative one has ended, so that nothing
will be found; more than 30 days is an absolute Unix time. `flags` are 32 bits kept beside the
value; None leaves them to the serde. `noreply` is there for pymemcache's sake: only false is taken.
Keyword `protocol` is as in `calls`.
"""

from __future__ import annotations

from typing import Any

from client import commands, meta, meta_answers, replies
from client.calls import Calls, Key, Value, ask

# The text command of each storing mode of `ms`.
_VERBS = {b"S": b"set", b"E": b"add", b"R": b"replace", b"A": b"append", b"P": b"prepend"}


class Writing(Calls):
    """The writing methods of the client, batches apart."""

    def set(
        self,
        key: Key,
        value: Value,
        expire: int = 0,
        noreply: bool | None = None,
        flags: int | None = None,
        *,
        protocol: str | None = None,
    ) -> bool:
        """Store; True when it was. Raises ValueTooLarge beyond the node's item limit."""
        return self._store(b"S", key, value, expire, noreply, flags, protocol)

    def add(
        self,
        key: Key,
        value: Value,
        expire: int = 0,
        noreply: bool | None = None,
        flags: int | None = None,
        *,
        protocol: str | None = None,
    ) -> bool:
        """Store if the key is not there; say whether it was stored."""
        return self._store(b"E", key, value, expire, noreply, flags, protocol)

    def replace(
        self,
        key: Key,
        value: Value,
        expire: int = 0,
        noreply: bool | None = None,
        flags: int | None = None,
        *,
        protocol: str | None = None,
    ) -> bool:
        """Store if the key is there; say whether it was stored."""
        return self._store(b"R", key, value, expire, noreply, flags, protocol)

    def append(
        self,
        key: Key,
        value: Value,
        expire: int = 0,
        noreply: bool | None = None,
        flags: int | None = None,
        *,
        protocol: str | None = None,
    ) -> bool:
        """Put `value` behind the stored one; False when there is none.

        memcached leaves time to live and flags as they were, whatever is given here.
        """
        return self._store(b"A", key, value, expire, noreply, flags, protocol)

    def prepend(
        self,
        key: Key,
        value: Value,
        expire: int = 0,
        noreply: bool | None = None,
        flags: int | None = None,
        *,
        protocol: str | None = None,
    ) -> bool:
        """Put `value` before the stored one; False when there is none. Otherwise as `append`."""
        return self._store(b"P", key, value, expire, noreply, flags, protocol)

    def cas(  # noqa: PLR0917 - pymemcache's order
        self,
        key: Key,
        value: Value,
        cas: Any,
        expire: int = 0,
        noreply: bool | None = False,
        flags: int | None = None,
        *,
        protocol: str | None = None,
    ) -> bool | None:
        """Store if unchanged since `gets`: True, False when it changed, None when it is gone."""
        node, wire = self._routes[key]
        commands.refuse_noreply(noreply)
        data, kept = self._values.encode(wire, value, flags)
        result: bool | None
        if not self._writes_meta(node, protocol):
            text = commands.compare_and_swap(wire, data, cas, expire, kept)
            result = node.call(text, replies.read_stored, replies.CAS)
            return result
        request = meta.store(
            b"S", wire, data,
            expire=commands.check_expire(expire), flags=commands.check_flags(kept),
            cas=commands.check_cas(cas), answer=meta_answers.swapped,
        )  # fmt: skip
        result = ask(node, request)
        return result

    def delete(
        self,
        key: Key,
        noreply: bool | None = None,
        *,
        stale_ttl: int | None = None,
        protocol: str | None = None,
    ) -> bool:
        """Delete; False when the key was not there.

        `stale_ttl`: leave the value for so many seconds, marked as stale and with a new token, so
        that `get_or_lease` has one caller renew it while the others go on with the old one. Raises
        MetaUnsupported where the node cannot.
        """
        node, wire = self._routes[key]
        commands.refuse_noreply(noreply)
        if stale_ttl is not None:
            commands.check_seconds(stale_ttl, "stale_ttl")
            self._need_meta(node, protocol)
        elif not self._writes_meta(node, protocol):
            text = b"delete " + wire + b"\r\n"
            return bool(node.call(text, replies.read_status, replies.DELETED))
        return bool(ask(node, meta.delete(wire, stale_ttl, meta_answers.deleted)))

    def touch(
        self,
        key: Key,
        expire: int = 0,
        noreply: bool | None = None,
        *,
        protocol: str | None = None,
    ) -> bool:
        """Give the key a new time to live; False when it was not there."""
        node, wire = self._routes[key]
        commands.refuse_noreply(noreply)
        if not self._writes_meta(node, protocol):
            text = commands.touching(wire, expire)
            return bool(node.call(text, replies.read_status, replies.TOUCHED))
        wants = b"T%d" % commands.check_expire(expire)
        return bool(ask(node, meta.fetch(wire, wants, meta_answers.touched)))

    def _store(  # noqa: PLR0917 - by keyword it would cost every store
        self,
        mode: bytes,
        key: Key,
        value: Value,
        expire: int,
        noreply: bool | None,
        flags: int | None,
        protocol: str | None,
    ) -> bool:
        node, wire = self._routes[key]
        if noreply:
            commands.refuse_noreply(noreply)
        data, kept = self._values.encode(wire, value, flags)
        if not self._writes_meta(node, protocol):
            text = commands.storage(_VERBS[mode], wire, data, expire, kept)
            return bool(node.call(text, replies.read_stored, replies.STORED))
        request = meta.store(
            mode, wire, data,
            expire=commands.check_expire(expire), flags=commands.check_flags(kept),
            answer=meta_answers.stored,
        )  # fmt: skip
        return bool(ask(node, request))
