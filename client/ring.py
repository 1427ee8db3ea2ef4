"""Which node a key lives on: pure functions of the nodes' names, weights and the key's bytes.

The mapping depends on nothing else: not on which nodes are up, not on the order of events, so a
node that is lost and found again has the same keys. Two of them are promises to fleets that come
from elsewhere: `ketama` is libmemcached's weighted ketama to the last key, `rendezvous` is
pymemcache's HashClient. `point_name` is the other half of those promises: the very text that the
other client hashes for a node. This module knows neither connections nor breakers.
"""

from __future__ import annotations

import math
import struct
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from client.addresses import DEFAULT_PORT, NodeAddress
from client.checking import unknown
from client.murmur import murmur_behind

try:  # CPython's own: OpenSSL, behind hashlib, takes longer to set up than to hash a key
    from _md5 import md5  # type: ignore[import-not-found]
except ImportError:  # a build without it
    from hashlib import md5

POINTS_PER_NODE = 160  # libmemcached's weighted ketama: 40 digests of 4 points
POINTS_PER_DIGEST = 4
MAX_WEIGHT = 1_000  # jump and modulo repeat a node so often; more says no more about hardware
_JUMP_MULTIPLIER = 2_862_933_555_777_941_757  # Lamping and Veach, arXiv:1406.2294
_64_BITS = (1 << 64) - 1
_32_BIT_HASHES = 1 << 32


@dataclass(frozen=True, kw_only=True)
class Ring:
    """One mapping, asked in two ways. Both take the key's bytes.

    `look_up` gives the name of the node. `order` gives every node that can own keys, each once,
    in the order in which they would own this key; the first is what `look_up` gives.
    """

    look_up: Callable[[bytes], str]
    order: Callable[[bytes], Iterator[str]]


def make_ring(kind: str, names: Sequence[str], weights: Mapping[str, int] | None = None) -> Ring:
    """Make the ring of `names`; a name without a weight weighs 1.

    A node's share of the keys is its weight over the sum of them. With `ketama` a weight far below
    the mean gives too few points for that, and below 1/40 of it none at all, as in libmemcached.
    Raises ValueError for no names, one given twice, or a weight that is not 1 to MAX_WEIGHT.
    """
    if not names:
        raise ValueError("a ring needs at least one node")
    if len(set(names)) < len(names):
        raise ValueError("a ring needs different nodes: one is given twice")
    if kind not in _RINGS:
        raise ValueError(unknown("ring", kind, _RINGS))
    weighed = {name: check_weight(name, (weights or {}).get(name, 1)) for name in names}
    return _RINGS[kind](weighed)


def check_weight(name: str, weight: object) -> int:
    """Give a node's weight. Raises ValueError unless it is a whole number from 1 to MAX_WEIGHT."""
    if isinstance(weight, bool) or not isinstance(weight, int) or not 1 <= weight <= MAX_WEIGHT:
        raise ValueError(
            f"weight of node {name} must be a whole number from 1 to {MAX_WEIGHT}, not {weight!r}"
        )
    return weight


def point_name(kind: str, address: NodeAddress) -> str:
    """Give the text that stands for a node in a ring of this kind.

    libmemcached leaves out memcached's usual port and puts 0 behind a unix socket; pymemcache
    hashes the bare path; neither puts brackets round an IPv6 address.
    """
    if kind == "ketama":
        if address.port == DEFAULT_PORT:
            return address.host
        return f"{address.path or address.host}:{address.port}"
    if kind == "rendezvous":
        return address.path or f"{address.host}:{address.port}"
    return address.label


def _ketama(weights: Mapping[str, int]) -> Ring:
    """Consistent hashing: md5 points of `name-index`, as libmemcached places them."""
    owners: dict[int, str] = {}
    total = sum(weights.values())
    for name, weight in weights.items():
        for index in range(_ketama_digests(weight, total, len(weights))):
            digest = _md5(f"{name}-{index}".encode())
            for part in range(POINTS_PER_DIGEST):
                owners[int.from_bytes(digest[part * 4 : part * 4 + 4], "little")] = name
    points = sorted(owners)
    names = [owners[point] for point in points]
    names.append(names[0])  # behind the last point the circle begins again
    count = len(set(names))
    md5_of, from_bytes = md5, int.from_bytes

    def look_up(key: bytes) -> str:
        hashed = from_bytes(md5_of(key, usedforsecurity=False).digest()[:4], "little")
        return names[bisect_left(points, hashed)]

    def order(key: bytes) -> Iterator[str]:
        at = bisect_left(points, int.from_bytes(_md5(key)[:4], "little"))
        seen: set[str] = set()
        while len(seen) < count:
            name = names[at % len(points)]
            at += 1
            if name not in seen:
                seen.add(name)
                yield name

    return Ring(look_up=look_up, order=order)


