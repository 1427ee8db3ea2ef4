"""How much memory items take in a memcached: its slab classes, as its own settings make them.

Memory comes in pages, each cut into chunks of one size; an item takes the smallest chunk that holds
it, and a page that is begun is taken whole. The arithmetic is that of `slabs_init` and
`do_item_alloc` (memcached 1.4.33 to 1.6). Asks nobody.
"""

from __future__ import annotations

import bisect
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

PAGE_BYTES = 1024 * 1024
ALIGNED_TO = 8
MOST_CLASSES = 63
ITEM_HEAD = 48  # sizeof(item), 64 bits
CAS_BYTES = 8
FLAGS_BYTES = 4  # at the most: none are kept for an item with flags 0
LINE_END = 2  # kept behind the value
CHUNK_HEAD = 48  # sizeof(item_chunk), of each piece of an item larger than the largest chunk


@dataclass(frozen=True, kw_only=True)
class Items:
    """So many items of one size: bytes of a key and of a value."""

    count: float
    key: int
    value: int


@dataclass(frozen=True, kw_only=True)
class Slabs:
    """A memcached's memory: the defaults are those of the program."""

    limit_bytes: int
    most_item_bytes: int = PAGE_BYTES
    most_chunk_bytes: int = PAGE_BYTES // 2
    least_chunk_bytes: int = 48
    growth: float = 1.25
    has_cas: bool = True
    may_evict: bool = True

    @classmethod
    def of(cls, settings: Mapping[str, str]) -> Slabs | None:
        """Return what `stats settings` tells, None where it lacks a number."""
        try:
            return cls(
                limit_bytes=int(settings["maxbytes"]),
                most_item_bytes=int(settings["item_size_max"]),
                most_chunk_bytes=int(settings.get("slab_chunk_max", settings["item_size_max"])),
                least_chunk_bytes=int(settings["chunk_size"]),
                growth=float(settings["growth_factor"]),
                has_cas=settings.get("cas_enabled", "yes") == "yes",
                may_evict=settings.get("evictions", "on") == "on",
            )
        except (KeyError, ValueError):
            return None

    @cached_property
    def chunks(self) -> tuple[int, ...]:
        """The chunk sizes, rising."""
        sizes: list[int] = []
        size = ITEM_HEAD + self.least_chunk_bytes
        while self.growth > 1 and size < self.most_chunk_bytes / self.growth:
            size += -size % ALIGNED_TO
            sizes.append(size)
            if len(sizes) == MOST_CLASSES - 1:
                break
            size = int(size * self.growth)
        return (*sizes, self.most_chunk_bytes)

    @property
    def page_bytes(self) -> int:
        """Bytes of a page; with `-I` above 1 MB and no chunked items a page grows with it."""
        return max(PAGE_BYTES, self.most_chunk_bytes)

    def item_bytes(self, key: int, value: int) -> int:
        """Return what one item takes without the rest of its chunk."""
        return ITEM_HEAD + CAS_BYTES * self.has_cas + key + 1 + value + LINE_END

    def takes(self, key: int, value: int) -> bool:
        """Tell whether an item is not larger than the server allows."""
        return self.item_bytes(key, value) <= self.most_item_bytes

    def bytes_for(self, items: Iterable[Items]) -> int:
        """Return the memory that so many items take together, in whole pages."""
        needed: Counter[int] = Counter()
        for some in items:
            for chunk, times in self._chunks_of(self.item_bytes(some.key, some.value)).items():
                needed[chunk] += math.ceil(times * some.count)
        pages = sum(math.ceil(n / (self.page_bytes // chunk)) for chunk, n in needed.items())
        return pages * self.page_bytes

    def _chunks_of(self, size: int) -> Counter[int]:
        """Return the chunks of one item: one, or a head and pieces."""
        if size <= self.most_chunk_bytes:
            return Counter([self._fitting(size)])
        piece = self.most_chunk_bytes - CHUNK_HEAD
        whole, rest = divmod(size, piece)
        found = Counter({self.most_chunk_bytes: whole})
        found[self._fitting(ITEM_HEAD + CHUNK_HEAD + rest)] += 1
        return found

    def _fitting(self, size: int) -> int:
        at = bisect.bisect_left(self.chunks, size)
        return self.chunks[min(at, len(self.chunks) - 1)]
