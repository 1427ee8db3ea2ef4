"""A name changes once, for everybody, and beside no fault that knows one address only."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from cluster.node import Door, Node
from faults.backends.names import NamesBackend
from faults.backends.ordering import ANSWER_S, Words
from faults.errors import FaultError
from faults.plan import make_plan
from faults.planfile import load_plan_text, plan_to_yaml
from faults.planned import Plan
from faults.scenario import ScenarioError, scenario_from_text
from tests.links import FakeLink

CHANGE = "{id: move, at: 0s, duration: 4s, kind: dns_change, target: {nodes: [node2]}}"
NODES = ["node1", "node2", "node3"]


def plan_of(*faults: str, head: str = "") -> Plan:
    text = f"name: x\n{head}faults:\n" + "".join(f"  - {fault}\n" for fault in faults)
    scenario = scenario_from_text(text)
    return make_plan(scenario, seed=1, nodes=NODES, time_scale=1, recovers_within_s=10)


@pytest.mark.parametrize(
    ("faults", "head", "problem"),
    [
        pytest.param(
            [CHANGE[:-1] + ", repeat: {times: 2, every: 9s}}"],
            "",
            "leave repeat out",
            id="repeated",
        ),
        pytest.param(
            [CHANGE, CHANGE.replace("move", "back").replace("at: 0s", "at: 9s")],
            "",
            "a name changes once",
            id="twice",
        ),
        pytest.param([CHANGE], "groups: 2\n", "leave groups out", id="groups of users"),
        pytest.param(
            [CHANGE, "{id: late, at: 5s, duration: 4s, kind: down, target: {nodes: [node1]}}"],
            "",
            "fault late works on one address of a node and fault move gives it another",
            id="beside a proxy's fault",
        ),
        pytest.param([CHANGE[:-1] + ", old: gone}"], "", "silent", id="an unknown word"),
    ],
)
def test_what_cannot_be_is_said_with_its_place(faults: list[str], head: str, problem: str) -> None:
    """One line, with line and column, before anything starts."""
    with pytest.raises(ScenarioError, match=problem) as caught:
        plan_of(*faults, head=head)
    assert "\n" not in str(caught.value)
    assert "scenario:" in str(caught.value)


def test_it_fits_beside_faults_of_the_node_itself() -> None:
    """They are there whatever the address."""
    hang = "{id: hang, at: 0s, duration: 4s, kind: hang, target: {nodes: [node1]}}"
    assert plan_of(CHANGE, hang).doors == 2


def test_a_node_needs_two_ways_only_where_its_name_changes() -> None:
    """Every other scenario gives clients the addresses they always had."""
    assert plan_of(CHANGE).doors == 2
    down = "{id: a, at: 0s, duration: 4s, kind: down, target: {mode: one}}"
    assert plan_of(down).doors == 1


def test_a_plan_file_says_the_same() -> None:
    """What the old address does is kept, and its words are made of it."""
    plan = plan_of(CHANGE[:-1] + ", old: refuses}")
    assert load_plan_text(plan_to_yaml(plan)) == plan
    assert plan.faults[0].attributes == {"old": "refuses"}
    assert "is closed" in plan.faults[0].emulated_by
    assert "drops every request" in plan_of(CHANGE).faults[0].emulated_by


def node(name: str) -> Node:
    return Node(
        name=name,
        address=("127.0.0.1", 11000),
        direct=("127.0.0.1", 12000),
        proxy=f"own-{name}",
        more_doors=(Door(address=("127.0.0.2", 11000), proxy=f"own-{name}.group2"),),
    )


def backend_of(link: FakeLink) -> NamesBackend:
    api: Any = SimpleNamespace(url="http://nowhere")
    nodes = [node(name) for name in NODES]
    return NamesBackend(api, lambda: nodes, link, clock=lambda: link.now, sleep=link.sleep)


def test_the_record_changes_in_every_process_or_the_fault_is_not_healed() -> None:
    """A process that still gives out the old address is named."""
    link = FakeLink()
    backend = backend_of(link)
    fault = plan_of(CHANGE).faults[0]
    backend.heal(fault)
    assert list(link.standing) == ["move:new"]
    assert backend.given_up == {"own-node2.group2"}
    new: Words = {"leads_to": {"node2": "127.0.0.1"}}
    link.words = lambda name, _: {"w1": new, "w2": new} if name == "move:new" else {}
    assert (
        backend.read_back_healed(fault)
        == "the name of node2 leads to 127.0.0.1 in 2 load processes"
    )
    link.words = lambda *_: {"w1": new, "w2": {"leads_to": {"node2": "127.0.0.2"}}}
    with pytest.raises(FaultError, match=r"^w2 does not say that the name of node2 leads to 127"):
        backend.read_back_healed(fault)
    assert link.now == pytest.approx(ANSWER_S, abs=0.1)


def test_without_two_addresses_it_is_refused() -> None:
    """A node that clients know by a number has no name to change."""
    link = FakeLink()
    api: Any = SimpleNamespace(url="http://nowhere")
    bare = Node(name="node2", address=("127.0.0.1", 1), direct=("127.0.0.1", 2), proxy="p")
    backend = NamesBackend(api, lambda: [bare], link)
    assert backend.needs(plan_of(CHANGE).faults[0]) == "node2 has no proxies at two addresses"
