"""What load processes do to themselves is proved by their own words, and waits for no dead one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from faults.backends.ordering import ANSWER_S, Words
from faults.backends.workers import OVERTIME_S, WorkersBackend
from faults.errors import FaultError
from faults.plan import make_plan
from faults.planfile import load_plan_text, plan_to_yaml
from faults.planned import Plan, PlannedFault
from faults.plantext import plan_text
from faults.scenario import ScenarioError, scenario_from_text
from tests.links import FakeLink

SILENT: Words = {"silent": True}


@pytest.fixture
def link() -> FakeLink:
    return FakeLink()


@pytest.fixture
def backend(link: FakeLink) -> WorkersBackend:
    return WorkersBackend(link, clock=lambda: link.now, sleep=link.sleep)


def plan_of(*faults: str, head: str = "") -> Plan:
    text = f"name: x\n{head}faults:\n" + "".join(f"  - {fault}\n" for fault in faults)
    return make_plan(
        scenario_from_text(text),
        seed=1,
        nodes=["node1", "node2", "node3"],
        time_scale=1,
        recovers_within_s=10,
    )


def fault_of(kind: str) -> PlannedFault:
    return plan_of(f"{{id: a, at: 0s, duration: 4s, {kind}}}").faults[0]


ABORT = fault_of("kind: abort, share: 5%")
STEP = fault_of("kind: clock_step, by: -1m")


def test_an_order_says_all_that_a_process_needs_and_when_it_ends_by_itself(
    link: FakeLink, backend: WorkersBackend
) -> None:
    """Nothing is left with the guard: the order carries its own end."""
    assert backend.undos(ABORT) == {}
    backend.inject(ABORT)
    assert link.standing["a"] == {
        "id": "a",
        "kind": "abort",
        "attributes": {"abort_share": 0.05},
        "for_s": 4.0 + OVERTIME_S,
    }
    assert backend.leftovers() == ["the order a stands"]
    assert backend.clean() == ["took back the order a"]
    assert (link.standing, backend.leftovers(), backend.clean()) == ({}, [], [])


def test_it_is_in_place_once_every_living_process_says_so(
    link: FakeLink, backend: WorkersBackend
) -> None:
    """A slow one is waited for; one that is lost on the way is left out."""
    link.words = lambda _, now: {
        "w1": {"calls": 0},
        "w2": {"calls": 0} if now > 1.0 else SILENT,
        **({"dead": SILENT} if now < 2.0 else {}),
    }
    assert backend.read_back(ABORT) == "carried out by 2 load processes: w1, w2"
    assert link.now == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        pytest.param({"w1": {}, "w2": SILENT}, "w2 does not carry the order out", id="silent"),
        pytest.param({"w1": None}, "w1 does not carry the order out", id="does not"),
        pytest.param({}, "no load process does not carry the order out", id="nobody"),
    ],
)
def test_what_is_not_carried_out_is_said_in_time(
    link: FakeLink, backend: WorkersBackend, words: Mapping[str, Words | None], problem: str
) -> None:
    """A process that does not answer is named, and nobody waits for ever."""
    link.words = lambda *_: words
    with pytest.raises(FaultError, match=problem):
        backend.read_back(ABORT)
    assert link.now == pytest.approx(ANSWER_S, abs=0.1)


def test_cut_off_calls_prove_themselves_by_their_number(
    link: FakeLink, backend: WorkersBackend
) -> None:
    """The counts of all processes are added up, as soon as there are any."""
    cut = {"calls": 40, "by_timeout": 1, "by_kill": 2}
    link.words = lambda _, now: {"w1": cut if now > 0.5 else {"calls": 9}, "w2": {"calls": 10}}
    seen = backend.observe(ABORT)
    assert seen == "1 calls cut off by a timeout and 2 by a kill, of the first 50"
    link.words = lambda *_: {"w1": {"calls": 99}}
    with pytest.raises(FaultError, match="of 99 calls none was cut off"):
        backend.observe(ABORT)


@pytest.mark.parametrize(
    ("shifts", "is_right"),
    [
        pytest.param([-60.0, -59.95], True, id="all stepped"),
        pytest.param([-60.0, 0.0], False, id="one did not"),
        pytest.param([60.0], False, id="the wrong way"),
        pytest.param([], False, id="nobody looked"),
    ],
)
def test_a_step_is_read_off_the_clocks(
    link: FakeLink, backend: WorkersBackend, shifts: list[float], is_right: bool
) -> None:
    """Every process holds its clock against the system's."""
    link.words = lambda *_: {f"w{at}": {"shift_s": shift} for at, shift in enumerate(shifts)}
    if is_right:
        assert "w0 -60.000 s" in backend.observe(STEP)
    else:
        with pytest.raises(FaultError, match="was to step by -60 s"):
            backend.observe(STEP)


