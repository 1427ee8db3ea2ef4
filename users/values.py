"""Values that prove themselves: every hit can be held against the key that was asked for.

A value carries its key, its writer and the writer's version in a readable header, then filler, and
ends in the CRC-32 of everything before it. Appending a CRC in little-endian order makes the CRC of
the whole a constant, so one pass over the value verifies it without cutting it up. A value too
short for a header is a function of its key and of the low four bits of its version.

Rule: this module judges bytes only. It knows neither clients nor the run, so it cannot tell a
stale value from a fresh one; that needs the writer's own memory of what was acknowledged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from hashlib import blake2b
from zlib import crc32

from users.strangers import kind_of, text_of

MAGIC = b"mq1 "
CRC_BYTES = 4
CRC_RESIDUE = 0x2144DF1C  # CRC-32 of any message followed by its own CRC-32, little-endian
_SHORT_VERSIONS = 16  # a short value spends half of its first byte on the version
_EVIDENCE_BYTES = 64  # enough for a header; evidence is kept in memory and in verdict.json
_FILLER = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"
_HEAD = b"%b%b %b %d "  # magic, key, writer, version
_LONGEST_VERSION = 10**9  # nobody writes a key more often in a run


class Problem(StrEnum):
    """What is wrong with a value that was returned for a key."""

    OTHER_KEY = "other_key"  # whole and ours, but written for another key
    TORN = "torn"  # begins like one of ours and its checksum does not hold
    FOREIGN = "foreign"  # nothing that this harness ever wrote


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One value that is not what its key asks for. `got` and `expected` are short texts."""

    problem: Problem
    got: str
    expected: str


@lru_cache(maxsize=64)
def _filler(size: int) -> bytes:
    return (_FILLER * (size // len(_FILLER) + 1))[:size]


def make(key: str, writer: str, version: int, size: int) -> bytes:
    """Give the value of exactly `size` bytes for this version of `key`.

    `key` and `writer` hold no spaces. Below about 40 bytes there is no room for a header; such a
    value proves its key with the bits it has.
    """
    head = _HEAD % (MAGIC, key.encode(), writer.encode(), version)
    room = size - len(head) - CRC_BYTES
    if room < 0:
        return _short(key, version % _SHORT_VERSIONS, size)
    body = head + _filler(room)
    return body + crc32(body).to_bytes(CRC_BYTES, "little")


def names_versions(key: str, writer: str, size: int) -> bool:
    """Tell whether values of this size name their version, however often they are written."""
    head = _HEAD % (MAGIC, key.encode(), writer.encode(), _LONGEST_VERSION)
    return len(head) + CRC_BYTES <= size


def version_of(value: bytes, writer: str) -> int | None:
    """Return the version that a value names, None when it names none or another writer.

    A form of the client's own, such as a pickle, may have put something before it.
    """
    begin = max(0, value.find(MAGIC, 0, _EVIDENCE_BYTES))
    parts = value[begin : begin + 1024].split(b" ", 4)
    if len(parts) < 5 or parts[0] + b" " != MAGIC or parts[2] != writer.encode():
        return None
    return int(parts[3]) if parts[3].isdigit() else None


def _short(key: str, version: int, size: int) -> bytes:
    if size <= 0:
        return b""
    digest = blake2b(b"%d %b" % (version, key.encode())).digest()
    digest = (digest * (size // len(digest) + 1))[:size]
    return bytes([(digest[0] & 0xF0) | version]) + digest[1:]


def check(key: str, value: bytes, size: int | None = None) -> Finding | None:
    """Verify a value returned for `key`; None means it is right.

    `size` is the size that all values of the run have, None where sizes vary. Without it an
    empty or very short value may pass as a short one.
    """
    if crc32(value) == CRC_RESIDUE and value.startswith(key.encode() + b" ", 4):
        return None
    return _examine(key, value, size)


def _examine(key: str, value: bytes, size: int | None) -> Finding | None:
    # The cases, in order: 1. a right short value; 2. whole, so its header can be believed: another
    # key; 3. begins like ours but is not whole; 4. anything else.
    if _is_short(key, value) and size in (None, len(value)):
        return None
    if value.startswith(MAGIC):
        problem = Problem.OTHER_KEY if crc32(value) == CRC_RESIDUE else Problem.TORN
    else:
        problem = Problem.FOREIGN
    wanted = f"a value of key {key}" + ("" if size is None else f", {size} B")
    return Finding(problem=problem, got=describe(value), expected=wanted)


def _is_short(key: str, value: bytes) -> bool:
    return not value or value == _short(key, value[0] & 0x0F, len(value))


def describe(value: object, is_ending: Callable[[], bool] = lambda: True) -> str:
    """Say in one line what a value is: key, writer and version if it names them, first bytes.

    It may be anything; `is_ending` says whether a GreenletExit of its own code is to be believed.
    """
    if type(value) is not bytes:
        said = text_of(value, repr, limit=_EVIDENCE_BYTES, is_ending=is_ending)
        return f"{kind_of(value)} {said}"
    start = value[:_EVIDENCE_BYTES]
    parts = value[:1024].split(b" ", 4)
    if value.startswith(MAGIC) and len(parts) == 5:
        key, writer, version = (part.decode("ascii", "replace") for part in parts[1:4])
        whole = "whole" if crc32(value) == CRC_RESIDUE else "torn"
        return f"{whole} value of key {key}, writer {writer}, version {version}, {len(value)} B"
    return f"{len(value)} B: {start!r}"
