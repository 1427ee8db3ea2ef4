"""How many of the latest calls failed: a sliding window in steps.

The count of the current step is two plain integers, so that the breaker adds a success without a
call. This module has no clock: it is told the time.
"""

from __future__ import annotations

from collections import deque


class SlidingWindow:
    """Calls and failures of the last `width_s` seconds, forgotten in `buckets` steps."""

    __slots__ = ("_buckets", "_closed", "_step_s", "calls", "ends_at", "failures")

    def __init__(self, width_s: float, buckets: int) -> None:
        self._step_s = width_s / buckets
        self._buckets = buckets
        self._closed: deque[tuple[float, int, int]] = deque()  # end, calls, failures
        self.calls = 0  # of the current step
        self.failures = 0
        self.ends_at = 0.0

    def roll(self, now: float) -> None:
        """End the current step; call when `now` has reached `ends_at`."""
        if self.calls:
            self._closed.append((self.ends_at, self.calls, self.failures))
        self.calls = self.failures = 0
        self.ends_at = now + self._step_s
        self._forget(now)

    def totals(self, now: float) -> tuple[int, int]:
        """Give (calls, failures) of the window that ends now."""
        if now >= self.ends_at:
            self.roll(now)
        self._forget(now)
        calls = self.calls + sum(entry[1] for entry in self._closed)
        failures = self.failures + sum(entry[2] for entry in self._closed)
        return calls, failures

    def clear(self) -> None:
        """Forget everything."""
        self._closed.clear()
        self.calls = self.failures = 0
        self.ends_at = 0.0

    def _forget(self, now: float) -> None:
        # A step is dropped when it began a whole window ago: then its last call is older than
        # the window less one step.
        oldest = now - self._step_s * (self._buckets - 1)
        while self._closed and self._closed[0][0] <= oldest:
            self._closed.popleft()
