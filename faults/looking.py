"""What the commands that only look print: lists, plans, checks of files, drawn scenarios.

Pure but for reading files and the one that `--out` names; no node is touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from faults.backends.foretold import foretell
from faults.errors import ScenarioError
from faults.fixed import FixedScenario
from faults.plan import Plan, make_plan
from faults.plantext import plan_text
from faults.randomly import LEAST_NODES, RandomFaults, draw_faults
from faults.scenario import (
    Scenario,
    check_own_load,
    list_scenarios,
    load_scenario,
    scenario_from_text,
)
from memquake.limits import RECOVERS_WITHIN_S

MOST_NODES = 1000
USUAL_NODES = 3  # of an embedded cluster
RANDOM = "random-chaos"  # gives drawn scenarios their phases and load


def list_text() -> str:
    """Give the scenarios, a line each, with what they do to nodes."""
    found = list_scenarios()
    width = max((len(scenario.name) for scenario in found), default=0)
    does = {scenario.name: _effects(scenario.name) for scenario in found}
    wide = max((len(words) for words in does.values()), default=0)
    rows = (f"{s.name:<{width}}  {does[s.name]:<{wide}}  {s.description}" for s in found)
    return "".join(f"{row.rstrip()}\n" for row in rows)


def _effects(name: str) -> str:
    try:
        scenario = load_scenario(name)
    except ScenarioError:
        return "-"
    if isinstance(scenario, FixedScenario):
        found = {effect for fault in scenario.plan.faults for effect in fault.effects}
    else:
        specs = scenario.faults
        found = {effect for spec in specs for effect in spec.effects_of(spec.attributes())}
    if scenario.random is not None:
        return "drawn"
    return ", ".join(sorted(found)) or "-"


def checked(file: str) -> str:
    """Check a scenario or plan file or name; give a line, or raise ScenarioError."""
    scenario = load_scenario(file)
    check_own_load(scenario)
    if not scenario.has_phases:
        return f"{file}: scenario {scenario.name} is fine, without faults"
    plan = _resolve(scenario, seed=1, time_scale=1.0, nodes=_node_names(scenario, None))
    kind = "plan" if isinstance(scenario, FixedScenario) else "scenario"
    count = len(plan.faults)
    faults = "1 fault" if count == 1 else f"{count} faults"
    return f"{file}: {kind} {scenario.name} is fine, {faults}"


def _enough_nodes(scenario: Scenario) -> int:
    """Give three nodes, or as many as the scenario names."""
    most = USUAL_NODES
    for fault in scenario.faults:
        names = fault.target.nodes or ()
        numbers = [int(n[4:]) for n in names if n.startswith("node") and n[4:].isdecimal()]
        most = max([most, fault.target.count(USUAL_NODES), *numbers])
    return min(most, MOST_NODES)


def planned(name: str, *, seed: int, time_scale: float, nodes: int | None) -> str:
    """Give what would happen, to which node, when and by what means, or raise ScenarioError."""
    scenario = load_scenario(name)
    if nodes is not None and not 1 <= nodes <= MOST_NODES:
        raise ScenarioError(f"--nodes {nodes} is out of range: give 1 to {MOST_NODES}")
    if not scenario.has_phases:
        return f"scenario {scenario.name}: no phases and no faults; it runs until it is stopped\n"
    names = _node_names(scenario, nodes)
    check_own_load(scenario.drawn(seed=seed, nodes=names), len(names))
    plan = _resolve(scenario, seed=seed, time_scale=time_scale, nodes=names)
    return plan_text(plan, _means_here(plan))


def _means_here(plan: Plan) -> dict[str, str]:
    """Say by fault what this machine does instead, or that it cannot do it; touches nothing."""
    return {
        fault: f"cannot be done here: {foretold.words}"
        if foretold.is_refusal
        else f"stand-in on this machine: {foretold.words}"
        for fault, foretold in foretell(plan).items()
    }


def drawn(*, seed: int, faults: int, nodes: int, kinds: Sequence[str]) -> tuple[str, str]:
    """Draw a scenario; give its file and what would happen. ScenarioError for what cannot be."""
    if not LEAST_NODES <= nodes <= MOST_NODES:
        raise ScenarioError(
            f"--nodes {nodes} is out of range: give {LEAST_NODES} to {MOST_NODES}, "
            "because one has to stay healthy"
        )
    base = load_scenario(RANDOM)
    names = _node_names(base, nodes)
    try:
        words = RandomFaults(faults=faults, kinds=tuple(kinds))
    except ValueError as why:
        raise ScenarioError(_option_line(why)) from None
    data: dict[str, Any] = {
        "name": f"random-{seed}",
        "description": f"{faults} faults drawn for {nodes} nodes from seed {seed}.",
        "phases": {"stabilization": base.stabilization_s, "recovery": base.recovery_s},
        "load": {"users": base.users, "target_rate": base.target_rate},
        "faults": draw_faults(words, seed=seed, nodes=names),
    }
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)
    plan = _resolve(scenario_from_text(text), seed=seed, time_scale=1.0, nodes=names)
    return text, plan_text(plan, _means_here(plan))


def _option_line(why: ValueError) -> str:
    first: dict[str, Any] = why.errors()[0]  # type: ignore[attr-defined]  # pydantic's own
    raised = first.get("ctx", {}).get("error")
    if raised is None:
        return f"--{first['loc'][-1]} {first['input']} cannot be: {first['msg'].lower()}"
    return f"--{raised.place[0]}: {raised}"


def write_out(path: Path, text: str) -> None:
    """Write a drawn scenario; ScenarioError where it cannot be."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as why:
        raise ScenarioError(f"--out {path} cannot be written ({why.strerror})") from None


def _node_names(scenario: Scenario, count: int | None) -> Sequence[str]:
    """Give so many names, or where nobody said how many: the plan's own, or enough."""
    if count is None and isinstance(scenario, FixedScenario):
        return scenario.plan.nodes
    count = _enough_nodes(scenario) if count is None else count
    return [f"node{number}" for number in range(1, count + 1)]


def _resolve(scenario: Scenario, *, seed: int, time_scale: float, nodes: Sequence[str]) -> Plan:
    return make_plan(
        scenario,
        seed=seed,
        nodes=nodes,
        time_scale=time_scale,
        recovers_within_s=scenario.budgets.get("recovers_within", RECOVERS_WITHIN_S),
    )
