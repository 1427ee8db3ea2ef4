"""How many of the latest calls failed or were slow: a sliding window in steps.

The counts of the current step are plain integers, so that the breaker adds a success without a
call. This module has no clock: it is told the time. A time before the current step means that the
clock went back: what was counted before has no place in the window any more and is forgotten.
"""

from __future__ import annotations

from collections import deque


class SlidingWindow:
    """Calls of the last `width_s` seconds, forgotten in `buckets` steps.

    Every call of the last `width_s` less one step is in its totals, and none from before `width_s`.
    """

    __slots__ = (
        "_begun_at",
        "_buckets",
        "_step_s",
        "_steps",
        "calls",
        "ends_at",
        "failures",
        "slow",
    )

    def __init__(self, width_s: float, buckets: int) -> None:
        self._step_s = width_s / buckets
        self._buckets = buckets
        self._steps: deque[tuple[float, int, int, int]] = deque()  # begin, calls, failures, slow
        self._begun_at = 0.0
        self.calls = 0  # of the current step
        self.failures = 0
        self.slow = 0
        self.ends_at = 0.0  # of the current step; 0 when there is none yet

    def roll(self, now: float) -> None:
        """End the current step and begin the next; call when `now` has reached `ends_at`."""
        if self.calls:
            self._steps.append((self._begun_at, self.calls, self.failures, self.slow))
        self.calls = self.failures = self.slow = 0
        self._begun_at = now
        self.ends_at = now + self._step_s
        self._forget(now)

    def add(self, now: float, *, failed: bool = False, slow: bool = False) -> None:
        """Count one call that ended now."""
        self._catch_up(now)
        self.calls += 1
        self.failures += failed
        self.slow += slow

    def totals(self, now: float) -> tuple[int, int, int]:
        """Give (calls, failures, slow calls) of the window that ends now."""
        self._catch_up(now)
        self._forget(now)
        calls, failures, slow = self.calls, self.failures, self.slow
        for _, step_calls, step_failures, step_slow in self._steps:
            calls += step_calls
            failures += step_failures
            slow += step_slow
        return calls, failures, slow

    def clear(self) -> None:
        """Forget everything."""
        self._steps.clear()
        self.calls = self.failures = self.slow = 0
        self._begun_at = self.ends_at = 0.0

    def _catch_up(self, now: float) -> None:
        if now >= self.ends_at:
            self.roll(now)
        elif now < self._begun_at:
            self.clear()
            self.roll(now)

    def _forget(self, now: float) -> None:
        # A step is dropped as soon as its first call may be older than the window.
        oldest = now - self._step_s * self._buckets
        while self._steps and self._steps[0][0] <= oldest:
            self._steps.popleft()
