"""What memory, connections, flush, overload and cpu take, and how they refuse the rest."""

from __future__ import annotations

import pytest

from faults.errors import ScenarioError
from faults.kinds import KINDS
from faults.plan import load_plan_text, make_plan, plan_text, plan_to_yaml
from faults.planned import Plan
from faults.scenario import scenario_from_text

NODES = ("node1", "node2", "node3")


def plan_of(words: str) -> Plan:
    text = f"name: x\nfaults: [{{id: a, at: 0s, duration: 5s, {words}, target: {{mode: one}}}}]\n"
    return make_plan(
        scenario_from_text(text), seed=1, nodes=NODES, time_scale=1, recovers_within_s=10
    )


@pytest.mark.parametrize(
    ("words", "attributes", "effects", "shown"),
    [
        pytest.param(
            "kind: memory, limit: 16", {"limit_mb": 16}, {"pressure"}, "limit_mb 16", id="memory"
        ),
        pytest.param(
            "kind: memory, limit: 8MB", {"limit_mb": 8}, {"pressure"}, "limit_mb 8", id="in MB"
        ),
        pytest.param(
            "kind: connections, free: 0", {"free": 0}, {"pressure"}, "free 0", id="connections"
        ),
        pytest.param("kind: flush", {}, {"cold"}, "flush on", id="flush"),
        pytest.param(
            "kind: overload, rate: 500",
            {"rate": 500, "size": 65536},
            {"pressure"},
            "rate 500 size 65536",
            id="overload",
        ),
        pytest.param(
            "kind: overload, rate: 10, size: 100KB",
            {"rate": 10, "size": 100_000},
            {"pressure"},
            "rate 10 size 100000",
            id="overload with a size",
        ),
        pytest.param(
            "kind: cpu, share: 10%", {"cpu_share": 0.1}, {"pressure"}, "cpu 10 %", id="cpu"
        ),
    ],
)
def test_what_a_kind_takes_reaches_the_plan_and_its_file(
    words: str, attributes: dict[str, float], effects: set[str], shown: str
) -> None:
    """Attributes in base units, the effect, a line for people; the plan's file gives them back."""
    plan = plan_of(words)
    (fault,) = plan.faults
    assert fault.attributes == attributes
    assert fault.effects == effects
    assert shown in plan_text(plan)
    assert load_plan_text(plan_to_yaml(plan)) == plan


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("kind: memory", "the key 'limit' is missing"),
        ("kind: memory, limit: 4", "memcached takes a limit between 8 and 1000000 MB"),
        ("kind: memory, limit: 8388608", "memcached takes a limit between 8 and 1000000 MB"),
        (
            "kind: memory, limit: lots",
            "'lots' is no size (like 64KB or 16MB; a plain number is MB)",
        ),
        ("kind: memory, limit: 8.5", "in whole MB"),
        ("kind: memory, limit: 8, free: 1", "unknown key 'free'"),
        ("kind: connections", "the key 'free' is missing"),
        ("kind: connections, free: -1", "is no whole number, 0 or more"),
        ("kind: connections, free: 200000", "100000 free connections at most"),
        ("kind: flush, limit: 8", "unknown key 'limit'"),
        ("kind: overload", "the key 'rate' is missing"),
        ("kind: overload, rate: 0", "1 to 20000 reads a second"),
        ("kind: overload, rate: 90000", "1 to 20000 reads a second"),
        ("kind: overload, rate: 5, size: 2000KB", "a value has 1 to 1000000 bytes"),
        (
            "kind: overload, rate: 5, size: big",
            "is no size (like 64KB or 16MB; a plain number is B)",
        ),
        ("kind: overload, rate: 20000, size: 1000KB", "rate x size is 2 GB/s at most"),
        ("kind: cpu", "the key 'share' is missing"),
        ("kind: cpu, share: 0", "a share of a processor between 1% and 90%"),
        ("kind: cpu, share: 100%", "a share of a processor between 1% and 90%"),
        ("kind: cpu, share: half", "is no share (like 5% or 0.05)"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(words: str, problem: str) -> None:
    """The line names the problem and what would do."""
    with pytest.raises(ScenarioError) as refused:
        plan_of(words)
    assert problem in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("kind", ["memory", "connections", "flush", "overload", "cpu"])
def test_every_kind_says_in_plain_words_what_is_done(kind: str) -> None:
    """A report never shows a fault without what was really done."""
    assert len(KINDS[kind].words_of({})) > 20


@pytest.mark.parametrize(
    ("pair", "fits"),
    [
        pytest.param(("cpu, share: 2%", "overload, rate: 9"), True, id="two pressures"),
        pytest.param(("memory, limit: 8", "flush"), True, id="pressure and cold"),
        pytest.param(("cpu, share: 2%", "cpu, share: 3%"), False, id="twice the same"),
        pytest.param(("cpu, share: 2%", "crash"), False, id="the node is gone"),
    ],
)
def test_pressures_add_up_and_a_dead_node_feels_none(pair: tuple[str, str], fits: bool) -> None:
    """Two faults may meet on a node unless one hides the other."""
    text = "name: x\nfaults:\n" + "".join(
        f"  - {{id: f{i}, at: 0s, duration: 5s, kind: {kind}, target: {{nodes: [node1]}}}}\n"
        for i, kind in enumerate(pair)
    )
    scenario = scenario_from_text(text)
    if fits:
        make_plan(scenario, seed=1, nodes=NODES, time_scale=1, recovers_within_s=10)
        return
    with pytest.raises(ScenarioError, match="would hide the other"):
        make_plan(scenario, seed=1, nodes=NODES, time_scale=1, recovers_within_s=10)
