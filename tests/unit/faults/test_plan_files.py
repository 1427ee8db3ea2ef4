"""A plan file is a scenario in which everything is decided: run as it is, or refused in a line."""

from __future__ import annotations

from pathlib import Path

import pytest

from faults.errors import ScenarioError
from faults.plan import Plan, make_plan, plan_to_yaml
from faults.planfile import endless_to_yaml
from faults.scenario import load_scenario
from memquake.paths import SCENARIOS

NODES = ["node1", "node2", "node3"]
NAMES = sorted(path.stem for path in SCENARIOS.glob("*.yaml") if path.stem != "none")


def planned(name: str, seed: int = 7, scale: float = 0.3) -> Plan:
    scenario = load_scenario(name)
    return make_plan(scenario, seed=seed, nodes=NODES, time_scale=scale, recovers_within_s=10)


def written(tmp_path: Path, plan: Plan, **options: object) -> str:
    path = tmp_path / "plan.yaml"
    path.write_text(plan_to_yaml(plan, options))
    return str(path)


def again(path: str, nodes: list[str], seed: int = 1, scale: float = 1.0) -> Plan:
    scenario = load_scenario(path)
    return make_plan(scenario, seed=seed, nodes=nodes, time_scale=scale, recovers_within_s=10)


@pytest.mark.parametrize("name", NAMES)
def test_a_plan_is_run_as_it_is(tmp_path: Path, name: str) -> None:
    """Its own seed and time scale hold, whatever the usual ones are; load and client too."""
    plan = planned(name)
    path = written(tmp_path, plan, client="memquake")
    assert again(path, NODES) == plan
    assert again(path, NODES, seed=plan.seed, scale=plan.time_scale) == plan
    scenario, original = load_scenario(path), load_scenario(name)
    assert scenario.has_phases
    assert (scenario.users, scenario.target_rate) == (original.users, original.target_rate)
    assert scenario.client_settings() == original.client_settings()
    assert scenario.budget_limits() == original.budget_limits()


def test_a_latency_in_a_plan_bounds_the_load(tmp_path: Path) -> None:
    """The load that a fault makes impossible is refused for a plan as for a scenario."""
    scenario = load_scenario(written(tmp_path, planned("latency-200ms")))
    scenario.check_load(users=200, target_rate=400)
    with pytest.raises(ScenarioError, match="makes the load impossible"):
        scenario.check_load(users=40, target_rate=2000)


@pytest.mark.parametrize(
    ("nodes", "seed", "scale", "expected"),
    [
        pytest.param(NODES[:2], 1, 1.0, "for 3 nodes (node1 node2 node3) and", id="fewer nodes"),
        pytest.param([*NODES, "node4"], 1, 1.0, "there are 4", id="more nodes"),
        pytest.param(NODES, 8, 1.0, "has its own seed, 7, not 8", id="another seed"),
        pytest.param(NODES, 1, 0.5, "not at time scale 0.5", id="another scale"),
    ],
)
def test_what_does_not_fit_is_refused(
    tmp_path: Path, nodes: list[str], seed: int, scale: float, expected: str
) -> None:
    """One line that points into the file and says what to give instead."""
    path = written(tmp_path, planned("node-blackhole"))
    with pytest.raises(ScenarioError) as caught:
        again(path, nodes, seed, scale)
    assert expected in str(caught.value)
    assert str(caught.value).startswith(f"{path}:")


def test_a_run_without_phases_leads_back_to_its_scenario(tmp_path: Path) -> None:
    """Nothing was planned: the file names the scenario."""
    path = tmp_path / "plan.yaml"
    path.write_text(endless_to_yaml("none", 1, {"client": "memquake"}))
    scenario = load_scenario(str(path))
    assert scenario.name == "none"
    assert not scenario.has_phases


@pytest.mark.parametrize(
    ("was", "now", "expected"),
    [
        pytest.param("seed:", "sead:", "unknown key 'sead' (nearest: seed,", id="key"),
        pytest.param("kind: timeout", "kind: timeot", "unknown kind 'timeot'", id="kind"),
        pytest.param("  duration: 6.0", "  duration: -6.0", "faults.0.duration", id="time"),
        pytest.param("  duration: 6.0", "  duration: 60.0", "lengthen `testing`", id="too long"),
        pytest.param("  attributes: {}", "  attributes: {x: 1}", "has no attribute 'x'", id="attr"),
        pytest.param("budgets: {}", "budgets: {recovers: 1}", "nearest: recovers_within", id="b"),
        pytest.param("recovery: 18.0", "recovery: 8.0", "shorter than recovers_within", id="short"),
    ],
)
def test_what_is_wrong_in_it_is_shown_by_line_and_column(
    tmp_path: Path, was: str, now: str, expected: str
) -> None:
    """A plan may be written by hand, and is checked like a scenario."""
    text = plan_to_yaml(planned("node-blackhole"))
    assert was in text, text
    path = tmp_path / "plan.yaml"
    path.write_text(text.replace(was, now, 1))
    with pytest.raises(ScenarioError) as caught:
        again(str(path), NODES)
    line = str(caught.value)
    assert expected in line
    assert "\n" not in line
    changed = text[: text.index(was)].count("\n") + 1
    assert line.startswith(f"{path}:{changed}:")
