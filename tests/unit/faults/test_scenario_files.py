"""The scenarios that come with the product can all be used, as they are and shortened."""

from __future__ import annotations

import pytest

from faults.model import DEFAULT_RATE
from faults.plan import Plan, make_plan
from faults.scenario import (
    check_own_load,
    list_scenarios,
    load_scenario,
    scenario_from_text,
)
from memquake.paths import SCENARIOS

NODES = ("node1", "node2", "node3")
NAMES = tuple(sorted(path.stem for path in SCENARIOS.glob("*.yaml")))
BROKEN = [name for name in NAMES if name != "none"]


def planned(name: str, scale: float = 1.0, seed: int = 1) -> Plan:
    scenario = load_scenario(name)
    return make_plan(scenario, seed=seed, nodes=NODES, time_scale=scale, recovers_within_s=10)


def test_the_list_names_them_all_with_a_line_each() -> None:
    """Every scenario has its file's name and a description of one line."""
    listed = list_scenarios()
    assert [scenario.name for scenario in listed] == list(NAMES)
    for scenario in listed:
        assert load_scenario(scenario.name).name == scenario.name
        assert scenario.description
        assert "\n" not in scenario.description
        assert not scenario.description.startswith("(")


@pytest.mark.parametrize("name", BROKEN)
def test_every_scenario_can_be_shortened_to_three_tenths(name: str) -> None:
    """At time scale 0.3 the phases are long enough for every check."""
    check_own_load(load_scenario(name))
    plan = planned(name, 0.3)
    assert plan.stabilization_s >= 7
    assert plan.recovery_s >= 15


def test_no_scenario_asks_for_more_than_two_shared_cores_carry() -> None:
    """At 2,000 op/s and more the generator, proxy and nodes wait for each other (ADR 13)."""
    rates = {name: load_scenario(name).target_rate for name in NAMES}
    assert not {name: rate for name, rate in rates.items() if (rate or 0) > 2 * DEFAULT_RATE}


def test_none_has_no_phases() -> None:
    """The control runs until it is stopped."""
    assert not load_scenario("none").has_phases


def test_the_majority_is_two_of_three_nodes() -> None:
    """67 percent of three nodes are two."""
    assert [len(fault.nodes) for fault in planned("majority-failure").faults] == [2]


def test_flapping_hits_one_node_five_times() -> None:
    """The seed chooses once for all repetitions."""
    faults = planned("flapping-node").faults
    assert [fault.at_s for fault in faults] == [0, 20, 40, 60, 80]
    assert len({fault.nodes for fault in faults}) == 1


def test_what_a_scenario_asks_for_reaches_the_plan() -> None:
    """Load, client settings, budgets and abort go through unscaled."""
    text = (
        "name: x\nload: {users: 7, target_rate: 9}\nclient: {op_timeout: 2s}\n"
        "budgets: {recovers_within: 4s, error_budget: 1%}\n"
        "abort: {error_rate: {above: 90%, for: 10s}}\n"
        "faults: [{id: a, at: 1s, duration: 4s, kind: down, target: {mode: one}}]\n"
    )
    scenario = scenario_from_text(text)
    plan = make_plan(scenario, seed=1, nodes=NODES, time_scale=0.5, recovers_within_s=4)
    assert scenario.client_settings() == {"op_timeout": 2.0} == dict(plan.client)
    assert dict(plan.load) == {"users": 7, "target_rate": 9}
    assert dict(plan.budgets) == {"recovers_within": 4.0, "error_budget": 0.01}
    assert dict(plan.abort) == {"error_rate_above": 0.9, "error_rate_for_s": 10}
    assert (plan.faults[0].at_s, plan.faults[0].duration_s, plan.testing_s) == (0.5, 2.0, 2.5)
