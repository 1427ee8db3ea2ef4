"""Deadlines of everybody who waits on one hub, kept by a single timer.

A timer for each call would cost as much as the rest of the waiting. All calls last about as long as
each other, so the earliest deadline lies nearly always a whole op_timeout ahead: one timer, set to
a time at or before it, fires a few times a second. It knows connections by what they say of
themselves: `waiter`, the greenlet inside, and `deadline`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

TIMED_OUT = object()  # what a wait gives back when its deadline ended it


class Watchdog:
    """Ends the waits of one hub that have passed their deadline, with a single timer.

    The timer is set to a time at or before the earliest deadline; when it fires too early it is
    set again. It also keeps the hub alive while somebody waits.
    """

    def __init__(self, hub: Any, clock: Callable[[], float]) -> None:
        self._loop = hub.loop
        self._clock = clock
        self._timer: Any = None
        self.next_at = math.inf
        self.connections: WeakSet[Any] = WeakSet()

    def arm(self, deadline: float) -> None:
        """Make sure of a look at `deadline`."""
        if self._timer is not None:
            self._timer.stop()
        self.next_at = deadline
        delay = max(deadline - self._clock(), 0.0)
        self._timer = self._loop.timer(delay)
        self._timer.start(self._look, update=True)

    def _look(self) -> None:
        self._timer = None
        self.next_at = math.inf
        now = self._clock()
        for connection in list(self.connections):
            if connection.waiter is not None and connection.deadline <= now:
                connection.waiter.switch(TIMED_OUT)
        earliest = min(
            (c.deadline for c in list(self.connections) if c.waiter is not None), default=math.inf
        )
        if earliest < self.next_at:
            self.arm(earliest)


# By the clock as well: a time of one clock says nothing on another.
_watchdogs: WeakKeyDictionary[Any, dict[Callable[[], float], Watchdog]] = WeakKeyDictionary()


def watchdog_of(hub: Any, clock: Callable[[], float]) -> Watchdog:
    """Give the one watchdog of a hub and a clock."""
    dogs = _watchdogs.setdefault(hub, {})
    dog = dogs.get(clock)
    if dog is None:
        dog = dogs[clock] = Watchdog(hub, clock)
    return dog
