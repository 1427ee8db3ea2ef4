"""Presses on a node's memory: stores values of our own until the node evicts, and then some more.

A lowered limit alone evicts nothing: memcached gives no page back, it only takes no new ones. So
large values fill what pages are left, and small ones the free chunks of those slab classes that
the load uses; after that every new value of ours or of the load evicts another. Our keys have a
prefix of their own, are deleted at the end and expire by themselves where nobody lives to do it.
"""

from __future__ import annotations

import os
import time
from typing import Any

from faults.helpers.link import Link

BALLAST_BYTES = 16_000
MOST_FILLERS = 20_000  # in one class; a page holds 10,922 of the smallest chunks
AT_ONCE = 1_000  # commands in one write
RATE = 400.0  # new values a second, over all classes, once the node evicts
STEP_S = 0.02
LOOK_EVERY_S = 1.0  # at which classes the load uses
TTL_MARGIN_S = 10
ITEM_BYTES = 60  # header, cas and ends of one item
SYNC = b"version\r\n"


class Press:
    """New values on one node until the end."""

    def __init__(self, host: str, port: int, lasts_s: float, mark: str) -> None:
        self._link = Link(host, port)
        self._ttl = int(lasts_s) + TTL_MARGIN_S
        self._mark = mark.encode()  # a key that must not be evicted: what is read often is not
        self._prefix = f"memquake-press:{os.getpid()}"
        self._stored: dict[int, int] = {}  # size of the value -> keys stored so far
        self._fillers: dict[int, int] = {}  # size of the value -> values still to store
        self._before = 0
        self._looked = self._worked = 0.0
        self._credit = 0.0

    def begin(self) -> None:
        """Count the free pages and chunks."""
        stats, slabs = self._link.numbers(), self._link.numbers("slabs")
        self._before = stats["evictions"]
        free = stats["limit_maxbytes"] - slabs.get("total_malloced", 0)
        self._fillers = {BALLAST_BYTES: max(0, free) // BALLAST_BYTES + 1}
        for number, size in self._classes(slabs).items():
            empty = slabs.get(f"{number}:free_chunks", 0) + 1
            self._fillers[size] = min(MOST_FILLERS, empty)
        for _ in range(2):
            self._link.ask(b"get %s\r\n" % self._mark)
        self._looked = self._worked = time.monotonic()

    def step(self) -> float:
        """Fill, in bites; when that is done go on slowly."""
        for size, left in self._fillers.items():
            if left > 0:
                count = min(left, max(1, AT_ONCE * 100 // max(100, size)))
                self._store(size, count)
                self._fillers[size] = left - count
                self._worked = time.monotonic()
                return 0.0
        now = time.monotonic()
        if now - self._looked > LOOK_EVERY_S:
            self._looked = now
            self._link.ask(b"get %s\r\n" % self._mark)
            for size in self._classes(self._link.numbers("slabs")).values():
                self._fillers.setdefault(size, 0)
        self._credit = min(self._credit + (now - self._worked) * RATE, RATE)
        self._worked = now
        each = int(self._credit / len(self._fillers))
        for size in self._fillers if each else ():
            self._store(size, each)
            self._credit -= each
        return STEP_S

    def report(self) -> dict[str, Any]:
        """Give values stored, slab classes they went to, and the node's evictions since then."""
        return {
            "stored": sum(self._stored.values()),
            "classes": len(self._stored),
            "filling": any(self._fillers.values()),
            "evictions": self._link.numbers()["evictions"] - self._before,
        }

    def end(self) -> None:
        """Delete what is ours; what was evicted meanwhile is not there, and that is fine."""
        for size, count in self._stored.items():
            for first in range(0, count, AT_ONCE):
                numbers = range(first, min(count, first + AT_ONCE))
                keys = (self._key(size, number) for number in numbers)
                self._link.send(b"".join(b"delete %s noreply\r\n" % key for key in keys))
        self._link.ask(SYNC, (b"\r\n",))
        self._link.close()

    def _classes(self, slabs: dict[str, int]) -> dict[int, int]:
        """Give slab class -> size of a value of ours that goes there, for those in use."""
        found = {}
        for name, value in slabs.items():
            number, _, what = name.partition(":")
            if what == "chunk_size" and slabs.get(f"{number}:used_chunks", 0) > 0:
                size = value - ITEM_BYTES - len(self._key(value, 0))
                if 0 < size < BALLAST_BYTES:
                    found[int(number)] = size
        return found

    def _key(self, size: int, number: int) -> bytes:
        return f"{self._prefix}:{size:05}:{number:07}".encode()

    def _store(self, size: int, count: int) -> None:
        first = self._stored.get(size, 0)
        tail = b" 0 %d %d noreply\r\n%s\r\n" % (self._ttl, size, b"x" * size)
        keys = (self._key(size, number) for number in range(first, first + count))
        self._link.send_each(b"set %s%s" % (key, tail) for key in keys)
        self._link.ask(SYNC, (b"\r\n",))
        self._stored[size] = first + count
