"""Scenario, seed and node names to a resolved timeline. Pure: no ports, no clock, no I/O.

The time scale touches the scenario's own times (phases, at, duration, repetition) and nothing
else. Every choice comes from the seed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from faults.errors import ScenarioError
from faults.fixed import FixedScenario
from faults.kinds import kind_of
from faults.model import Scenario
from faults.planfile import load_plan_text, plan_to_yaml
from faults.planned import MICROSECONDS, Plan, PlannedFault
from faults.plantext import plan_text
from faults.schedule import Slot
from faults.targets import choose_nodes
from memquake.units import DAY_S, spell_seconds

__all__ = ["Plan", "PlannedFault", "load_plan_text", "make_plan", "plan_text", "plan_to_yaml"]

SHORTEST_STABILIZATION_S = 7.0  # 5 full windows for the baseline, after the first 2 s
AFTER_RECOVERY_S = 5.0  # windows needed to see that all is as before, once recovered
LARGEST_SCALE = 1000.0


def make_plan(
    scenario: Scenario,
    *,
    seed: int,
    nodes: Sequence[str],
    time_scale: float,
    recovers_within_s: float,
) -> Plan:
    """Resolve a scenario; ScenarioError in one line for what cannot be.

    A scenario that is a plan keeps its own seed and time scale.
    """
    if isinstance(scenario, FixedScenario):
        _check_scale(scenario, 1.0, recovers_within_s)
        return scenario.fit(seed=seed, nodes=nodes, time_scale=time_scale)
    _check_scale(scenario, time_scale, recovers_within_s)
    scenario = scenario.drawn(seed=seed, nodes=nodes)
    _check_length(scenario, time_scale)
    slots = scenario.slots()
    chosen = choose_nodes(scenario, slots, nodes, seed)
    faults = sorted(
        (_resolve(slot, chosen[slot.spec.id], time_scale) for slot in slots),
        key=lambda fault: fault.at_s,
    )
    ends = [fault.end_s for fault in faults]
    return Plan(
        scenario=scenario.name,
        description=scenario.description,
        seed=seed,
        time_scale=time_scale,
        stabilization_s=_scaled(scenario.stabilization_s, time_scale),
        # Rounding each time by itself may put an end a microsecond later than the phase's.
        testing_s=max([_scaled(scenario.testing_s, time_scale), *ends]),
        recovery_s=_scaled(scenario.recovery_s, time_scale),
        faults=tuple(faults),
        budgets=scenario.budget_limits(),
        nodes=tuple(nodes),
        load={name: value for name, value in scenario.load if value is not None},
        client=scenario.client_settings(),
        groups=scenario.groups,
        abort={}
        if scenario.abort is None
        else {
            "error_rate_above": scenario.abort.error_rate.above,
            "error_rate_for_s": scenario.abort.error_rate.lasting,
        },
    )


def _check_scale(scenario: Scenario, scale: float, recovers_within_s: float) -> None:
    if not (math.isfinite(scale) and 0 < scale <= LARGEST_SCALE):
        raise ScenarioError(
            f"time scale {scale:g} cannot be: give a factor above 0, up to {LARGEST_SCALE:g}"
        )
    if not scenario.has_phases:
        return
    recovery_needs_s = recovers_within_s + AFTER_RECOVERY_S
    smallest = max(
        SHORTEST_STABILIZATION_S / scenario.stabilization_s,
        recovery_needs_s / scenario.recovery_s,
    )
    if scale >= smallest - 1e-9:
        return
    works = math.ceil(smallest * 100 - 1e-6) / 100
    stabilization_s = scenario.stabilization_s * scale
    recovery_s = scenario.recovery_s * scale
    if stabilization_s < SHORTEST_STABILIZATION_S - 1e-9:
        phase = "stabilization"
        problem = (
            f"the stabilization phase of {spell_seconds(stabilization_s)} is too short for a "
            f"baseline ({spell_seconds(SHORTEST_STABILIZATION_S)})"
        )
    else:
        phase = "recovery"
        problem = (
            f"the recovery phase of {spell_seconds(recovery_s)} is shorter than recovers_within "
            f"+ 5 s ({spell_seconds(recovery_needs_s)})"
        )
    way_out = f"the smallest time scale that works is {works:g}"
    if works > 1:
        way_out = f"lengthen the phase in the file ({way_out})"
    raise scenario.error(("phases", phase), f"at time scale {scale:g} {problem}: {way_out}")


def _check_length(scenario: Scenario, scale: float) -> None:
    """Refuse what would be written down as a plan that nobody can read again."""
    for phase in ("stabilization", "testing", "recovery"):
        seconds = getattr(scenario, f"{phase}_s") * scale
        if seconds > DAY_S:
            works = math.floor(DAY_S / seconds * scale * 100) / 100
            raise scenario.error(
                ("phases", phase),
                f"at time scale {scale:g} the {phase} phase of {spell_seconds(seconds)} is longer "
                f"than a day: the largest time scale that works is {works:g}",
            )


def _scaled(seconds: float, scale: float) -> float:
    return round(seconds * scale, MICROSECONDS)


def _resolve(slot: Slot, nodes: tuple[str, ...], scale: float) -> PlannedFault:
    spec = slot.spec
    # Both ends are scaled, not the length: a fault `after` another begins when that one ends.
    at_s, end_s = _scaled(slot.at_s, scale), _scaled(slot.end_s, scale)
    return PlannedFault(
        id=slot.id,
        kind=kind_of(spec),
        effects=spec.effects_of(spec.attributes()),
        nodes=nodes,
        at_s=at_s,
        duration_s=round(end_s - at_s, MICROSECONDS),
        attributes=dict(spec.attributes()),
        emulated_by=spec.words_of(spec.attributes()),
    )
