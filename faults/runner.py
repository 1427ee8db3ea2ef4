"""The phases of a scenario: stabilization, testing, recovery, and healing whatever happens.

It runs in a greenlet of the master (or the local runner), drives the plan through the driver and
writes every phase into the journal. Rule: it heals before recovery and on every way out, an
exception and a kill included; what an earlier run left is healed before the workers connect, by
the session. It never judges and knows no user class.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from faults.driver import FaultDriver
from faults.journal import Journal
from faults.plan import Plan

PHASES = ("stabilization", "testing", "recovery")


class ScenarioRunner:
    """One pass of one plan over the cluster. Seconds count from the start of the run."""

    def __init__(
        self,
        plan: Plan,
        driver: FaultDriver,
        journal: Journal,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.plan = plan
        self.driver = driver
        self.journal = journal
        self.phase = ""
        self.complete = False
        self._clock = clock
        self._sleep = sleep

    def phase_ends_s(self) -> tuple[float, float, float]:
        """Give the planned ends of the three phases, in seconds of the run."""
        first = self.plan.stabilization_s
        second = first + self.plan.testing_s
        return first, second, second + self.plan.recovery_s

    def run(self, epoch: float, on_phase: Callable[[str], None]) -> None:
        """Run all phases from `epoch` (this clock) on; returns at the end of recovery."""
        ends = self.phase_ends_s()
        try:
            self._enter("stabilization", 0.0, on_phase)
            self._sleep_until(epoch + ends[0])
            self._enter("testing", ends[0], on_phase)
            self.driver.run_testing(epoch + ends[0])
            self._sleep_until(epoch + ends[1])
            self.driver.heal_all("before recovery")
            # Recovery begins when everything is healed, so it keeps its whole length.
            recovery_at = self._clock()
            self._enter("recovery", recovery_at - epoch, on_phase)
            self._sleep_until(recovery_at + self.plan.recovery_s)
            self.journal.phase_ended(self._clock() - epoch)
            self.complete = True
        finally:
            if not self.complete:
                self.journal.phase_ended(self._clock() - epoch)
            self.driver.heal_all("end of the scenario")
            self.phase = ""

    def _enter(self, name: str, at_s: float, on_phase: Callable[[str], None]) -> None:
        self.phase = name
        self.journal.phase(name, at_s)
        on_phase(name)

    def _sleep_until(self, moment: float) -> None:
        while (left := moment - self._clock()) > 0:
            self._sleep(min(left, 0.5))