def test_it_is_gone_once_every_living_process_says_so(
    link: FakeLink, backend: WorkersBackend
) -> None:
    """Who had ended it before is named: then it was not on for its whole time."""
    backend.inject(ABORT)
    link.words = lambda *_: {"w1": {"calls": 9, "by_timeout": 3, "by_kill": 4}, "w2": None}
    backend.heal(ABORT)
    link.words = lambda _, now: {"w1": None if now > 1 else SILENT, "w2": None}
    assert backend.read_back_healed(ABORT) == "ended in 2 load processes; w2 had ended it before"
    assert "3 by a timeout and 4 by a kill" in backend.observe_healed(ABORT)
    link.words = lambda *_: {"w1": {"calls": 10}}
    with pytest.raises(FaultError, match="w1 still carries out a"):
        backend.observe_healed(ABORT)


GOOD: dict[str, tuple[str, Any]] = {
    "share left out": ("kind: abort", {"abort_share": 0.02}),
    "a share": ("kind: abort, share: 0.1", {"abort_share": 0.1}),
    "all nodes": ("kind: abort, share: 10%, target: {mode: all}", {"abort_share": 0.1}),
    "forward": ("kind: clock_step, by: 30s", {"by_s": 30.0}),
    "forward, with a sign": ("kind: clock_step, by: +1h", {"by_s": 3600.0}),
    "back": ("kind: clock_step, by: -500ms", {"by_s": -0.5}),
    "a number": ("kind: clock_step, by: -5", {"by_s": -5.0}),
}

BAD: dict[str, tuple[str, str]] = {
    "no share": ("kind: abort, share: 0", "a share of calls above 0"),
    "too much": ("kind: abort, share: 80%", "a share of calls above 0"),
    "some nodes": ("kind: abort, target: {mode: one}", "spares no node: leave target out"),
    "no step": ("kind: clock_step, by: 0s", "is no step"),
    "two signs": ("kind: clock_step, by: --5s", "'--5s' is no duration"),
    "yes": ("kind: clock_step, by: yes", "is no duration"),
    "a list": ("kind: clock_step, by: [1]", "is no duration"),
    "by missing": ("kind: clock_step", "the key 'by' is missing"),
    "no groups": ("kind: split, group: 1, target: {mode: one}", "add `groups: 2`"),
    "group 0": ("kind: split, group: 0, target: {mode: one}", "greater than or equal to 1"),
}


@pytest.mark.parametrize("case", GOOD)
def test_what_such_faults_take(case: str) -> None:
    """Numbers in base units; they hit every node's calls and touch no node."""
    text, attributes = GOOD[case]
    fault = fault_of(text)
    assert fault.attributes == attributes
    assert fault.nodes == ("node1", "node2", "node3")
    assert not fault.effects & {"unavailable", "degraded", "cold", "pressure"}


@pytest.mark.parametrize("case", BAD)
def test_what_they_refuse(case: str) -> None:
    """One line that says what is wrong."""
    text, problem = BAD[case]
    with pytest.raises(ScenarioError) as caught:
        fault_of(text)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


LEFT = "{id: l, at: 0s, duration: 4s, kind: split, group: 1, target: {mode: one}}"
RIGHT = "{id: r, at: 0s, duration: 4s, kind: split, group: 2, target: {mode: one}}"
DOWN = "{id: d, at: 0s, duration: 4s, kind: down, target: {mode: one}}"


def test_a_split_takes_different_nodes_from_each_group_and_survives_its_plan_file() -> None:
    """Two splits at once never shut the same node, whatever the seed."""
    head = "groups: 2\nclient: {failover: rehash}\n"
    plan = plan_of(LEFT, RIGHT, head=head)
    left, right = plan.faults
    assert set(left.nodes).isdisjoint(right.nodes)
    assert (left.attributes["group"], right.attributes["group"]) == (1.0, 2.0)
    assert (plan.groups, dict(plan.client)) == (2, {"failover": "rehash"})
    assert load_plan_text(plan_to_yaml(plan)) == plan
    assert "client: failover rehash\ngroups of users: 2" in plan_text(plan)


@pytest.mark.parametrize(
    ("fault", "head", "problem"),
    [
        pytest.param(RIGHT, "", "add `groups: 2`", id="one group"),
        pytest.param(RIGHT.replace("2", "3", 1), "groups: 2\n", "there are 2", id="no such group"),
        pytest.param(DOWN, "groups: 2\n", "would spare the others", id="hits one group only"),
        pytest.param(LEFT, "groups: 99\n", "less than or equal to 8", id="too many"),
    ],
)
def test_groups_that_do_not_fit_their_faults(fault: str, head: str, problem: str) -> None:
    """What would quietly break less than it says is refused."""
    with pytest.raises(ScenarioError, match=problem):
        plan_of(fault, head=head)


def test_what_touches_no_node_may_overlap_with_what_does() -> None:
    """Calls are cut off whether or not a node is down; neither hides the other."""
    abort = "{id: a, at: 0s, duration: 4s, kind: abort}"
    assert len(plan_of(abort, DOWN).faults) == 2
    with pytest.raises(ScenarioError, match="overlaps"):
        plan_of(abort, abort.replace("id: a", "id: b"))
