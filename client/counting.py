"""Counters: unsigned 64-bit numbers that memcached keeps as decimal text.

An addition beyond 2**64 - 1 starts again at 0; a subtraction stops at 0. A value that is no number
raises ClientError and stays as it is. A count that timed out may have happened, and is never
repeated: what `happened` says is all that is known.
"""

from __future__ import annotations

from client import commands, meta, meta_answers, replies
from client.calls import Calls, Key, ask


class Counting(Calls):
    """`incr` and `decr`."""

    def incr(
        self,
        key: Key,
        value: int,
        noreply: bool | None = False,
        *,
        initial: int | None = None,
        initial_expire: int = 0,
        protocol: str | None = None,
    ) -> int | None:
        """Add to a counter and give the new number, or None when the key is not there.

        `initial`: make a missing counter with this number, which is then the result, and with
        `initial_expire` as its time to live in seconds. That needs meta: raises MetaUnsupported
        where the node has none.
        """
        return self._count(b"incr", key, value, noreply, initial, initial_expire, protocol)

    def decr(
        self,
        key: Key,
        value: int,
        noreply: bool | None = False,
        *,
        initial: int | None = None,
        initial_expire: int = 0,
        protocol: str | None = None,
    ) -> int | None:
        """Take from a counter, not below 0, and give the new number, or None.

        `initial` and `initial_expire` are as for `incr`.
        """
        return self._count(b"decr", key, value, noreply, initial, initial_expire, protocol)

    def _count(  # noqa: PLR0917 - by keyword it would cost every count
        self,
        verb: bytes,
        key: Key,
        delta: int,
        noreply: bool | None,
        initial: int | None,
        initial_expire: int,
        protocol: str | None,
    ) -> int | None:
        node, wire = self._routes[key]
        if noreply:
            commands.refuse_noreply(noreply)
        result: int | None
        if initial is not None:
            commands.check_number(initial, "a counter's initial number")
            commands.check_expire(initial_expire)
            self._need_meta(node, protocol)
        elif not self._writes_meta(node, protocol):
            text = commands.counting(verb, wire, delta)
            result = node.call(text, replies.read_number, None)
            return result
        request = meta.count(
            b"I" if verb == b"incr" else b"D", wire, commands.check_number(delta),
            meta_answers.number, initial=initial, initial_expire=initial_expire,
        )  # fmt: skip
        result = ask(node, request)
        return result
