"""What is refused before a byte is sent, and how the rest is put."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymemcache.client.base import check_key_helper
from pymemcache.exceptions import MemcacheIllegalInputError

from client import commands
from client.errors import DecodeError, EncodeError, Happened, IllegalInput, IllegalKey
from client.settings import ClientSettings
from client.values import Values

BAD_KEYS: dict[str, tuple[Any, str]] = {
    "empty": ("", "Key is empty"),
    "251 bytes": ("k" * 251, "Key is too long"),
    "251 bytes of bytes": (b"k" * 251, "Key is too long"),
    "a space": ("a b", "Key contains whitespace"),
    "a line end": ("a\r\nflush_all", "Key contains whitespace"),
    "a space at the end": ("a ", "Key contains whitespace"),
    "a zero byte": ("a\0b", "Key contains control characters"),
    "a control character": ("a\x1bb", "Key contains control characters"),
    "delete": (b"a\x7f", "Key contains control characters"),
    "text that is not ASCII": ("gr\u00fc\u00dfe", "Non-ASCII key"),
    "a surrogate": ("\ud800", "Non-ASCII key"),
    "a number": (5, "a key must be str or bytes, not int"),
    "None": (None, "a key must be str or bytes, not NoneType"),
    "a list": (["k"], "a key must be str or bytes, not list"),
}


@pytest.mark.parametrize(("key", "text"), BAD_KEYS.values(), ids=BAD_KEYS.keys())
def test_bad_keys(key: Any, text: str) -> None:
    """A key memcached cannot take raises, with a text that does not contain it."""
    with pytest.raises(IllegalKey) as raised:
        commands.wire_key(key)
    assert str(raised.value) == text
    assert raised.value.happened is Happened.NOT_SENT


@given(st.one_of(st.text(max_size=260), st.binary(max_size=260)))
def test_keys_are_what_pymemcache_takes(key: str | bytes) -> None:
    """What passes here passes there with the same bytes; only control characters pass there alone.

    Text and its bytes are the same key.
    """
    try:
        wire: bytes | None = commands.wire_key(key)
    except IllegalKey:
        wire = None
    try:
        theirs = check_key_helper(key, allow_unicode_keys=False)
    except MemcacheIllegalInputError:
        assert wire is None
        return
    if wire is None:
        assert not theirs or any(byte < 0x21 or byte == 0x7F for byte in theirs)
    else:
        assert wire == theirs == commands.wire_key(wire)
        assert type(wire) is bytes


BAD_ARGUMENTS: dict[str, Callable[[], Any]] = {
    "expire that is no whole number": lambda: commands.storage(b"set", b"k", b"", 1.5, 0),
    "expire as text": lambda: commands.storage(b"set", b"k", b"", "1", 0),
    "expire that memcached would cut": lambda: commands.storage(b"set", b"k", b"", 1 << 31, 0),
    "expire far in the past": lambda: commands.touching(b"k", -(1 << 31)),
    "expire of gat": lambda: commands.get_and_touch(b"gat", b"k", None),
    "flags that memcached would cut": lambda: commands.storage(b"set", b"k", b"", 0, 1 << 32),
    "negative flags": lambda: commands.storage(b"set", b"k", b"", 0, -1),
    "flags as text": lambda: commands.storage(b"set", b"k", b"", 0, "1"),
    "a value that is None": lambda: commands.wire_value(None),
    "a value that is a list": lambda: commands.wire_value([1]),
    "text that is not ASCII": lambda: commands.wire_value("\u00fc"),
    "a number of more digits than Python writes": lambda: commands.wire_value(10**5000),
    "a negative step": lambda: commands.counting(b"incr", b"k", -1),
    "a step beyond 64 bits": lambda: commands.counting(b"incr", b"k", 1 << 64),
    "a step as text": lambda: commands.counting(b"incr", b"k", "1"),
    "a token with more behind it": lambda: commands.check_cas("1 noreply"),
    "no token": lambda: commands.check_cas(None),
    "a token beyond 64 bits": lambda: commands.check_cas("1" * 21),
    "a token of more digits than Python writes": lambda: commands.check_cas(10**5000),
    "a lease of more than 30 days": lambda: commands.check_seconds(2_592_001, "lease_ttl_s"),
    "a lease of no time": lambda: commands.check_seconds(0, "lease_ttl_s"),
    "a lease for ever": lambda: commands.check_seconds(-1, "lease_ttl_s"),
    "no reply": lambda: commands.refuse_noreply(True),
}


@pytest.mark.parametrize("build", BAD_ARGUMENTS.values(), ids=BAD_ARGUMENTS.keys())
def test_bad_arguments(build: Callable[[], Any]) -> None:
    """What memcached would refuse, cut off or read as something else raises here."""
    with pytest.raises(IllegalInput) as raised:
        build()
    assert raised.value.happened is Happened.NOT_SENT
    assert "\n" not in str(raised.value)


COMMANDS: dict[str, tuple[Callable[[], bytes], bytes]] = {
    "set": (lambda: commands.storage(b"set", b"k", b"ab", 5, 7), b"set k 7 5 2\r\nab\r\n"),
    "set that has expired": (
        lambda: commands.storage(b"set", b"k", "", -1, 0),
        b"set k 0 -1 0\r\n\r\n",
    ),
    "add until a point in time": (
        lambda: commands.storage(b"add", b"k", 12, commands.MAX_EXPIRE, commands.MAX_FLAGS),
        b"add k 4294967295 2147483647 2\r\n12\r\n",
    ),
    "cas": (
        lambda: commands.compare_and_swap(b"k", b"ab", 9, 5, 7),
        b"cas k 7 5 2 9\r\nab\r\n",
    ),
    "incr": (lambda: commands.counting(b"incr", b"k", commands.MAX_DELTA), b"incr k %d\r\n"),
    "touch": (lambda: commands.touching(b"k", 0), b"touch k 0\r\n"),
    "gats": (lambda: commands.get_and_touch(b"gats", b"k", 5), b"gats 5 k\r\n"),
}


@pytest.mark.parametrize(("build", "sent"), COMMANDS.values(), ids=COMMANDS.keys())
def test_commands(build: Callable[[], bytes], sent: bytes) -> None:
    """Every command byte for byte."""
    assert build() == (sent % commands.MAX_DELTA if b"%d" in sent else sent)


class Reversing:
    """A serde that keeps values backwards, under flag 4."""

    def serialize(self, key: Any, value: Any) -> tuple[Any, int]:
        return value[::-1], 4

    def deserialize(self, key: Any, value: bytes, flags: int) -> Any:
        assert flags == 4
        return value[::-1]


def test_a_serde_encodes_and_decodes() -> None:
    """Its flags are kept unless the caller gives others; text it gives is encoded."""
    values = Values(Reversing())
    assert values.encode("k", b"abc") == (b"cba", 4)
    assert values.encode("k", "abc") == (b"cba", 4)
    assert values.encode("k", b"abc", 9) == (b"cba", 9)
    assert values.decode("k", b"cba", 4) == b"abc"


def test_without_a_serde_bytes_stay_bytes() -> None:
    """Nothing is copied and nothing is interpreted."""
    values, data = Values(), b"abc"
    assert values.is_plain
    assert values.encode("k", data)[0] is data
    assert values.encode("k", 7, 3) == (b"7", 3)
    assert values.decode("k", data, 9) is data


@pytest.mark.parametrize(
    "given", [5, None, b"only data", (b"data", 1, 2)], ids=["number", "None", "bytes", "three"]
)
def test_a_serde_that_fails_is_the_callers(given: Any) -> None:
    """What it raises or gives wrongly is a typed error with its own as the cause."""

    class Broken(Reversing):
        def serialize(self, key: Any, value: Any) -> Any:
            return given

        def deserialize(self, key: Any, value: bytes, flags: int) -> Any:
            raise KeyError(key)

    with pytest.raises(EncodeError) as encoding:
        Values(Broken()).encode("k", b"v")
    assert encoding.value.happened is Happened.NOT_SENT
    assert encoding.value.__cause__ is not None
    with pytest.raises(DecodeError) as decoding:
        Values(Broken()).decode("k", b"v", 0)
    assert isinstance(decoding.value.__cause__, KeyError)


def test_what_a_serde_gives_is_checked_like_a_value() -> None:
    """Data that is not bytes, text or a number is refused as such."""

    class Odd(Reversing):
        def serialize(self, key: Any, value: Any) -> Any:
            return [value], 0

    with pytest.raises(IllegalInput, match="must be bytes"):
        Values(Odd()).encode("k", b"v")


def test_a_serde_without_its_methods_is_refused() -> None:
    """The settings say at once what is missing."""
    with pytest.raises(ValueError, match="has no serialize"):
        ClientSettings(serde=object())
    assert ClientSettings(serde=Reversing()).serde is not None
