"""What is known of a stored item beside its value, and what a lease says about it.

Plain data: made by the readers of replies, handed to callers as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One stored item.

    `value` is None for a place-holder: a lease has been given for the key and nothing is stored
    yet. memcached marks such an item in no way of its own, so an empty value whose lease is out
    looks the same. `cas` is for `cas`. `ttl_s` is in seconds, -1 where the item does not expire,
    None where it was not told (the text protocol, or a place-holder made by this very call).

    The marks of a lease, all False over the text protocol, which has none:
    `is_stale`: `delete(key, stale_ttl=...)` has declared the value out of date.
    `won`: this caller alone has been told to renew it.
    `is_held`: another caller has been told so before, and has not stored a value yet.
    """

    value: Any
    flags: int
    cas: bytes
    ttl_s: int | None = None
    is_stale: bool = False
    won: bool = False
    is_held: bool = False


NO_ITEM = Item(value=None, flags=0, cas=b"0")
"""What a lease finds where there is neither a value nor a place-holder."""
