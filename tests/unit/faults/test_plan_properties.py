"""What holds for every plan, whatever the scenario, seed and scale."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from faults.errors import ScenarioError
from faults.plan import Plan, load_plan_text, make_plan, plan_text, plan_to_yaml
from faults.scenario import Scenario, scenario_from_text

KINDS: dict[str, dict[str, Any]] = {
    "down": {},
    "timeout": {},
    "crash": {},
    "hang": {},
    "latency": {"latency": "20ms", "jitter": "5ms"},
}

targets = st.one_of(
    st.just({"mode": "one"}),
    st.just({"mode": "all"}),
    st.integers(1, 3).map(lambda n: {"mode": "fixed", "value": n}),
    st.integers(34, 100).map(lambda n: {"mode": "fixed-percent", "value": n}),
    st.just({"nodes": ["node2"]}),
)


@st.composite
def scenarios(draw: st.DrawFn) -> dict[str, Any]:
    faults: list[dict[str, Any]] = []
    for number in range(draw(st.integers(0, 5))):
        kind = draw(st.sampled_from(sorted(KINDS)))
        fault = {"id": f"f{number}", "kind": kind, "target": draw(targets), **KINDS[kind]}
        fault["duration"] = draw(st.floats(0.1, 30, allow_nan=False))
        chained: bool = draw(st.booleans())
        if faults and chained:
            fault["after"] = draw(st.sampled_from(faults))["id"]
        else:
            fault["at"] = draw(st.floats(0, 60, allow_nan=False))
        if draw(st.booleans()):
            every = fault["duration"] + draw(st.floats(0, 5, allow_nan=False))
            fault["repeat"] = {"times": draw(st.integers(1, 4)), "every": every}
        faults.append(fault)
    return {"name": "drawn", "phases": {"stabilization": "30s"}, "faults": faults}


def resolved(data: dict[str, Any], seed: int, scale: float) -> Plan:
    scenario = scenario_from_text(yaml.safe_dump(data))
    nodes = ["node1", "node2", "node3", "node4"]
    try:
        return make_plan(scenario, seed=seed, nodes=nodes, time_scale=scale, recovers_within_s=10)
    except ScenarioError as why:
        # Faults that would hide each other are refused; nothing else of this may be.
        assume("hide the other" not in str(why))
        raise


@settings(max_examples=60, deadline=None)
@given(scenarios(), st.integers(0, 1000), st.floats(0.3, 3, allow_nan=False))
def test_every_plan_ends_healed(data: dict[str, Any], seed: int, scale: float) -> None:
    """No fault outlasts the testing phase, and each hits nodes that exist."""
    plan = resolved(data, seed, scale)
    for fault in plan.faults:
        assert 0 <= fault.at_s < fault.end_s <= plan.testing_s
        assert fault.nodes
        assert set(fault.nodes) <= set(plan.nodes)


@settings(max_examples=60, deadline=None)
@given(scenarios(), st.integers(0, 1000), st.floats(0.3, 3, allow_nan=False))
def test_one_seed_gives_one_text(data: dict[str, Any], seed: int, scale: float) -> None:
    """The same scenario, seed and scale print the same, and the file reads back to the plan."""
    plan, again = resolved(data, seed, scale), resolved(data, seed, scale)
    assert plan_text(plan) == plan_text(again)
    assert plan_to_yaml(plan) == plan_to_yaml(again)
    assert load_plan_text(plan_to_yaml(plan)) == plan


@settings(max_examples=60, deadline=None)
@given(scenarios(), st.integers(0, 1000))
def test_no_fault_hides_another(data: dict[str, Any], seed: int) -> None:
    """Faults of which one makes a node unavailable never overlap on that node."""
    for one, other in itertools.combinations(resolved(data, seed, 1.0).faults, 2):
        if "unavailable" in one.effects | other.effects and set(one.nodes) & set(other.nodes):
            assert one.end_s <= other.at_s or other.end_s <= one.at_s


@settings(max_examples=60, deadline=None)
@given(scenarios(), st.integers(0, 1000), st.floats(0.3, 3, allow_nan=False))
def test_the_scale_touches_times_only(data: dict[str, Any], seed: int, scale: float) -> None:
    """Nodes, kinds and attributes are those of the unscaled plan."""
    plain, scaled = resolved(data, seed, 1.0), resolved(data, seed, scale)
    key = {fault.id: (fault.kind, fault.nodes, fault.attributes) for fault in plain.faults}
    assert {f.id: (f.kind, f.nodes, f.attributes) for f in scaled.faults} == key


def test_seeds_choose_differently() -> None:
    """Every node is hit by some seed."""
    data = {
        "name": "x",
        "faults": [{"id": "a", "at": 0, "duration": 5, "kind": "down", "target": {"mode": "one"}}],
    }
    hit = {resolved(data, seed, 1.0).faults[0].nodes for seed in range(40)}
    assert len(hit) == 4


def test_leaving_a_fault_out_changes_no_other() -> None:
    """Each fault draws from a source of its own."""
    one = {"duration": 5, "kind": "down", "target": {"mode": "one"}}
    both = [{"id": "a", "at": 0, **one}, {"id": "b", "at": 50, **one}]
    for seed in range(20):
        full = resolved({"name": "x", "faults": both}, seed, 1.0)
        less = resolved({"name": "x", "faults": both[1:]}, seed, 1.0)
        assert full.faults[1].nodes == less.faults[0].nodes


def scenario(**more: Any) -> Scenario:
    return scenario_from_text(yaml.safe_dump({"name": "x", **more}))


ONE = {"id": "a", "at": 0, "duration": 5, "kind": "down", "target": {"mode": "one"}}


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        pytest.param(0.0, "time scale 0", id="zero"),
        pytest.param(-1.0, "time scale -1", id="negative"),
        pytest.param(float("nan"), "time scale nan", id="not a number"),
        pytest.param(float("inf"), "time scale inf", id="endless"),
        pytest.param(0.2, "smallest time scale that works is 0.25", id="too small"),
    ],
)
def test_a_scale_that_cannot_be(scale: float, expected: str) -> None:
    """The line names the smallest scale that works."""
    with pytest.raises(ScenarioError, match=expected):
        make_plan(
            scenario(faults=[ONE]), seed=1, nodes=["n"], time_scale=scale, recovers_within_s=10
        )


def test_the_smallest_scale_that_is_named_works() -> None:
    """0.25 of 60 s recovery are the 15 s it needs; the baseline needs 0.24."""
    plan = make_plan(
        scenario(faults=[ONE]), seed=1, nodes=["n"], time_scale=0.25, recovers_within_s=10
    )
    assert plan.recovery_s == 15


def test_a_recovery_shorter_than_its_limit_is_refused() -> None:
    """recovers_within + 5 s must fit into the recovery phase."""
    short = scenario(faults=[ONE], phases={"recovery": "14s"})
    with pytest.raises(ScenarioError, match=r"recovery phase of 14s .* lengthen the phase"):
        make_plan(short, seed=1, nodes=["n"], time_scale=1, recovers_within_s=10)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        pytest.param({"nodes": ["node9"]}, "unknown node 'node9'", id="unknown node"),
        pytest.param({"mode": "fixed", "value": 4}, "wants 4 nodes and there are 3", id="too many"),
        pytest.param({"mode": "fixed-percent", "value": 33}, "matches no node", id="33 percent"),
    ],
)
def test_a_target_that_matches_no_node(target: dict[str, Any], expected: str) -> None:
    """The line names the fault and the way out."""
    with pytest.raises(ScenarioError, match=expected):
        make_plan(
            scenario(faults=[{**ONE, "target": target}]),
            seed=1,
            nodes=["node1", "node2", "node3"],
            time_scale=1,
            recovers_within_s=10,
        )


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(("kind: down", "kind: gone"), id="unknown kind"),
        pytest.param(("plan: 1", "plan: 2"), id="another format"),
        pytest.param(("duration: 5.0", "duration: 500.0"), id="a fault that outlasts testing"),
        pytest.param(("seed: 1", "sead: 1"), id="unknown key"),
    ],
)
def test_a_damaged_plan_is_refused(damage: tuple[str, str]) -> None:
    """One line, as for a scenario."""
    plan = make_plan(
        scenario(faults=[ONE]), seed=1, nodes=["n"], time_scale=1, recovers_within_s=10
    )
    text = plan_to_yaml(plan)
    assert damage[0] in text
    with pytest.raises(ScenarioError) as caught:
        load_plan_text(text.replace(*damage))
    assert "\n" not in str(caught.value)
