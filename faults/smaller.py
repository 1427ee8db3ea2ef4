"""A plan made smaller: fewer faults, shorter ones, less idle time. Pure; what is left is kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence

from faults.planned import MICROSECONDS, Plan, PlannedFault

SHORTEST_S = 1.0  # of a fault: below it the harness's own probe does not feel it for sure
LONGEST_IDLE_S = 3.0  # between faults: a client that came through is back in service by then


def keep(plan: Plan, ids: Collection[str]) -> Plan:
    """Leave out every fault but these; testing ends with the last of them.

    Without any it keeps its length, so that nothing else has changed.
    """
    return _with(plan, [fault for fault in plan.faults if fault.id in ids])


def shorter(plan: Plan, ids: Collection[str]) -> Plan:
    """Halve the length of these faults, down to `SHORTEST_S`; the same plan where none can be."""
    return _with(
        plan,
        [
            dataclasses.replace(fault, duration_s=_half(fault.duration_s))
            if fault.id in ids
            else fault
            for fault in plan.faults
        ],
    )


def _half(length_s: float) -> float:
    return min(length_s, max(SHORTEST_S, round(length_s / 2, MICROSECONDS)))


def earlier(plan: Plan) -> Plan:
    """Begin at once, and wait no longer than `LONGEST_IDLE_S` where nothing is broken."""
    moved: list[PlannedFault] = []
    busy_until, shift = 0.0, 0.0
    for fault in sorted(plan.faults, key=lambda one: one.at_s):
        idle = fault.at_s - busy_until
        allowed = LONGEST_IDLE_S if moved else 0.0
        shift += max(0.0, idle - allowed)
        busy_until = max(busy_until, fault.end_s)
        at_s = round(fault.at_s - shift, MICROSECONDS)
        moved.append(dataclasses.replace(fault, at_s=at_s))
    return _with(plan, moved)


def _with(plan: Plan, faults: Sequence[PlannedFault]) -> Plan:
    testing_s = max((fault.end_s for fault in faults), default=plan.testing_s)
    return dataclasses.replace(plan, faults=tuple(faults), testing_s=testing_s)
