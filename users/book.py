"""What a single writer knows of its keys: what was acknowledged, and what may have happened.

A write has happened once it is acknowledged. One that failed, was cut off or was never answered may
have happened, and may still happen while its bytes wait somewhere on the way; so its version may be
seen at any time, and proves nothing. Nothing here calls a client or asks a server.

Rule: `begin` comes before the call. Whatever becomes of the call, and of the user that made it, the
book is right: a write that nobody settled is one of unknown end.
"""

from __future__ import annotations

from array import array
from collections import Counter
from typing import NamedTuple

EXPIRY_SLACK_S = 2.0
"""memcached counts whole seconds of a clock of its own: an item may go a second before its time."""

HEAD_BYTES = 128
"""Of a value, kept to compare hits with: a header and some filler, or all of a small one."""

LATEST_KEPT = 256
"""Versions of unknown end kept for a key: a node that is gone for minutes refuses thousands."""

_NO_HEAD = b"\0"  # no value begins like this, so every hit is looked into


class Page(NamedTuple):
    """One key as its writer knows it; times of the writer's clock.

    Hits begin with `head`. Versions below `version` are out of date; below 0 nothing was ever
    acknowledged. `until` is how long the key is certainly there, `since` when that was
    acknowledged.
    """

    head: bytes
    version: int
    until: float
    since: float

    @property
    def is_deleted(self) -> bool:
        """Whether the last thing acknowledged was a delete."""
        return self.head == _NO_HEAD and self.version > 0


class Book:
    """The keys of one writer. `agreed` counts reads that gave the last acknowledged version."""

    def __init__(self, writer: str) -> None:
        self.writer = writer
        self.pages: dict[str, Page] = {}
        self.agreed = 0
        self.writes = 0  # acknowledged
        self._open: dict[str, int] = {}  # key -> version of the write that was begun last
        self._maybe: dict[str, array[int]] = {}  # key -> earlier versions of unknown end
        self._may_vanish: set[str] = set()  # a delete of unknown end, which may come late
        self._refused: dict[str, int] = {}  # key -> version that was certainly not stored
        self.links_stored = 0
        self.links_in_vain: Counter[str] = Counter()  # by key
        self._answered_no: dict[str, Page] = {}  # links: the page that they were to replace
        self._loose: set[str] = set()  # a write was left without an answer: it may come at any time

    def known(self, key: str, version: int, value: bytes, now: float, ttl_s: float) -> None:
        """Enter a key that is known to be there, with this version and value."""
        self.pages[key] = Page(value[:HEAD_BYTES], version, now + ttl_s - EXPIRY_SLACK_S, now)

    def unknown(self, key: str, version: int, value: bytes, now: float) -> None:
        """Enter a key of which nothing is known but that this version was removed again.

        The page takes the memory of one that is written: a run needs no more when every key has
        been written at last, which is after many minutes.
        """
        head = bytes(len(value[:HEAD_BYTES]))  # zeros: no value begins like this
        self.pages[key] = Page(head, -version, now - EXPIRY_SLACK_S, now - EXPIRY_SLACK_S)

    def begin(self, key: str, version: int) -> None:
        """Note that a write of this version is about to be asked for."""
        if key in self._open:
            self._loose.add(key)
            self.undecided(key)
        self._open[key] = version

    def acknowledged(
        self, key: str, version: int, value: bytes, asked_at: float, ttl_s: float
    ) -> None:
        """Note that the write begun last was acknowledged; the TTL counts from `asked_at`."""
        del self._open[key]
        self.writes += 1
        self.known(key, version, value, asked_at, ttl_s)

    def undecided(self, key: str) -> None:
        """Note that the write begun last was answered no, which a retry may have made of a yes.

        Whatever became of it, the key is there.
        """
        maybe = self._maybe.setdefault(key, array("Q"))
        maybe.append(self._open.pop(key))
        del maybe[:-LATEST_KEPT]

    def link_refused(self, key: str) -> None:
        """Note that the link begun last, with a fresh token, was answered no.

        Nobody else writes the key. Where a write of its own may still be on its way, or a retry
        may have met itself, that proves nothing; where the next read shows what was there before,
        the link was refused for no reason.
        """
        if key not in self._loose:
            self._answered_no[key] = self.pages[key]
        self.undecided(key)

    def next_link(self, key: str, value: object) -> None:
        """Take what was read before the next link of a chain, and count one that was in vain."""
        page = self._answered_no.pop(key, None)
        if (
            page is not None
            and self.pages.get(key) is page
            and key not in self._loose
            and key not in self._open
            and type(value) is bytes
            and value.startswith(page.head)
        ):
            self.links_in_vain[key] += 1

    def refused(self, key: str) -> None:
        """Note that the write begun last could not succeed and did not: it must never be seen."""
        self._refused[key] = self._open.pop(key)

    def begin_delete(self, key: str) -> None:
        """Note that a delete is about to be asked for."""
        self._may_vanish.add(key)

    def deleted(self, key: str, version: int, now: float) -> None:
        """Note an acknowledged delete; values before `version` are out of date."""
        self._may_vanish.discard(key)
        self.pages[key] = Page(_NO_HEAD, version, 0.0, now)

    def not_found(self, key: str) -> None:
        """Note that a delete found nothing to remove."""
        self._may_vanish.discard(key)
        page = self.pages[key]
        self.pages[key] = page._replace(until=0.0)

    def lost(self, key: str, page: Page) -> None:
        """Note that what `page` says is not there any more: one loss is told once."""
        if self.pages.get(key) is page:
            self.pages[key] = page._replace(until=0.0)

    def is_there(self, key: str, page: Page, now: float) -> bool:
        """Tell whether the key must be there, with the version of `page`, unless it was lost."""
        return (
            page.until > now
            and self.pages.get(key) is page
            and key not in self._open
            and key not in self._may_vanish
        )

    def may_be_seen(self, key: str, version: int) -> bool:
        """Tell whether a version may be there at any time, because its end is unknown."""
        return self._open.get(key) == version or version in self._maybe.get(key, ())

    def was_refused(self, key: str, version: int) -> bool:
        """Tell whether the client said of this version that it was not stored."""
        return self._refused.get(key) == version