def _ketama_digests(weight: int, total: int, nodes: int) -> int:
    """Give the number of digests of a node, in libmemcached's own arithmetic.

    It computes the share step by step in 32-bit floats, which gives 39 instead of 40 digests for
    25, 47 or 50 equal nodes; keys are where it puts them, not where they should be.
    """
    share = _float32(weight / total)
    points = _float32(share * POINTS_PER_NODE)
    digests = _float32(_float32(points / POINTS_PER_DIGEST) * nodes)
    return math.floor(_float32(digests + 1e-10))


def _float32(value: float) -> float:
    (rounded,) = struct.unpack("f", struct.pack("f", value))
    return float(rounded)


def _rendezvous(weights: Mapping[str, int]) -> Ring:
    """Highest random weight, with the hash, the text and the ties of pymemcache.

    Unequal weights scale the score as -weight / ln(hash), under which each node wins its share and
    a changed weight moves keys from or to that node alone.
    """
    names = list(weights)
    hashes = murmur_behind([_latin(name) + b"-" for name in names])
    are_equal = len(set(weights.values())) == 1
    scales = list(weights.values())

    def scores(key: bytes) -> list[tuple[float, str]]:
        found = hashes(key)
        if are_equal:
            return list(zip(found, names, strict=True))
        return [
            (-scale / math.log((hashed + 0.5) / _32_BIT_HASHES), name)
            for hashed, scale, name in zip(found, scales, names, strict=True)
        ]

    def look_up(key: bytes) -> str:
        return max(scores(key))[1]  # of equal scores the greater name, as there

    def order(key: bytes) -> Iterator[str]:
        return (name for _, name in sorted(scores(key), reverse=True))

    return Ring(look_up=look_up, order=order)


def _jump(weights: Mapping[str, int]) -> Ring:
    """Jump consistent hash over the nodes in their order: even, but only the last may be added."""
    slots = _slots(weights)
    count = len(slots)

    def look_up(key: bytes) -> str:
        state = int.from_bytes(_md5(key)[:8], "little")
        bucket, jump = -1, 0
        while jump < count:
            bucket = jump
            state = (state * _JUMP_MULTIPLIER + 1) & _64_BITS
            jump = int((bucket + 1) * ((1 << 31) / ((state >> 33) + 1)))
        return slots[bucket]

    return Ring(look_up=look_up, order=_order_by_lot(look_up, slots))


def _modulo(weights: Mapping[str, int]) -> Ring:
    """CRC-32 modulo the number of nodes: the naive way, where one more node moves most keys."""
    slots = _slots(weights)
    count = len(slots)

    def look_up(key: bytes) -> str:
        return slots[zlib.crc32(key) % count]

    return Ring(look_up=look_up, order=_order_by_lot(look_up, slots))


def _slots(weights: Mapping[str, int]) -> list[str]:
    """Repeat each node as often as it weighs: the weighted form of a hash that counts places."""
    return [name for name, weight in weights.items() for _ in range(weight)]


def _order_by_lot(
    look_up: Callable[[bytes], str], slots: Sequence[str]
) -> Callable[[bytes], Iterator[str]]:
    """Draw the nodes behind the first by a second hash, so a lost one's keys spread over all.

    The next one in the list would have to carry all of them.
    """

    def order(key: bytes) -> Iterator[str]:
        name = look_up(key)
        yield name
        rest = [slot for slot in slots if slot != name]
        lot = int.from_bytes(_md5(key)[8:], "little")  # look_up uses the first half at most
        while rest:
            lot, index = divmod(lot, len(rest))
            name = rest[index]
            yield name
            rest = [slot for slot in rest if slot != name]

    return order


def _latin(name: str) -> bytes:
    """Give what pymemcache's hash sees of a text: the low byte of each character."""
    return bytes(ord(character) & 0xFF for character in name)


def _md5(data: bytes) -> bytes:
    digest: bytes = md5(data, usedforsecurity=False).digest()
    return digest


_RINGS: Mapping[str, Callable[[Mapping[str, int]], Ring]] = {
    "ketama": _ketama,
    "rendezvous": _rendezvous,
    "jump": _jump,
    "modulo": _modulo,
}
