"""Ctrl-C: the first one ends the run and its verdict is written; later ones change nothing.

A terminal sends SIGINT to every process of a command, so workers forked by `--processes` get it
together with their master. They go on until the master has ended the run, because their last
reports are part of the verdict.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import gevent

PATIENCE_S = 60.0
"""Longer than any end takes. A Ctrl-C after that is obeyed again: no process may be unstoppable."""


class Interrupts:
    """What this process does at SIGINT. `before_leaving` blocks until it may end."""

    def __init__(
        self,
        *,
        before_leaving: Callable[[float], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.ending_since: float | None = None
        self._before_leaving = before_leaving
        self._clock = clock
        self._has_answered = False
        self._is_leaving = False  # Locust's own end is under way

    def install(self) -> None:
        """Take over from Python's own handler."""
        signal.signal(signal.SIGINT, self.take)

    def ending(self) -> None:
        """Note that this process ends, for whatever reason: SIGINT is not needed any more."""
        self._is_leaving = True
        if self.ending_since is None:
            self.ending_since = self._clock()

    def take(self, *_: Any) -> None:
        """Send the first SIGINT to the main greenlet, not into whatever call happens to run."""
        now = self._clock()
        if self.ending_since is not None and now - self.ending_since < PATIENCE_S:
            self._answer()
            return
        self.ending_since = now
        gevent.get_hub().loop.run_callback_threadsafe(gevent.spawn, self._leave)

    def _leave(self) -> None:
        if self._before_leaving is not None:
            self._before_leaving(PATIENCE_S)
            if self._is_leaving:
                return
        gevent.kill(gevent.get_hub().parent, KeyboardInterrupt())

    def _answer(self) -> None:
        if self._before_leaving is None and not self._has_answered:
            self._has_answered = True
            sys.stderr.write("memquake: ending already, the verdict is being written\n")
            sys.stderr.flush()
