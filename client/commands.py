"""Build memcached's text commands out of what callers pass, or refuse it before anything is sent.

Keys follow pymemcache's rules (ASCII, at most 250 bytes, no whitespace, no zero byte), and an empty
one is refused as well. Values are bytes; text and numbers are encoded as pymemcache does without a
serializer. Pure functions; every refusal is an IllegalInput.
"""

from __future__ import annotations

from typing import Any

from pymemcache.client.base import check_key_helper
from pymemcache.exceptions import MemcacheIllegalInputError

from client.errors import IllegalInput, IllegalKey

MAX_DELTA = (1 << 64) - 1  # memcached's counters are unsigned 64 bit


def wire_key(key: object) -> bytes:
    """Give the key as it is sent. Raises IllegalKey."""
    if not isinstance(key, str | bytes):
        raise IllegalKey(f"a key must be str or bytes, not {type(key).__name__}")
    try:
        checked: bytes = check_key_helper(key, allow_unicode_keys=False)
    except MemcacheIllegalInputError as error:
        # pymemcache's text ends in the key itself, which would make every failure its own kind.
        raise IllegalKey(str(error).partition(":")[0]) from None
    if not checked:
        raise IllegalKey("Key is empty")
    return checked


def wire_value(value: object) -> bytes:
    """Give a value that is not bytes yet as bytes. Raises IllegalInput."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if isinstance(value, str | int | float):
        try:
            return str(value).encode("ascii")
        except UnicodeEncodeError:
            raise IllegalInput("a value that is text must be ASCII: encode it") from None
    raise IllegalInput(f"a value must be bytes, text or a number, not {type(value).__name__}")


def storage(verb: bytes, key: bytes, value: object, expire: object, flags: object) -> bytes:
    """Build set, add, replace, append or prepend."""
    data = value if type(value) is bytes else wire_value(value)
    if not isinstance(expire, int) or not isinstance(flags, int):
        raise IllegalInput("expire and flags must be whole numbers")
    return b"%b %b %d %d %d\r\n%b\r\n" % (verb, key, flags, expire, len(data), data)


def compare_and_swap(key: bytes, value: object, cas: Any, expire: object, flags: object) -> bytes:
    """Build cas; the token is what `gets` gave, or its digits as text or number."""
    token = cas if isinstance(cas, bytes) else str(cas).encode("ascii", "replace")
    if not token.isdigit():
        raise IllegalInput("a cas token must be digits only")
    if not isinstance(expire, int) or not isinstance(flags, int):
        raise IllegalInput("expire and flags must be whole numbers")
    data = wire_value(value)
    return b"cas %b %d %d %d %b\r\n%b\r\n" % (key, flags, expire, len(data), token, data)


def counting(verb: bytes, key: bytes, delta: object) -> bytes:
    """Build incr or decr."""
    if not isinstance(delta, int) or not 0 <= delta <= MAX_DELTA:
        raise IllegalInput("a counter's step must be a whole number from 0 to 2**64 - 1")
    return b"%b %b %d\r\n" % (verb, key, delta)


def touching(key: bytes, expire: object) -> bytes:
    """Build touch."""
    if not isinstance(expire, int):
        raise IllegalInput("expire must be a whole number")
    return b"touch %b %d\r\n" % (key, expire)
