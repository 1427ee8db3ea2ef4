"""How many users wait at once because of what a scenario delays. Pure arithmetic.

By Little's law rate x latency users wait at once; a fault on some of the nodes delays their share
of the operations only. A load that leaves hardly any user free falls behind by itself, and a run
under it says nothing about the client.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from faults.errors import ScenarioError

BUSY_USERS = 0.7  # of all users waiting at once on average; beyond it a paced load falls behind


@dataclass(frozen=True, kw_only=True)
class Delay:
    """A fault that keeps calls waiting, on a share of all nodes. Seconds."""

    fault: str
    at_s: float
    end_s: float
    latency_s: float
    share: float  # of the nodes, 0-1


def check_waiting(
    delays: Sequence[Delay], *, users: int, target_rate: float, scenario: str
) -> None:
    """Refuse a paced load that delays make impossible; ScenarioError.

    A rate of 0 is closed loop, which adapts.
    """
    waiting, worst = 0.0, ""
    for delay in delays:
        together = sum(
            target_rate * other.latency_s * other.share
            for other in delays
            if other.at_s <= delay.at_s < other.end_s
        )
        if together > waiting:
            waiting, worst = together, delay.fault
    if waiting > BUSY_USERS * users:
        possible = BUSY_USERS * users * target_rate / waiting
        raise ScenarioError(
            f"scenario {scenario}: fault {worst} makes the load impossible: at "
            f"{target_rate:g} op/s on average {waiting:.0f} users would wait at once, of "
            f"{users}; give {int(waiting / BUSY_USERS) + 1} users or at most "
            f"{possible:.0f} op/s"
        )
