"""A wall clock that steps, as the code of this process sees it.

Rule: only the reading is changed, so putting it back is exact: the same two functions are in their
places again. Locust's own code goes on seeing the true time, because its tables and its heartbeat
are kept in seconds of the wall clock and would tell of the step instead of the client. What the
interpreter reads by itself (datetime, localtime) and what was bound elsewhere than as a name of a
module keep the true time as well.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

SPARED = ("locust",)  # packages that go on seeing the true time

_TRUE_TIME, _TRUE_TIME_NS = time.time, time.time_ns


def true_time() -> float:
    """Give the system's wall clock, whatever `time.time` says."""
    return _TRUE_TIME()


def shift_s() -> float:
    """Give by how many seconds `time.time` is off the system's clock, as seen here."""
    before = time.clock_gettime(time.CLOCK_REALTIME)
    seen = time.time()
    after = time.clock_gettime(time.CLOCK_REALTIME)
    return seen - (before + after) / 2


class SteppedClock:
    """One step of the wall clock. Not to be nested."""

    def __init__(self, by_s: float) -> None:
        self.by_s = by_s
        self._time = _stepped(_TRUE_TIME, by_s)
        self._time_ns = _stepped(_TRUE_TIME_NS, round(by_s * 1e9))

    @property
    def is_on(self) -> bool:
        """Whether code that asks `time.time` sees the step."""
        return time.time is self._time

    def step(self) -> None:
        """Let everybody but the spared see the step."""
        _swap({_TRUE_TIME: self._time, _TRUE_TIME_NS: self._time_ns})

    def back(self) -> None:
        """Put the true functions back; again is fine."""
        _swap({self._time: _TRUE_TIME, self._time_ns: _TRUE_TIME_NS})


def _stepped(true: Callable[[], Any], by: Any) -> Callable[[], Any]:
    frame_of = sys._getframe

    def stepped() -> Any:
        # The caller's module decides who sees the step.
        asking = frame_of(1).f_globals.get("__name__", "")
        return true() if asking.partition(".")[0] in SPARED else true() + by

    return stepped


def _swap(places: dict[Callable[[], Any], Callable[[], Any]]) -> None:
    """Put one function for another wherever a module has it under a name of its own."""
    for module in list(sys.modules.values()):
        if not isinstance(module, ModuleType) or (names := vars(module)) is globals():
            continue
        for name, value in list(names.items()):
            try:
                other = places.get(value)
            except TypeError:  # a value that cannot be hashed is no function
                continue
            if other is not None:
                names[name] = other
