"""How far a worker's monotonic clock is from the master's.

Monotonic clocks begin anywhere, so each worker asks the master for its time. The answer was given
somewhere between question and arrival; taking the middle is wrong by at most half the round trip.
Its rule: of the last answers the one with the shortest round trip counts, because it says most.
Pure arithmetic: it neither sends nor waits.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

KEPT_ANSWERS = 12
"""A minute at one answer every 5 s: old enough to hold a quick one, young enough for drift."""

ASKED_AT_MOST = 50


@dataclass(frozen=True, slots=True)
class ClockAnswer:
    """One comparison: master's time minus ours, wrong by at most `error_s`."""

    offset_s: float
    error_s: float


class ClockEstimate:
    """Offset to the master's clock: `theirs ~= ours + offset_s`, off by at most `error_s`."""

    def __init__(self) -> None:
        self._answers: deque[ClockAnswer] = deque(maxlen=KEPT_ANSWERS)
        self._asked: deque[float] = deque(maxlen=ASKED_AT_MOST)
        self._best: ClockAnswer | None = None

    @property
    def answers(self) -> int:
        """How many answers are kept."""
        return len(self._answers)

    @property
    def offset_s(self) -> float:
        """Seconds to add to our clock to get the master's; 0 before the first answer."""
        return self._best.offset_s if self._best else 0.0

    @property
    def error_s(self) -> float:
        """Bound of the error in seconds; infinite before the first answer."""
        return self._best.error_s if self._best else math.inf

    def asked(self, at: float) -> None:
        """Note that a question was sent at `at`, our time."""
        self._asked.append(at)

    def answered(self, asked_at: float, theirs: float, arrived_at: float) -> bool:
        """Take an answer. False when it belongs to no open question (doubled or foreign)."""
        if asked_at not in self._asked or arrived_at < asked_at:
            return False
        self._asked.remove(asked_at)
        half = (arrived_at - asked_at) / 2
        self._answers.append(ClockAnswer(theirs - (asked_at + half), half))
        self._best = min(self._answers, key=lambda answer: answer.error_s)
        return True
