"""What a counter of a single writer may be: exact bounds around calls nobody knows the end of.

Every step of the writer either was acknowledged, and the answer says what the counter became, or
its end is unknown: then it may have happened, may happen later, and happens once at most. So a
counter lies between what was acknowledged and that plus the steps of unknown end. What an answer
shows to have happened is not pending any more.

A counter that is gone begins again in a range of numbers of its own. So a number tells which of
them it belongs to: one that a node has kept, while the client counted on another node, is told from
a step that was made twice.

Rule: one wrong step is one finding. After it the counter goes on from what was seen.
"""

from __future__ import annotations

from dataclasses import dataclass, field

SPAN = 1_000_000
"""Numbers of one beginning; nobody moves a counter more often in a run."""

BEGINNINGS = 900
"""Counters that go down begin at a thousand times the span, and not below nothing."""


@dataclass(slots=True)
class _Line:
    """One beginning of a counter: the value known last, and how far steps may still move it."""

    value: int
    pending: int


@dataclass(slots=True)
class Bounds:
    """One counter that only its writer moves, and only in one direction (`sign`), from `value` on.

    `pending` is how far steps of unknown end may still move it. `older` counts how often the
    counter of an earlier beginning was met again.
    """

    value: int | None
    sign: int = 1
    pending: int = 0
    older: int = 0
    _start: int = field(init=False)
    _lines: dict[int, _Line] = field(init=False)  # by the number of the beginning
    _current: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._start = self.value or 0
        self._lines = {0: _Line(self._start, self.pending)}

    def begin(self, by: int = 1) -> None:
        """Note that a step is about to be asked for: until it is answered it may happen."""
        self.pending += by
        for line in self._lines.values():
            line.pending += by

    def answered(self, result: int, by: int = 1) -> str:
        """Take the answer to a step that was begun; what is wrong with it, "" when it is right."""
        self.pending -= by
        for line in self._lines.values():
            line.pending -= by
        return self._take(result, by)

    def seen(self, value: int) -> str:
        """Take what a reader found; what is wrong with it, "" when it is right."""
        return self._take(value, 0)

    def is_current(self, value: int) -> bool:
        """Tell whether a number belongs to the newest beginning known to have happened."""
        return self._number_of(value) == self._current

    def begin_again(self) -> int:
        """Note that the counter was not found, and return the number at which it may begin again.

        Until `restarted` or `denied` says what became of that, nobody knows its value.
        """
        number = min(max(self._lines) + 1, BEGINNINGS)
        start = self._start + self.sign * number * SPAN
        self._lines[number] = _Line(start, self.pending)
        self.value = None
        return start

    def restarted(self) -> None:
        """Note that the new beginning was acknowledged."""
        self._current = max(self._lines)
        self.value = self._lines[self._current].value

    def denied(self) -> None:
        """Note that there was a counter all the same: as known, or begun by a retry of the same."""
        self.value = self._lines[self._current].value

    def _number_of(self, value: int) -> int:
        # A client that took no note of the numbers has none of the earlier counters either.
        number = self.sign * (value - self._start) // SPAN
        return number if number in self._lines else self._current

    def _take(self, result: int, by: int) -> str:
        number = self._number_of(result)
        line = self._lines[number]
        known, line.value, self.value = line.value, result, result
        self.older += number < self._current
        self._current = number
        surplus = self.sign * (result - known) - by
        if 0 <= surplus <= line.pending:
            line.pending -= surplus
            self.pending = min(self.pending, max(each.pending for each in self._lines.values()))
            return ""
        near, far = known + self.sign * by, known + self.sign * (by + line.pending)
        low, high = min(near, far), max(near, far)
        bounds = f"{low}" if low == high else f"{low} to {high}"
        words = "steps are missing" if surplus < 0 else "more steps than were asked for"
        return f"{result} where {bounds} is due: {words}"
