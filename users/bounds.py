"""What a counter of a single writer may be: exact bounds around calls nobody knows the end of.

Every step of the writer either was acknowledged, and the answer says what the counter became, or
its end is unknown: then it may have happened, may happen later, and happens once at most. So a
counter lies between what was acknowledged and that plus the steps of unknown end. What an answer
shows to have happened is not pending any more.

Rule: one wrong step is one finding. After it the counter goes on from what was seen.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Bounds:
    """One counter that only its writer moves, and only in one direction (`sign`).

    `value` is the last one known, None when nobody knows it; `pending` is how far steps of
    unknown end may still move it.
    """

    value: int | None
    sign: int = 1
    pending: int = 0

    def begin(self, by: int = 1) -> None:
        """Note that a step is about to be asked for: until it is answered it may happen."""
        self.pending += by

    def answered(self, result: int, by: int = 1) -> str:
        """Take the answer to a step that was begun; what is wrong with it, "" when it is right."""
        self.pending -= by
        return self._take(result, by)

    def seen(self, value: int) -> str:
        """Take what a reader found; what is wrong with it, "" when it is right."""
        return self._take(value, 0)

    def restarted(self, value: int) -> None:
        """Note that the counter was gone and began again at `value`."""
        self.value = value

    def forget(self) -> int | None:
        """Note that the counter may have begun again, or not. Gives the value known until now."""
        known, self.value = self.value, None
        return known

    def _take(self, result: int, by: int) -> str:
        known, self.value = self.value, result
        if known is None:
            return ""
        moved = self.sign * (result - known)
        surplus = moved - by
        if 0 <= surplus <= self.pending:
            self.pending -= surplus
            return ""
        near, far = known + self.sign * by, known + self.sign * (by + self.pending)
        low, high = min(near, far), max(near, far)
        bounds = f"{low}" if low == high else f"{low} to {high}"
        words = "steps are missing" if surplus < 0 else "more steps than were asked for"
        return f"{result} where {bounds} is due: {words}"
