"""Which node a key lives on: pure functions of the node names and the key's bytes.

The mapping depends on nothing else: not on which nodes are up, not on the order of events, so a
node that is lost and found again has the same keys. `Memo` makes the answer cost one dictionary
look-up. This module knows neither connections nor breakers.
"""

from __future__ import annotations

import hashlib
import zlib
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from pymemcache.client.rendezvous import RendezvousHash

POINTS_PER_NODE = 160  # libmemcached's weighted ketama: 40 digests of 4 points
POINTS_PER_DIGEST = 4
MEMO_KEYS = 65_536  # about 15 MB of keys and answers; beyond, the half least lately added goes
_JUMP_MULTIPLIER = 2_862_933_555_777_941_757  # Lamping and Veach, arXiv:1406.2294
_64_BITS = (1 << 64) - 1

Lookup = Callable[[bytes], str]

Answer = TypeVar("Answer")


def make_ring(kind: str, nodes: Sequence[str]) -> Lookup:
    """Give the function from a key's bytes to one of `nodes`. Raises ValueError for no nodes."""
    if not nodes:
        raise ValueError("a ring needs at least one node")
    return _RINGS[kind](tuple(nodes))


def _ketama(nodes: tuple[str, ...]) -> Lookup:
    """Consistent hashing, md5 points of `node-index` as libmemcached and uhashring place them."""
    owners: dict[int, str] = {}
    for node in nodes:
        for index in range(POINTS_PER_NODE // POINTS_PER_DIGEST):
            digest = _md5(f"{node}-{index}".encode())
            for part in range(POINTS_PER_DIGEST):
                owners[int.from_bytes(digest[part * 4 : part * 4 + 4], "little")] = node
    points = sorted(owners)
    names = [owners[point] for point in points]
    names.append(names[0])  # behind the last point the circle begins again

    def look_up(key: bytes) -> str:
        return names[bisect_left(points, int.from_bytes(_md5(key)[:4], "little"))]

    return look_up


def _rendezvous(nodes: tuple[str, ...]) -> Lookup:
    """Highest random weight, with pymemcache's own hash: the mapping of its HashClient."""
    hasher = RendezvousHash(nodes=list(nodes))

    def look_up(key: bytes) -> str:
        return str(hasher.get_node(key.decode("latin-1")))

    return look_up


def _jump(nodes: tuple[str, ...]) -> Lookup:
    """Jump consistent hash over the nodes in their order: even, but only the last may be added."""
    count = len(nodes)

    def look_up(key: bytes) -> str:
        state = int.from_bytes(_md5(key)[:8], "little")
        bucket, jump = -1, 0
        while jump < count:
            bucket = jump
            state = (state * _JUMP_MULTIPLIER + 1) & _64_BITS
            jump = int((bucket + 1) * ((1 << 31) / ((state >> 33) + 1)))
        return nodes[bucket]

    return look_up


def _modulo(nodes: tuple[str, ...]) -> Lookup:
    """CRC-32 modulo the number of nodes: the naive way, where one more node moves most keys."""
    count = len(nodes)
    return lambda key: nodes[zlib.crc32(key) % count]


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


_RINGS: dict[str, Callable[[tuple[str, ...]], Lookup]] = {
    "ketama": _ketama,
    "rendezvous": _rendezvous,
    "jump": _jump,
    "modulo": _modulo,
}


class Memo(dict[Any, Answer], Generic[Answer]):
    """Remember a function's answers, at most `limit` of them: `memo[key]`.

    When it is full the younger half is kept aside and the rest forgotten: keys in use come back
    from there at the cost of a second look-up, and no call pays for an eviction by itself.
    """

    __slots__ = ("_compute", "_half", "_older")

    def __init__(self, compute: Callable[[Any], Answer], limit: int = MEMO_KEYS) -> None:
        super().__init__()
        self._compute = compute
        self._half = max(limit // 2, 1)
        self._older: dict[Any, Answer] = {}

    def __missing__(self, key: Any) -> Answer:
        if len(self) >= self._half:
            self._older = dict(self)
            self.clear()
        older = self._older
        answer = self[key] = older[key] if key in older else self._compute(key)
        return answer
