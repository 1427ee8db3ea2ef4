"""When the iterations of one user class should start: one schedule for all of its users.

A schedule is a stream of intended starts ("slots"). Whichever user is idle takes the next one, so
a user that waits on a dead node delays nobody else, and the number of users is the limit of calls
in flight. Slots are a matter of arithmetic: this module sleeps never and calls the clock only where
a caller gives no time. Times are seconds of the local monotonic clock.

Rule: no slot is lost or repeated. A slot is taken once, or given up as too long overdue and counted
as dropped. A change of rate stretches or squeezes what lies ahead and leaves what is overdue as it
was; so gaps are drawn in expected slots (1.0 for even arrivals) and turned into seconds by the rate
in force.
"""

from __future__ import annotations

import math
import random
import time
from bisect import bisect_right, insort
from collections import Counter, deque
from collections.abc import Callable
from typing import NamedTuple

Arrivals = Callable[[], float]
"""Gives the next gap between slots, in expected slots: a stream of mean 1.0."""

MAX_OVERDUE_S = 10.0
"""Slots later than this are given up: a longer queue would keep a healed run busy with the past."""

LOOKAHEAD_S = 0.5
"""How early a slot may be taken. Further ahead, sleeping users would hold on to slots planned for
a rate that no longer holds, and nobody would be left for the new ones."""

RECHECK_S = 0.25
"""How long an idle user that got no slot may sleep: below LOOKAHEAD_S, so that no slot comes due
while every idle user sleeps."""


class Counts(NamedTuple):
    """What one second came to. `at` lies in the middle of the second, local clock."""

    at: float
    planned: int
    dropped: int


def even() -> float:
    """Give evenly spaced arrivals."""
    return 1.0


def poisson(rng: random.Random) -> Arrivals:
    """Give arrivals that are independent of each other, as those of many strangers are."""
    return lambda: rng.expovariate(1.0)


class Schedule:
    """The intended starts of one user class in one worker. `rate` is in slots a second."""

    def __init__(
        self,
        rate: float,
        clock: Callable[[], float] = time.monotonic,
        *,
        arrivals: Arrivals = even,
        max_overdue_s: float = MAX_OVERDUE_S,
    ) -> None:
        self.rate = _valid(rate)  # in force now
        self._clock = clock
        self._arrivals = arrivals
        self._max_overdue_s = max_overdue_s
        self._anchor = 0.0
        self._position = 0.0  # the last slot passed, or a change of rate after it
        self._work = 0.0  # expected slots between `_position` and the next slot
        self._rate_there = self.rate  # rate in force at `_position`
        self._changes: deque[tuple[float, float]] = deque()  # later (time, rate), in order
        self._due: float | None = None  # the next slot; None: never at the rates known
        self._end = math.inf  # nothing is planned after this
        self._waiting: deque[float] = deque()  # slots passed and not taken, in order
        self._passed: deque[float] = deque()  # slots passed and not yet counted as planned
        self._dropped: dict[int, int] = {}

    def start(self, at: float) -> None:
        """Put the first slot at `at`; seconds are counted from there."""
        self._anchor = self._position = at
        self._find()

    def set_rate(self, rate: float, now: float) -> None:
        """Use another rate from `now` on. Overdue slots keep their times, later ones move."""
        rate = _valid(rate)
        if rate == self.rate:
            return
        self.rate = rate
        if self._due is not None and self._due <= now:
            latest = self._changes[-1][0] if self._changes else now
            self._changes.append((max(now, latest), rate))
            return
        # What is left until the next slot, in slots, is what the new rate has to work off. Slots
        # taken ahead keep their times, so the next one may come to lie before them.
        if self._due is not None:
            self._work = (self._due - now) * self._rate_there
        self._position = now
        self._rate_there = rate
        self._find()

    def stop(self, at: float) -> None:
        """Hand out nothing more; slots intended after `at` were never planned."""
        self._end = min(self._end, at)

    def take(self, now: float) -> float | None:
        """Give the next slot to a user that is idle `now`; None when there is none yet.

        A slot may lie in the future, by LOOKAHEAD_S at most: sleep until then. It may lie in the
        past: start at once. After None, ask again within RECHECK_S.
        """
        if now >= self._end:
            return None
        while (slot := self._next(now + LOOKAHEAD_S)) is not None:
            if now - slot <= self._max_overdue_s:
                return slot
            self._drop(now)
        return None

    def _next(self, until: float) -> float | None:
        """Remove and give the earliest slot up to `until`: one that waits, or the one due."""
        due, waiting = self._due, self._waiting
        if waiting and (due is None or waiting[0] <= due):
            return waiting.popleft()
        if due is None or due > until:
            return None
        self._pass(due)
        return due

    def put_back(self, slot: float) -> None:
        """Return a slot that its taker could not use; the next idle user gets it."""
        _insert(self._waiting, slot)

    def backlog(self, now: float | None = None) -> int:
        """Count the slots that are due and that nobody has taken."""
        now = min(self._clock() if now is None else now, self._end)
        self._queue_due(now)
        return bisect_right(self._waiting, now)

    def drain(self, now: float | None = None) -> list[Counts]:
        """Give the counts that came up since the last drain, a row for each second touched.

        `planned` counts every slot whose time has come, taken or not, in the second of its
        intended start; `dropped` belongs to the second in which the slot was given up. Rows of
        one second from several drains add up.
        """
        now = min(self._clock() if now is None else now, self._end)
        self._queue_due(now)
        while self._waiting and now - self._waiting[0] > self._max_overdue_s:
            self._waiting.popleft()
            self._drop(now)
        planned: Counter[int] = Counter()
        while self._passed and self._passed[0] <= now:
            planned[math.floor(self._passed.popleft() - self._anchor)] += 1
        dropped, self._dropped = self._dropped, {}
        return [
            Counts(self._anchor + second + 0.5, planned[second], dropped.get(second, 0))
            for second in sorted(planned.keys() | dropped.keys())
        ]

    def _queue_due(self, now: float) -> None:
        while (due := self._due) is not None and due <= now:
            self._pass(due)
            _insert(self._waiting, due)

    def _pass(self, due: float) -> None:
        """Leave the slot at `due` behind and find the one after it."""
        _insert(self._passed, due)
        self._position = due
        self._work = self._arrivals()
        self._find()

    def _find(self) -> None:
        """Walk from `_position` through the changes of rate until `_work` is used up.

        `_position` and `_work` stay behind the slot found, so that a change of rate before it
        can send the search on from there.
        """
        changes = self._changes
        while True:
            rate = self._rate_there
            due = self._position + self._work / rate if rate > 0 else math.inf
            if not changes or due <= changes[0][0]:
                self._due = due if due < math.inf else None
                return
            at, self._rate_there = changes.popleft()
            self._work = max(0.0, self._work - (at - self._position) * rate)
            self._position = at

    def _drop(self, now: float) -> None:
        second = math.floor(now - self._anchor)
        self._dropped[second] = self._dropped.get(second, 0) + 1


def _insert(slots: deque[float], slot: float) -> None:
    """Keep the slots in order; nearly always the new one is the last."""
    if slots and slot < slots[-1]:
        insort(slots, slot)
    else:
        slots.append(slot)


def _valid(rate: float) -> float:
    if not math.isfinite(rate) or rate < 0:
        raise ValueError(f"a rate is 0 or more slots a second, not {rate}")
    return rate
