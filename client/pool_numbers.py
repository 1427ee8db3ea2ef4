"""What a pool has done so far: connections made and closed, and how long callers had to wait.

Only slow events are counted (a connect, a close, a wait), so a call that finds an idle connection
pays nothing. The pool's lock guards all of it; nothing here locks, waits or reads a clock.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

LAST_BUCKET = 40  # 2**40 us is twelve days: no wait is longer


class PoolNumbers:
    """Counts since the pool was made."""

    __slots__ = ("closed", "created", "timed_out", "waits")

    def __init__(self) -> None:
        self.created = 0
        self.closed: Counter[str] = Counter()  # by reason
        self.timed_out = 0  # callers that got nothing before their deadline
        self.waits: Counter[int] = Counter()  # bucket b: a wait of less than 2**b us

    def waited(self, seconds: float) -> None:
        """Count a caller that got its connection only after waiting for one or opening it."""
        us = max(int(seconds * 1e6), 0)
        self.waits[min(us.bit_length(), LAST_BUCKET)] += 1

    def snapshot(self) -> dict[str, Any]:
        """Give plain types; `acquire_wait_us` maps a bucket's upper end in us to its count."""
        return {
            "created": self.created,
            "closed": dict(self.closed),
            "timed_out": self.timed_out,
            "acquire_wait_us": {2**bucket: n for bucket, n in sorted(self.waits.items())},
        }
