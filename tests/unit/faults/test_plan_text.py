"""What a plan says to people about settings and limits."""

from __future__ import annotations

import pytest

from faults.plan import make_plan, plan_text
from faults.scenario import scenario_from_text


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        pytest.param("client: {op_timeout: 1500ms}", "client: op_timeout 1.5s", id="client"),
        pytest.param("budgets: {recovers_within: 500ms}", "recovers_within 500ms", id="seconds"),
        pytest.param("budgets: {error_budget: 0.5%}", "error_budget 0.5%", id="share"),
        pytest.param("budgets: {retry_amplification: 1.3}", "retry_amplification 1.3x", id="ratio"),
        pytest.param("budgets: {no_leaks: 5%, deadline_kept: 3}", "deadline_kept 3", id="count"),
    ],
)
def test_settings_and_limits_are_given_with_their_units(words: str, shown: str) -> None:
    """What stands there can be written into a scenario file as it is."""
    scenario = scenario_from_text(f"name: some\n{words}\n")
    plan = make_plan(scenario, seed=1, nodes=["node1"], time_scale=1, recovers_within_s=10)
    assert shown in plan_text(plan)
