"""Exactly-once delivery of numbered reports over messages that may be lost, doubled or reordered.

The sender keeps each report until it is acknowledged and repeats it; the receiver applies each
number once and in order and acknowledges the highest it has without a gap. Together they lose
nothing and count nothing twice while either side lives. Pure: no messages, no clock of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Report = Mapping[str, Any]

RESEND_AFTER_S = 2.0
"""An acknowledgement takes milliseconds; two reports later it is missing."""

RESENT_AT_MOST = 8
"""Unanswered reports repeated at once, the oldest first. While the master cannot be reached, what
is sent waits in the socket's queue, and a full queue ends Locust's own heartbeats."""

HELD_AT_MOST = 600
"""Reports held while one before them is missing. Others are not acknowledged, so they return."""


@dataclass(slots=True)
class _Pending:
    report: Report
    sent_at: float | None = None


class Outbox:
    """The sender's half: reports numbered from 1, kept until acknowledged."""

    def __init__(
        self, clock: Callable[[], float], *, resend_after_s: float = RESEND_AFTER_S
    ) -> None:
        self._clock = clock
        self._resend_after_s = resend_after_s
        self._pending: dict[int, _Pending] = {}  # in order of their numbers
        self._last = 0

    @property
    def last(self) -> int:
        """Number of the newest report."""
        return self._last

    @property
    def is_empty(self) -> bool:
        """Whether everything put was acknowledged."""
        return not self._pending

    def put(self, report: Report) -> int:
        """Keep a report for delivery. Give its number."""
        self._last += 1
        self._pending[self._last] = _Pending(report)
        return self._last

    def acknowledge(self, number: int) -> None:
        """Forget all reports up to `number`."""
        for done in [pending for pending in self._pending if pending <= number]:
            del self._pending[done]

    def due(self, *, resend: bool = False) -> list[tuple[int, Report]]:
        """Give what to send now, in order: new reports, and the oldest when an answer is overdue.

        With `resend` all of them.
        """
        now = self._clock()
        chosen: list[tuple[int, Report]] = []
        again = len(self._pending) if resend else self._overdue(now)
        for number, pending in self._pending.items():
            if pending.sent_at is None or again > 0:
                again -= 1
                pending.sent_at = now
                chosen.append((number, pending.report))
        return chosen

    def _overdue(self, now: float) -> int:
        """Give how many of the oldest are to be repeated."""
        oldest = next(iter(self._pending.values()), None)
        if oldest is None or oldest.sent_at is None:
            return 0
        return RESENT_AT_MOST if now - oldest.sent_at >= self._resend_after_s else 0


class Inbox:
    """The receiver's half, one for each sender."""

    def __init__(self) -> None:
        self.applied = 0  # highest number of an unbroken row from 1
        self._held: dict[int, Report] = {}

    def accept(self, number: int, report: Report) -> list[Report]:
        """Take a report that arrived. Give those whose turn it now is, in order."""
        if number <= self.applied or number in self._held:
            return []
        if number > self.applied + 1 and len(self._held) >= HELD_AT_MOST:
            return []
        self._held[number] = report
        ready = []
        while self.applied + 1 in self._held:
            self.applied += 1
            ready.append(self._held.pop(self.applied))
        return ready
