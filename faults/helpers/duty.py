"""Halts a process for a part of every period: a stand-in for a limit on its processor time."""

from __future__ import annotations

import signal
import time
from typing import Any

from faults.guard_child import send

PERIOD_S = 0.1  # that of the kernel's own bandwidth control


class Duty:
    """SIGSTOP and SIGCONT in turn; `share` of the time it runs."""

    def __init__(self, pid: int, start: str, share: float) -> None:
        self._pid = pid
        self._start = start
        self._share = share
        self._began = 0.0
        self._halted = False
        self._since = 0.0
        self._turns = 0
        self._halted_s = 0.0

    def begin(self) -> None:
        """Count from now."""
        self._began = time.monotonic()

    def step(self) -> float:
        """Halt it or let it go on; what a late wake-up took too much the next turn gives back."""
        now = time.monotonic()
        elapsed = now - self._began
        if self._halted:
            send(self._pid, self._start, signal.SIGCONT)
            self._halted = False
            self._halted_s += now - self._since
            # Runs on until its share of all the time so far is had, and a share of a period.
            owed_s = self._halted_s / (1 - self._share) - elapsed
            return max(self._share * PERIOD_S / 2, min(owed_s, PERIOD_S))
        send(self._pid, self._start, signal.SIGSTOP)
        self._halted = True
        self._since = now
        self._turns += 1
        return (1 - self._share) * PERIOD_S

    def report(self) -> dict[str, Any]:
        """Give the turns so far and the seconds spent halted, of how many."""
        elapsed = max(1e-6, time.monotonic() - self._began)
        return {"turns": self._turns, "halted_s": self._halted_s, "elapsed_s": elapsed}

    def end(self) -> None:
        """Let it go on, whatever the turn."""
        send(self._pid, self._start, signal.SIGCONT)
