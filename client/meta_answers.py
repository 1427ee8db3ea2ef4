"""What a reply to a meta command means to the caller: pymemcache's results, items and leases.

Each function takes a reply whose opaque was right and gives the result, or raises ProtocolError for
a code that is no answer to its command. Pure; it runs while the connection is still in hand, so
that an impossible answer costs the connection.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from client.errors import ProtocolError, ServerError
from client.items import NO_ITEM, Item
from client.meta import NUMBER_DIGITS, Reply


def _result(results: Mapping[bytes, Any]) -> Callable[[Reply], Any]:
    def answer(reply: Reply) -> Any:
        try:
            return results[reply.code]
        except KeyError:
            raise ProtocolError("a code that is no answer to the command") from None

    return answer


stored = _result({b"HD": True, b"NS": False})
swapped = _result({b"HD": True, b"EX": False, b"NF": None})
deleted = _result({b"HD": True, b"NF": False})
touched = _result({b"HD": True, b"EN": False})


def number(reply: Reply) -> int | None:
    """Give a counter's new number, None when there is no such counter."""
    if reply.code == b"NF":
        return None
    if reply.code == b"NS":
        raise ServerError("SERVER_ERROR counter not stored", in_step=True)
    digits = reply.value or b""
    # int() takes spaces, underscores and signs as well; a counter is digits only.
    if reply.code != b"VA" or not digits.isdigit() or len(digits) > NUMBER_DIGITS:
        raise ProtocolError("an answer that is no number")
    return int(digits)


def item(reply: Reply) -> Item | None:
    """Give the item that was asked for with `meta.ITEM`, None on a miss."""
    if reply.code == b"EN":
        return None
    if reply.code != b"VA":
        raise ProtocolError("a code that is no answer to the command")
    marks = reply.flags
    is_stale, won, is_held = b"X" in marks, b"W" in marks, b"Z" in marks
    is_place = not reply.value and (won or is_held) and not is_stale
    return Item(
        value=None if is_place else reply.value,
        flags=int(reply.token(b"f")),
        cas=reply.token(b"c"),
        # memcached tells -1 to whoever has the place-holder made, whatever N said.
        ttl_s=None if is_place and won else int(reply.token(b"t")),
        is_stale=is_stale,
        won=won,
        is_held=is_held,
    )


def present(reply: Reply) -> Item | None:
    """Give the item with its value; a place-holder is a miss."""
    found = item(reply)
    return None if found is None or found.value is None else found


def valued(reply: Reply) -> Item | None:
    """Give the item that was asked for with `meta.VALUE`; a place-holder is a miss."""
    if reply.code == b"EN":
        return None
    if reply.code != b"VA":
        raise ProtocolError("a code that is no answer to the command")
    marks = reply.flags
    if not reply.value and (b"W" in marks or b"Z" in marks) and b"X" not in marks:
        return None
    return Item(value=reply.value, flags=int(reply.token(b"f")), cas=NO_ITEM.cas)


def leased(reply: Reply) -> Item:
    """Give what a lease found; a node that could not make the place-holder leased nothing."""
    return item(reply) or NO_ITEM
