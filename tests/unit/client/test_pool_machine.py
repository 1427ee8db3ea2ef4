"""The pool's state machine, and the broken twins of the pool that it has to catch.

A detector that its twin survives is no detector.
"""

from __future__ import annotations

from typing import Any

import hypothesis
import pytest
from hypothesis.stateful import run_state_machine_as_test

from client.pool import Pool
from client.waiting import Waiter, WaitQueue
from tests.unit.client.pool_machine import Killed, PoolMachine

PoolMachine.TestCase.settings = hypothesis.settings(
    max_examples=150, stateful_step_count=60, deadline=None
)
TestPoolMachine = PoolMachine.TestCase

# Twins: each is the pool with one line wrong.


class ForgetsAKilledConnect(Pool):
    """Frees the place only for errors of its own, as `except Exception` would."""

    def _open(self, deadline: float, *, claimed: int = 0) -> Any:
        taken = self._total
        try:
            return super()._open(deadline, claimed=claimed)
        except Killed:
            self._total = taken
            raise


class LastInLine(WaitQueue):
    def popitem(self, last: bool = True) -> tuple[Waiter, None]:
        return super().popitem(last=True)


class ServesTheLastFirst(Pool):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.waiters = LastInLine()


class LeavesGhostsInTheQueue(Pool):
    """Whoever gives up stays in the queue."""

    def _leave(self, waiter: Waiter) -> None:
        if waiter.is_granted:
            super()._leave(waiter)


class KeepsWhatTheDeadWereGranted(Pool):
    """Whoever is killed between the grant and the next step takes it along."""

    def _leave(self, waiter: Waiter) -> None:
        if not waiter.is_granted:
            super()._leave(waiter)


class PutsDownAndWalksAway(Pool):
    """A release that does not look for those who wait."""

    def attend(self) -> None:
        if self.is_closed:
            super().attend()


class MiscountsItsCare(Pool):
    def drop(self, connection: Any, reason: str) -> None:
        self.discard(connection, reason)


TWINS = [
    ForgetsAKilledConnect,
    ServesTheLastFirst,
    LeavesGhostsInTheQueue,
    KeepsWhatTheDeadWereGranted,
    PutsDownAndWalksAway,
    MiscountsItsCare,
]


@pytest.mark.parametrize("twin", TWINS, ids=[twin.__name__ for twin in TWINS])
def test_the_machine_catches_a_broken_twin(twin: type[Pool]) -> None:
    """The same rules and invariants find each fault."""

    class TwinMachine(PoolMachine):
        pool_type = twin

    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            TwinMachine,
            settings=hypothesis.settings(
                max_examples=300,
                stateful_step_count=60,
                deadline=None,
                database=None,
                derandomize=True,
                report_multiple_bugs=False,
                phases=[hypothesis.Phase.generate],
                suppress_health_check=list(hypothesis.HealthCheck),
            ),
        )
