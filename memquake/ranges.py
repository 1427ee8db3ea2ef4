"""From where to where a quantity may lie that is set in more than one place.

The one table, for options as well as for scenario, suite and plan files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from memquake.units import parse_count, parse_duration, parse_rate, parse_ratio

Number = TypeVar("Number", int, float)


@dataclass(frozen=True, kw_only=True)
class Range(Generic[Number]):
    """What `parse` of memquake.units reads, from `low` to `high`; `what` says what to give."""

    parse: Callable[[Any], Number]
    low: float
    high: float
    what: str

    def read(self, raw: Any) -> Number:
        """Return the quantity. Raises ValueError, in one line that says what to give."""
        try:
            value = self.parse(raw)
        except ValueError as why:
            raise ValueError(f"{why}: give {self.what}") from None
        if not self.low <= value <= self.high:
            raise ValueError(f"{raw} is out of range: give {self.what}")
        return value


USERS = Range(  # each is a greenlet with keys of its own
    parse=parse_count, low=1, high=100_000, what="1 to 100000 users"
)
TARGET_RATE = Range(
    parse=parse_rate, low=0, high=1e7, what="iterations a second, 0 for closed loop"
)
SEED = Range(parse=parse_count, low=0, high=2**63, what="a whole number from 0 to 2^63")
TIME_SCALE = Range(parse=parse_ratio, low=1e-6, high=1000, what="a factor above 0, such as 0.3")
TIMEOUT = Range(parse=parse_duration, low=0.001, high=600, what="a duration from 1ms to 600s")
