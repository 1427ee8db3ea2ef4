"""The breaker's state machine, and the broken twins of the breaker that it has to catch."""

from __future__ import annotations

from typing import Any

import hypothesis
import pytest
from hypothesis.stateful import run_state_machine_as_test

from client.breaker import FAILURE, IGNORED, Breaker
from client.errors import BreakerOpen
from tests.unit.client.breaker_machine import BreakerMachine

BreakerMachine.TestCase.settings = hypothesis.settings(
    max_examples=100, stateful_step_count=50, deadline=None
)
TestBreakerMachine = BreakerMachine.TestCase


class UnlimitedProbes(Breaker):
    """As pybreaker's `calling`: half-open, everybody may try."""

    def _acquire_probe(self) -> int:
        try:
            return super()._acquire_probe()
        except BreakerOpen:
            if self.status != "half_open":
                raise
            self._serial += 1
            self._probes[self._serial] = self._time() + self._lease_s
            return self._serial


class ForgetsLateProbes(Breaker):
    """Admits a full round while probes of the last one are still out."""

    def _enter(self, new: str) -> None:
        super()._enter(new)
        self._late.clear()


class BelievesStaleOutcomes(Breaker):
    """Takes every outcome for one of the present state."""

    def done(self, permit: int, *what: Any, **more: Any) -> bool:
        return super().done(self.permit or next(iter(self._probes), permit), *what, **more)


class LeaseNeverExpires(Breaker):
    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._lease_s = float("inf")


class CountsKills(Breaker):
    """As pybreaker: a BaseException is a failure of the node."""

    def done(self, permit: int, verdict: int, *args: Any, **more: Any) -> bool:
        return super().done(permit, FAILURE if verdict == IGNORED else verdict, *args, **more)


class BelievesTheClock(Breaker):
    """Waits for the hour it has once noted, however far the clock goes back."""

    def _time(self) -> float:
        return self._clock()


class OpensForTooLong(Breaker):
    def _enter(self, new: str) -> None:
        super()._enter(new)
        self._open_until += self._settings.open_max_s


class ProbesTooEarly(Breaker):
    def _enter(self, new: str) -> None:
        super()._enter(new)
        self._open_until = 0.0


class NeverLeavesTheGuard(Breaker):
    """Stays on the guard's list after it has closed."""

    def _enter(self, new: str) -> None:
        super()._enter(new)
        if self._guard is not None:
            self._guard.take_out(self, by_hand=True)


class ForgetsAnEvent(Breaker):
    def _move(self, new: str) -> None:
        super()._move(new)
        if new == "half-open":
            self.events.pop()


class OneLuckyProbeIsEnough(Breaker):
    def _end_probe(self, *args: Any) -> bool:
        self._probe_successes = self._settings.half_open_probes
        return super()._end_probe(*args)


TWINS = (
    ForgetsLateProbes,
    UnlimitedProbes,
    BelievesStaleOutcomes,
    LeaseNeverExpires,
    CountsKills,
    BelievesTheClock,
    OpensForTooLong,
    ProbesTooEarly,
    NeverLeavesTheGuard,
    ForgetsAnEvent,
    OneLuckyProbeIsEnough,
)


@pytest.mark.parametrize("twin", TWINS, ids=lambda twin: twin.__name__)
def test_the_machine_catches_a_broken_twin(twin: type[Breaker]) -> None:
    """A detector that a broken breaker survives is no detector."""

    class Machine(BreakerMachine):
        kind = twin

    one_way = hypothesis.settings(
        max_examples=400,
        stateful_step_count=50,
        deadline=None,
        derandomize=True,  # the same search every time: caught today is caught tomorrow
        database=None,
        phases=[hypothesis.Phase.generate],
        report_multiple_bugs=False,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    with pytest.raises((AssertionError, BreakerOpen)):
        run_state_machine_as_test(Machine, settings=one_way)
