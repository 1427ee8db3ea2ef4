"""How long a master waits for users to be ready: as long as something moves.

A ramp takes as long as was asked for, and keys that go over a slow line take their time; only
standing still is a hang.
"""

from __future__ import annotations

import time
from collections.abc import Callable

STANDSTILL_S = 120.0
"""Without one user or key more. A batch of keys, its retries included, takes a few seconds."""


class Patience:
    """A deadline that moves on with every progress.

    `spawn_rate` is users a second: between two of them nothing has to move.
    """

    def __init__(self, spawn_rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit_s = STANDSTILL_S + (1.0 / spawn_rate if spawn_rate > 0 else 0.0)
        self._clock = clock
        self._seen: object = None
        self._since = clock()

    def is_over(self, progress: object) -> bool:
        """Return whether `progress` has not changed for too long."""
        if progress != self._seen:
            self._seen, self._since = progress, self._clock()
        return self._clock() - self._since > self.limit_s
