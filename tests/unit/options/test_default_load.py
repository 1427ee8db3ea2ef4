"""The load of a scenario that names none: one for the tools that look at it and the run."""

from __future__ import annotations

from argparse import Namespace

import pytest

from faults.errors import ScenarioError
from faults.scenario import Scenario, check_own_load, scenario_from_text
from options.of_run import read_load

UNSAID = Namespace(num_users=None, target_rate=None)


def late_by(delay_ms: int, load: str) -> Scenario:
    does = f"kind: latency, latency: {delay_ms}ms, target: {{mode: all}}"
    fault = f"{{id: a, at: 0s, duration: 5s, {does}}}"
    return scenario_from_text(f"name: x\n{load}\nfaults: [{fault}]\n")


@pytest.mark.parametrize(
    ("delay_ms", "load"),
    [
        pytest.param(30, "", id="neither users nor rate"),
        pytest.param(40, "load: {users: 60}", id="users alone"),
        pytest.param(20, "load: {target_rate: 1200}", id="rate alone"),
    ],
)
def test_a_load_that_the_run_can_carry_is_not_refused_before(delay_ms: int, load: str) -> None:
    """What a scenario leaves unsaid is for its file's check what it is for the run."""
    scenario = late_by(delay_ms, load)
    users, rate = read_load(UNSAID, scenario)
    scenario.check_load(users=users, target_rate=rate, nodes=3)
    check_own_load(scenario)


def test_a_load_that_is_too_much_is_named_as_the_run_names_it() -> None:
    """The line of `faults validate` is that of the run."""
    scenario = late_by(60, "")
    users, rate = read_load(UNSAID, scenario)
    with pytest.raises(ScenarioError) as of_run:
        scenario.check_load(users=users, target_rate=rate, nodes=3)
    with pytest.raises(ScenarioError) as of_file:
        check_own_load(scenario)
    assert str(of_file.value) == str(of_run.value)
