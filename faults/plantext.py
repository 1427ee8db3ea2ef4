"""A plan as a timeline for people: what would happen, to which node, when, and by what means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from faults.planned import Plan, PlannedFault
from memquake.limits import LIMITS
from memquake.units import spell_seconds


def plan_text(plan: Plan, here: Mapping[str, str] | None = None) -> str:
    """Give what would happen, to which node and when, for people; times from second 0.

    `here` is, by fault, what this machine does in place of the usual means.
    """
    testing = plan.stabilization_s
    recovery = testing + plan.testing_s
    lines = [
        f"scenario {plan.scenario}, seed {plan.seed}, time scale {plan.time_scale:g}, "
        f"nodes {' '.join(plan.nodes)}",
    ]
    if plan.description:
        lines.append(plan.description)
    lines += [
        "",
        _row(0.0, testing, "stabilization", "load only: the baseline"),
        _row(testing, recovery, "testing", "faults" if plan.faults else "no fault"),
    ]
    for fault in plan.faults:
        begin = testing + fault.at_s
        what = f"{fault.kind}{_attributes(fault)} on {' '.join(fault.nodes)}"
        does = ", ".join(sorted(fault.effects)) or "no node is touched"
        what = f"{what} ({does}), by {fault.backend}"
        lines.append(_row(begin, testing + fault.end_s, f"  {fault.id}", what))
    lines.append(_row(recovery, plan.duration_s, "recovery", "everything healed"))
    lines += _footer(plan, here or {})
    return "\n".join(lines) + "\n"


def _footer(plan: Plan, here: Mapping[str, str]) -> list[str]:
    lines = _means(plan, here)
    load = [_spelled(name, "", value) for name, value in sorted(plan.load.items())]
    client = [_spelled(name, "s", value) for name, value in sorted(plan.client.items())]
    budgets = [
        _spelled(name, LIMITS[name].kind, limit) for name, limit in sorted(plan.budgets.items())
    ]
    for title, words in (("load", load), ("client", client), ("budgets", budgets)):
        if words:
            lines.append(f"{title}: {', '.join(words)}")
    if plan.groups > 1:
        lines.append(f"groups of users: {plan.groups}")
    return lines


def _means(plan: Plan, here: Mapping[str, str]) -> list[str]:
    """Say for each fault what is really done, faults of which the same is done together."""
    who: dict[tuple[str, str], list[str]] = {}
    for fault in plan.faults:
        how = here.get(fault.id, fault.emulated_by)
        who.setdefault((fault.backend, how), []).append(fault.id)
    if not who:
        return []
    width = max(len(backend) for backend, _ in who)
    rows = (f"{b:<{width}}  {', '.join(ids)}: {how}" for (b, how), ids in who.items())
    return ["", "what is done, by which backend", *rows, ""]


def _spelled(name: str, unit: str, value: float | str) -> str:
    """Spell a setting with its unit, as a scenario file takes it."""
    if isinstance(value, str):
        return f"{name} {value}"
    match unit:
        case "s":
            return f"{name} {spell_seconds(value)}"
        case "share":
            return f"{name} {value * 100:g}%"
        case "x":
            return f"{name} {value:g}x"
    return f"{name} {value:g}"


def _row(begin_s: float, end_s: float, what: str, more: str) -> str:
    return f"{spell_seconds(begin_s):>9} - {spell_seconds(end_s):<9} {what:<18} {more}"


def _attributes(fault: PlannedFault) -> str:
    return "".join(f" {_attribute(fault.kind, *pair)}" for pair in fault.attributes.items())


def _attribute(kind: str, key: str, value: Any) -> str:
    """Spell one attribute by the unit in its name: `_s` is seconds, `_share` of 1."""
    if isinstance(value, str):
        return f"{key} {value}"
    if key.endswith("_s"):
        name, spelled = key.removesuffix("_s"), spell_seconds(value)
    elif key.endswith("_share"):
        name, spelled = key.removesuffix("_share"), f"{value * 100:g} %"
    else:
        name, spelled = key, f"{value:g}"
    # "latency 200ms", not "latency latency 200ms".
    return spelled if name == kind else f"{name} {spelled}"
