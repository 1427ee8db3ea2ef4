"""A plan to `plan.yaml` and back: what a replay runs, and what `--scenario` takes like a scenario.

It holds no port and no time of day, so one seed gives one text on every machine. Beside the plan
stands under which options it was run (`options`), for a replay; the plan itself knows nothing of
them. What was written by hand is checked like a scenario.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from faults.attributes import AttributeProblem, spec_of
from faults.explaining import explain, keys_of
from faults.kinds import KINDS, STRICT, FaultId
from faults.kinds.doors import MOST_GROUPS
from faults.model import Budgets, Client, Load, Name
from faults.planned import Plan, PlannedFault
from faults.yamltext import Place, Text, read_text
from memquake.nearest import nearest
from memquake.ranges import SEED, TIME_SCALE
from memquake.units import Duration, PositiveDuration, Share

FORMAT = 1
SLACK_S = 1e-6  # the last digit of a time in a plan

Seed = Annotated[int, BeforeValidator(SEED.read)]
Option = str | int | float | bool | list[str]


class _Fault(BaseModel):
    model_config = STRICT
    id: FaultId
    kind: str
    nodes: tuple[str, ...] = Field(min_length=1)
    at: Duration
    duration: PositiveDuration
    attributes: dict[str, float | str] = Field(default_factory=dict)


class _Abort(BaseModel):
    model_config = STRICT
    error_rate_above: Share
    error_rate_for_s: Duration


class _File(BaseModel):
    model_config = STRICT
    plan: Literal[1]
    scenario: Name
    description: str = ""
    seed: Seed
    time_scale: Annotated[float, BeforeValidator(TIME_SCALE.read)]
    nodes: tuple[str, ...] = Field(min_length=1)
    stabilization: PositiveDuration
    testing: PositiveDuration
    recovery: PositiveDuration
    load: Load = Load()
    client: Client = Client()
    groups: int = Field(default=1, ge=1, le=MOST_GROUPS)
    budgets: Budgets = Field(default_factory=dict)
    abort: _Abort | None = None
    faults: tuple[_Fault, ...] = ()
    options: dict[str, Option] = Field(default_factory=dict)


class _Endless(BaseModel):
    model_config = STRICT
    plan: Literal[1]
    scenario: Name
    seed: Seed
    options: dict[str, Option] = Field(default_factory=dict)


def plan_to_yaml(plan: Plan, options: Mapping[str, Any] | None = None) -> str:
    """Give the resolved plan; `load_plan_text` reads it back to an equal one. Seconds.

    `options` are those it was run under, by their names on the command line.
    """
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
        "groups": plan.groups,
        "budgets": dict(plan.budgets),
        "abort": dict(plan.abort) or None,
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
    if options is not None:
        data["options"] = dict(options)
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)


def endless_to_yaml(scenario: str, seed: int, options: Mapping[str, Any]) -> str:
    """Give the file of a run without phases, in which nothing is planned."""
    data = {"plan": FORMAT, "scenario": scenario, "seed": seed, "options": dict(options)}
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)


def load_endless(text: Text) -> str:
    """Give the scenario's name from such a file; ScenarioError in one line."""
    try:
        return _Endless.model_validate(text.data).scenario
    except ValidationError as why:
        raise explain(text, why, keys_around=lambda place: keys_of(_Endless)) from None


def load_plan_text(text: str, name: str = "plan.yaml") -> Plan:
    """Read a plan; ScenarioError in one line for one that was damaged."""
    return load_plan(read_text(text, name))


def load_plan(text: Text) -> Plan:
    """Check what a plan file says; ScenarioError in one line for whatever cannot be."""
    try:
        file = _File.model_validate(text.data)
    except ValidationError as why:
        raise explain(text, why, keys_around=_keys_around) from None
    faults = tuple(_fault(text, file, index, raw) for index, raw in enumerate(file.faults))
    _check_together(text, faults)
    return Plan(
        scenario=file.scenario,
        description=file.description,
        seed=file.seed,
        time_scale=file.time_scale,
        stabilization_s=file.stabilization,
        testing_s=file.testing,
        recovery_s=file.recovery,
        faults=faults,
        budgets=file.budgets,
        nodes=file.nodes,
        load={name: value for name, value in file.load if value is not None},
        client={name: value for name, value in file.client if value is not None},
        groups=file.groups,
        abort={} if file.abort is None else dict(file.abort),
    )


def _fault(text: Text, file: _File, index: int, raw: _Fault) -> PlannedFault:
    place: Place = ("faults", index)
    if raw.kind not in KINDS:
        problem = f"unknown kind {raw.kind!r} ({nearest(raw.kind, KINDS)})"
        raise text.error((*place, "kind"), problem)
    if raw.at + raw.duration > file.testing + SLACK_S:
        problem = f"fault {raw.id} ends after the testing phase: lengthen `testing`"
        raise text.error((*place, "duration"), problem)
    for number, node in enumerate(raw.nodes):
        if node not in file.nodes:
            known = nearest(node, file.nodes)
            problem = f"fault {raw.id} names the unknown node {node!r} ({known})"
            raise text.error((*place, "nodes", number), problem)
    try:
        spec = spec_of(raw.kind, raw.attributes)
    except AttributeProblem as why:
        inner = ("attributes", why.name) if why.name in raw.attributes else ()
        raise text.error((*place, *inner), f"fault {raw.id}: {why}") from None
    return PlannedFault(
        id=raw.id,
        kind=raw.kind,
        effects=spec.effects_of(raw.attributes),
        nodes=raw.nodes,
        at_s=raw.at,
        duration_s=raw.duration,
        attributes=raw.attributes,
        emulated_by=spec.words_of(raw.attributes),
    )


def _check_together(text: Text, faults: Sequence[PlannedFault]) -> None:
    for (_, one), (index, other) in itertools.combinations(enumerate(faults), 2):
        if one.id == other.id:
            problem = f"two faults have the id {one.id}: rename one"
            raise text.error(("faults", index, "id"), problem)
        both = [node for node in one.nodes if node in other.nodes]
        overlap = one.at_s < other.end_s - SLACK_S and other.at_s < one.end_s - SLACK_S
        if both and overlap and one.hides(other):
            problem = (
                f"fault {other.id} overlaps with fault {one.id} on {both[0]}, and one would hide "
                "the other: move one in time, or name other nodes"
            )
            raise text.error(("faults", index), problem)


_KEYS: Mapping[str, type[BaseModel]] = {
    "load": Load,
    "client": Client,
    "abort": _Abort,
    "faults": _Fault,
}


def _keys_around(place: Place) -> list[str]:
    return keys_of(_KEYS.get(str(place[0]), _File) if len(place) > 1 else _File)
