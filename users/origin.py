"""The slow source of truth behind the cache: what a miss costs, and how many pay it at once.

A built-in stand-in of settable latency. It counts its calls and how many ran at the same time,
because a stampede is seen nowhere else. It knows neither the cache nor the clients.
"""

from __future__ import annotations

from collections.abc import Callable

import gevent


class Origin:
    """Takes `latency_s` for every call, counting. Calls overlap freely."""

    def __init__(self, latency_s: float, sleep: Callable[[float], None] = gevent.sleep) -> None:
        self.latency_s = latency_s
        self.running = 0
        self._sleep = sleep
        self._calls = 0
        self._peak = 0

    def call(self) -> None:
        """Do one computation: wait for `latency_s`, counted from its begin."""
        self._calls += 1
        self.running += 1
        self._peak = max(self._peak, self.running)
        try:
            self._sleep(self.latency_s)
        finally:
            self.running -= 1

    def take(self) -> tuple[int, int]:
        """Give (calls begun, peak concurrency) since the last take."""
        calls, peak = self._calls, self._peak
        self._calls, self._peak = 0, self.running
        return calls, peak
