"""Drawn faults: one seed, one plan; and a cluster that can always be judged."""

from __future__ import annotations

import itertools
import random

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from faults.attributes import spec_of
from faults.drawable import DRAWABLE, NOT_DRAWN, ON_NO_NODE
from faults.errors import ScenarioError
from faults.kinds import KINDS
from faults.looking import drawn
from faults.plan import Plan, load_plan_text, make_plan, plan_to_yaml
from faults.randomly import MOST_AHEAD, RandomFaults, draw_faults, drawable_kinds
from faults.scenario import check_own_load, load_scenario, scenario_from_text

AS_EVER = [
    ("1-latency", "0s", "22.9s", ["node1"]),
    ("2-latency", "31.2s", "29.3s", ["node3"]),
    ("3-down", "69.6s", "25.8s", ["node2", "node3"]),
]

seeds = st.integers(0, 2**63)
clusters = st.integers(2, 7).map(lambda n: [f"node{number + 1}" for number in range(n)])
words = st.builds(
    RandomFaults,
    faults=st.integers(1, 12),
    kinds=st.lists(st.sampled_from(drawable_kinds()), max_size=6).map(tuple),
    shortest=st.floats(0.5, 5),
    longest=st.floats(5, 20),
    gap=st.floats(0, 10),
)


def planned(said: RandomFaults, seed: int, nodes: list[str]) -> Plan:
    file = {"name": "drawn", "load": {"users": 100, "target_rate": 600}}
    file["random"] = said.model_dump(mode="json")
    scenario = scenario_from_text(yaml.safe_dump(file))
    return make_plan(scenario, seed=seed, nodes=nodes, time_scale=1, recovers_within_s=10)


@settings(max_examples=30, deadline=None)
@given(words, seeds, clusters)
def test_one_node_is_always_left_alone(said: RandomFaults, seed: int, nodes: list[str]) -> None:
    """At every moment there is a node that nothing was done to, and faults share no node."""
    plan = planned(said, seed, nodes)
    assert len(plan.faults) == said.faults
    on_nodes = [fault for fault in plan.faults if fault.backend not in ON_NO_NODE]
    for fault in on_nodes:
        together = [f for f in on_nodes if f.at_s <= fault.at_s < f.end_s]
        hit = [node for one in together for node in one.nodes]
        assert len(hit) == len(set(hit)) < len(nodes)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_every_node_is_seen_unharmed(count: int) -> None:
    """No node is hit by much more than its share, so that none is broken all the time."""
    nodes = [f"node{number + 1}" for number in range(count)]
    for seed in range(60):
        found = draw_faults(RandomFaults(faults=12, kinds=("down",)), seed=seed, nodes=nodes)
        hits = [sum(node in fault["target"]["nodes"] for fault in found) for node in nodes]
        assert max(hits) - min(hits) <= MOST_AHEAD + 1
        assert max(hits) < len(found)


@settings(max_examples=30, deadline=None)
@given(words, seeds, clusters)
def test_the_cluster_has_time_to_recover(said: RandomFaults, seed: int, nodes: list[str]) -> None:
    """Between faults that do not overlap lies the gap, and lengths are as asked for."""
    faults = sorted(planned(said, seed, nodes).faults, key=lambda fault: fault.at_s)
    for number, fault in enumerate(faults[1:], 1):
        before_s = max(one.end_s for one in faults[:number])
        assert fault.at_s < before_s or fault.at_s >= before_s + said.gap - 0.11
    for fault in faults:
        assert said.shortest - 0.11 <= fault.duration_s <= said.longest + 0.11


@settings(max_examples=20, deadline=None)
@given(words, seeds, clusters)
def test_one_seed_gives_one_plan(said: RandomFaults, seed: int, nodes: list[str]) -> None:
    """The same words, seed and nodes give the same text, and the file reads back to the plan."""
    plan = planned(said, seed, nodes)
    assert plan_to_yaml(plan) == plan_to_yaml(planned(said, seed, nodes))
    assert load_plan_text(plan_to_yaml(plan)) == plan


