"""Build memcached's text commands out of what callers pass, or refuse it before anything is sent.

Keys are ASCII text or bytes of 1 to 250 bytes without spaces and control characters; pymemcache
lets the latter pass. Numbers must fit the field memcached keeps them in, because it cuts off what
does not fit without a word: an expiry of 10**11 seconds is one in the past, flags of 2**32 are 0.

A time to live is in whole seconds. 0 never expires; a negative one has expired already, so nothing
will be found; more than 30 days is not a duration but an absolute Unix time: `set(key, value,
60 * 60 * 24 * 31)` expired in January 1970. Pure functions; every refusal is an IllegalInput.
"""

from __future__ import annotations

import re
from typing import Any

from client.errors import IllegalInput, IllegalKey

MAX_KEY = 250
MAX_DELTA = (1 << 64) - 1  # memcached's counters are unsigned 64 bit
MAX_FLAGS = (1 << 32) - 1
MAX_EXPIRE = (1 << 31) - 1  # a signed 32-bit time
MAX_SECONDS = 30 * 24 * 3600  # more is a Unix time to memcached, and long past
_FORBIDDEN = re.compile(rb"[\x00-\x20\x7f]")


def wire_key(key: object) -> bytes:
    """Give the key as it is sent. Raises IllegalKey."""
    # Constant texts: with the key in them every failure would be a kind of its own.
    if isinstance(key, str):
        try:
            wire = key.encode("ascii")
        except UnicodeEncodeError:
            raise IllegalKey("Non-ASCII key") from None
    elif isinstance(key, bytes):
        wire = bytes(key)
    else:
        raise IllegalKey(f"a key must be str or bytes, not {type(key).__name__}")
    if not wire:
        raise IllegalKey("Key is empty")
    if len(wire) > MAX_KEY:
        raise IllegalKey("Key is too long")
    found = _FORBIDDEN.search(wire)
    if found is not None:
        is_space = found[0].isspace()
        raise IllegalKey(f"Key contains {'whitespace' if is_space else 'control characters'}")
    return wire


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
        except ValueError:
            raise IllegalInput("a value that is a number has too many digits") from None
    raise IllegalInput(f"a value must be bytes, text or a number, not {type(value).__name__}")


def check_expire(expire: object) -> int:
    """Give a time to live, or an absolute time, that memcached can keep."""
    if not isinstance(expire, int) or not -MAX_EXPIRE <= expire <= MAX_EXPIRE:
        raise IllegalInput("expire must be a whole number of seconds below 2**31")
    return expire


def check_flags(flags: object) -> int:
    """Give flags that memcached can keep."""
    if not isinstance(flags, int) or not 0 <= flags <= MAX_FLAGS:
        raise IllegalInput("flags must be a whole number from 0 to 2**32 - 1")
    return flags


def check_number(number: object, what: str = "a counter's step") -> int:
    """Give a number that a counter can hold."""
    if not isinstance(number, int) or not 0 <= number <= MAX_DELTA:
        raise IllegalInput(f"{what} must be a whole number from 0 to 2**64 - 1")
    return number


def check_seconds(seconds: object, what: str) -> int:
    """Give a duration of at least a second that is no absolute time."""
    if not isinstance(seconds, int) or not 1 <= seconds <= MAX_SECONDS:
        raise IllegalInput(f"{what} must be a whole number of seconds, from 1 to 30 days")
    return seconds


def check_cas(cas: Any) -> bytes:
    """Give a cas token as its digits: what `gets` gave, or text or a number."""
    try:
        token = cas if isinstance(cas, bytes) else str(cas).encode("ascii", "replace")
    except ValueError:  # a number with more digits than Python writes
        token = b""
    if not token.isdigit() or int(token[:MAX_KEY]) > MAX_DELTA:
        raise IllegalInput("a cas token must be digits only")
    return token


def refuse_noreply(noreply: object) -> None:
    """Raise IllegalInput for noreply=True: a write nobody answers for may have failed unseen."""
    if noreply:
        raise IllegalInput("noreply=True would hide failed writes: leave it out")


def storage(verb: bytes, key: bytes, value: object, expire: object, flags: object) -> bytes:
    """Build set, add, replace, append or prepend."""
    data = value if type(value) is bytes else wire_value(value)
    if type(expire) is not int or not 0 <= expire <= MAX_EXPIRE:
        expire = check_expire(expire)
    kept = 0 if flags == 0 else check_flags(flags)
    return b"%b %b %d %d %d\r\n%b\r\n" % (verb, key, kept, expire, len(data), data)


def compare_and_swap(key: bytes, value: object, cas: Any, expire: object, flags: object) -> bytes:
    """Build cas; the token is what `gets` gave, or its digits as text or number."""
    token = check_cas(cas)
    data = wire_value(value)
    numbers = (check_flags(flags), check_expire(expire), len(data))
    return b"cas %b %d %d %d %b\r\n%b\r\n" % (key, *numbers, token, data)


def counting(verb: bytes, key: bytes, delta: object) -> bytes:
    """Build incr or decr."""
    return b"%b %b %d\r\n" % (verb, key, check_number(delta))


def touching(key: bytes, expire: object) -> bytes:
    """Build touch."""
    return b"touch %b %d\r\n" % (key, check_expire(expire))


def get_and_touch(verb: bytes, key: bytes, expire: object) -> bytes:
    """Build gat or gats."""
    return b"%b %d %b\r\n" % (verb, check_expire(expire), key)
