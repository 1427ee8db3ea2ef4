"""A plan to text and back: `plan.yaml` for a replay, a timeline for people.

Neither holds a port or a time of day, so one seed gives one text on every machine.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, Field, ValidationError

from faults.budgets import nearest
from faults.kinds import KINDS, STRICT, FaultId
from faults.planned import Plan, PlannedFault
from faults.quantities import spell_seconds
from faults.yamltext import read_text

FORMAT = 1

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Fault(BaseModel):
    model_config = STRICT
    id: FaultId
    kind: str
    nodes: tuple[str, ...] = Field(min_length=1)
    at: Seconds
    duration: Seconds
    attributes: dict[str, float | str] = Field(default_factory=dict)


class _File(BaseModel):
    model_config = STRICT
    plan: Literal[1]
    scenario: str
    description: str = ""
    seed: int
    time_scale: float
    nodes: tuple[str, ...]
    stabilization: Seconds
    testing: Seconds
    recovery: Seconds
    load: dict[str, float] = Field(default_factory=dict)
    client: dict[str, float] = Field(default_factory=dict)
    budgets: dict[str, float] = Field(default_factory=dict)
    abort: dict[str, float] = Field(default_factory=dict)
    faults: tuple[_Fault, ...] = ()


def plan_to_yaml(plan: Plan) -> str:
    """Give the resolved plan; `load_plan_text` reads it back to an equal one. Seconds."""
    data: dict[str, Any] = {
        "plan": FORMAT,
        "scenario": plan.scenario,
        "description": plan.description,
        "seed": plan.seed,
        "time_scale": plan.time_scale,
        "nodes": list(plan.nodes),
        "stabilization": plan.stabilization_s,
        "testing": plan.testing_s,
        "recovery": plan.recovery_s,
        "load": dict(plan.load),
        "client": dict(plan.client),
        "budgets": dict(plan.budgets),
        "abort": dict(plan.abort),
        "faults": [
            {
                "id": fault.id,
                "kind": fault.kind,
                "nodes": list(fault.nodes),
                "at": fault.at_s,
                "duration": fault.duration_s,
                "attributes": dict(fault.attributes),
            }
            for fault in plan.faults
        ],
    }
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)


def load_plan_text(text: str, name: str = "plan.yaml") -> Plan:
    """Read a plan; ScenarioError in one line for one that was damaged."""
    content = read_text(text, name)
    try:
        file = _File.model_validate(content.data)
    except ValidationError as why:
        first = why.errors()[0]
        place = tuple(first["loc"])
        dotted = ".".join(str(step) for step in place)
        raise content.error(place, f"{dotted}: {first['msg'].lower()}") from None
    faults = []
    for index, raw in enumerate(file.faults):
        if raw.kind not in KINDS:
            problem = f"unknown kind {raw.kind!r} ({nearest(raw.kind, KINDS)})"
            raise content.error(("faults", index, "kind"), problem)
        if raw.at + raw.duration > file.testing + 1e-6:
            problem = f"fault {raw.id} ends after the testing phase"
            raise content.error(("faults", index), problem)
        unknown = set(raw.nodes) - set(file.nodes)
        if unknown:
            problem = f"fault {raw.id} names the unknown node {min(unknown)}"
            raise content.error(("faults", index, "nodes"), problem)
        faults.append(_fault(raw))
    return Plan(
        scenario=file.scenario,
        description=file.description,
        seed=file.seed,
        time_scale=file.time_scale,
        stabilization_s=file.stabilization,
        testing_s=file.testing,
        recovery_s=file.recovery,
        faults=tuple(faults),
        budgets=file.budgets,
        nodes=file.nodes,
        load=file.load,
        client=file.client,
        abort=file.abort,
    )


def _fault(raw: _Fault) -> PlannedFault:
    kind = KINDS[raw.kind]
    return PlannedFault(
        id=raw.id,
        kind=raw.kind,
        effects=kind.effects_of(raw.attributes),
        nodes=raw.nodes,
        at_s=raw.at,
        duration_s=raw.duration,
        attributes=raw.attributes,
        emulated_by=kind.words_of(raw.attributes),
    )


def plan_text(plan: Plan) -> str:
    """Give what would happen, to which node and when, for people; times from second 0."""
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
        does = ", ".join(sorted(fault.effects))
        lines.append(_row(begin, testing + fault.end_s, f"  {fault.id}", f"{what} ({does})"))
    lines.append(_row(recovery, plan.duration_s, "recovery", "everything healed"))
    lines += _footer(plan)
    return "\n".join(lines) + "\n"


def _footer(plan: Plan) -> list[str]:
    lines = []
    emulated = {fault.kind: fault.emulated_by for fault in plan.faults}
    if emulated:
        width = max(len(kind) for kind in emulated)
        lines += ["", *(f"{kind:<{width}}  {how}" for kind, how in sorted(emulated.items()))]
    for title, values in (("load", plan.load), ("client", plan.client), ("budgets", plan.budgets)):
        if values:
            lines.append(f"{title}: " + ", ".join(f"{k} {v:g}" for k, v in sorted(values.items())))
    return lines


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