def test_the_draw_is_the_same_on_every_machine() -> None:
    """Written down once: a change here changes every seed that somebody has noted."""
    said = RandomFaults(faults=3, kinds=("down", "latency", "crash"))
    found = draw_faults(said, seed=7, nodes=["node1", "node2", "node3"])
    assert [(f["id"], f["at"], f["duration"], f["target"]["nodes"]) for f in found] == AS_EVER


def test_one_more_fault_changes_none_before_it() -> None:
    """Each fault draws from a source of its own."""
    nodes = ["node1", "node2", "node3"]
    for seed in range(30):
        few = draw_faults(RandomFaults(faults=4), seed=seed, nodes=nodes)
        assert draw_faults(RandomFaults(faults=5), seed=seed, nodes=nodes)[:4] == few


def test_seeds_reach_every_kind_and_every_node() -> None:
    """Nothing that may be drawn is never drawn; some faults overlap and some hit two nodes."""
    nodes = ["node1", "node2", "node3"]
    plans = [planned(RandomFaults(), seed, nodes) for seed in range(60)]
    found = [fault for plan in plans for fault in plan.faults]
    assert {fault.kind for fault in found} == set(drawable_kinds())
    assert {node for fault in found for node in fault.nodes} == set(nodes)
    assert {len(f.nodes) for f in found if f.backend not in ON_NO_NODE} == {1, 2}
    pairs = [pair for plan in plans for pair in itertools.pairwise(plan.faults)]
    beside = sum(later.at_s < one.end_s for one, later in pairs)
    assert 0.1 < beside / len(pairs) < 0.5


def test_every_kind_may_be_drawn_or_is_left_out_for_a_reason() -> None:
    """A new kind has its ranges, or a line that says why not."""
    assert set(DRAWABLE) | set(NOT_DRAWN) == set(KINDS)
    assert not set(DRAWABLE) & set(NOT_DRAWN)


@pytest.mark.parametrize("kind", sorted(DRAWABLE))
def test_what_is_drawn_is_a_fault(kind: str) -> None:
    """Every value out of the ranges makes a fault, and its attributes lead back to the same."""
    for seed in range(20):
        rng = random.Random(seed)
        keys = {key: source.draw(rng) for key, source in DRAWABLE[kind].items()}
        file = {"id": "a", "at": 0, "duration": 5, "kind": kind, "target": {"mode": "all"}, **keys}
        (spec,) = scenario_from_text(yaml.safe_dump({"name": "x", "faults": [file]})).faults
        attributes = dict(spec.attributes())
        again = spec_of(kind, attributes)
        assert again.words_of(attributes) == spec.words_of(attributes)


def test_random_chaos_asks_for_a_load_that_every_draw_allows() -> None:
    """No seed makes its load impossible."""
    scenario = load_scenario("random-chaos")
    nodes = ["node1", "node2", "node3"]
    for seed in range(100):
        check_own_load(scenario.drawn(seed=seed, nodes=nodes))


def test_a_drawn_file_runs_as_the_scenario_would() -> None:
    """`random` prints what random-chaos of the same seed does, as a file of its own."""
    text, timeline = drawn(seed=5, faults=6, nodes=3, kinds=[])
    nodes = ["node1", "node2", "node3"]
    file = make_plan(
        scenario_from_text(text), seed=1, nodes=nodes, time_scale=1, recovers_within_s=10
    )
    same = make_plan(
        load_scenario("random-chaos"), seed=5, nodes=nodes, time_scale=1, recovers_within_s=10
    )
    assert file.faults == same.faults
    assert all(fault.id in timeline for fault in file.faults)


def test_one_node_is_too_few() -> None:
    """There is no node left to stay healthy, and it is said."""
    scenario = load_scenario("random-chaos")
    with pytest.raises(ScenarioError, match="2 nodes or more"):
        make_plan(scenario, seed=1, nodes=["node1"], time_scale=1, recovers_within_s=10)
