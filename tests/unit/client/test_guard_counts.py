"""The guard over the nodes of a client: who is out, who may go, and who was refused."""

from __future__ import annotations

import inspect
import math

import hypothesis
import pytest
from hypothesis import strategies as st

from client.breaker import FAILURE, SUCCESS, Breaker
from client.breaker_settings import BreakerSettings
from client.guard import ShareGuard
from client.settings import ClientSettings

LIMITS = {
    "no share still lets one go": (0.0, 3, 1),
    "a third of three": (1 / 3, 3, 2),
    "half of three": (0.5, 3, 2),
    "half of four": (0.5, 4, 3),
    "half of one": (0.5, 1, 1),
    "a tenth of fifty": (0.1, 50, 6),
    "nearly all of three": (0.99, 3, 3),
}


@pytest.mark.parametrize(("share", "nodes", "limit"), LIMITS.values(), ids=LIMITS.keys())
def test_opens_no_more_once_more_than_the_share_is_out(
    share: float, nodes: int, limit: int
) -> None:
    """The one that goes past the share is the last: floor(share * nodes) + 1, all at most."""
    guard = ShareGuard(share)
    for node in range(nodes):
        guard.join(node)
    allowed = [guard.take_out(node) for node in range(nodes)]
    assert allowed == [True] * limit + [False] * (nodes - limit)
    assert (guard.out, guard.refused) == (limit, nodes - limit)
    guard.put_back(0)
    assert guard.take_out(nodes - 1) or limit == nodes


@hypothesis.given(
    share=st.floats(0, 0.99),
    steps=st.lists(st.tuples(st.sampled_from("jlob"), st.integers(0, 5)), max_size=60),
)
def test_sums_are_those_of_a_list(share: float, steps: list[tuple[str, int]]) -> None:
    """Whatever the order, repeated or not, the sums are right and never past the limit."""
    guard, members, out = ShareGuard(share), set[int](), set[int]()
    for what, node in steps:
        match what:
            case "j":
                guard.join(node)
                members.add(node)
            case "l":
                guard.leave(node)
                members.discard(node)
                out.discard(node)
            case "o":
                may = node not in members or node in out or len(out) <= share * len(members)
                assert guard.take_out(node) == may
                if may and node in members:
                    out.add(node)
            case "b":
                guard.put_back(node)
                out.discard(node)
        assert (guard.members, guard.out) == (len(members), len(out))


class Nodes:
    """Three breakers under one guard, opened by two failures in a row."""

    def __init__(self, share: float) -> None:
        self.now = 0.0
        self.guard = ShareGuard(share)
        settings = BreakerSettings(consecutive_failures=2, open_jitter=0.0, half_open_probes=1)
        self.all = [
            Breaker(settings, name=f"n{i}", guard=self.guard, clock=lambda: self.now)
            for i in range(3)
        ]

    def fail(self, node: int, times: int = 2) -> list[bool]:
        breaker = self.all[node]
        return [breaker.done(breaker.acquire(), FAILURE) for _ in range(times)]

    @property
    def states(self) -> list[str]:
        return [breaker.status for breaker in self.all]


def test_calls_to_a_guarded_node_go_on_being_tried() -> None:
    """Refused is the opening, never a call, and each refusal is on record beside the moves."""
    nodes = Nodes(share=0.0)
    nodes.fail(0)
    assert nodes.fail(1, times=5) == [False] * 5
    guarded = nodes.all[1]
    assert nodes.states == ["open", "closed", "closed"]
    assert guarded.opens_refused == nodes.guard.refused == 4  # from the second failure on
    assert guarded.streak == 5
    assert not guarded.transitions
    assert not guarded.events
    assert guarded.acquire()


def test_a_node_that_closes_makes_room() -> None:
    """The next failure of a guarded node then opens it, because its streak is still true."""
    nodes = Nodes(share=0.0)
    nodes.fail(0)
    nodes.fail(1)
    nodes.now += 2
    first = nodes.all[0]
    probe = first.acquire()
    assert nodes.states[0] == "half_open"
    assert nodes.fail(1, times=1) == [False], "a half-open node is still out"
    first.done(probe, SUCCESS)
    assert nodes.guard.out == 0
    assert nodes.fail(1, times=1) == [True]
    assert nodes.states == ["closed", "open", "closed"]


def test_a_node_that_is_out_may_open_again() -> None:
    """A failed probe is not one node more: the guard has no say in it."""
    nodes = Nodes(share=0.0)
    nodes.fail(0)
    for _ in range(5):
        nodes.now += 2
        assert nodes.fail(0, times=1) == [True]
    assert nodes.all[0].opens_refused == 0


def test_a_node_that_was_removed_is_in_no_sum() -> None:
    """Its place among those out is free at once, and what it does later counts nowhere."""
    nodes = Nodes(share=0.0)
    nodes.fail(0)
    nodes.all[0].retire()
    assert (nodes.guard.members, nodes.guard.out) == (2, 0)
    assert nodes.fail(1) == [False, True]
    nodes.now += 2
    nodes.fail(0, times=1)
    assert nodes.states[0] == "open"
    assert nodes.guard.out == 1


def test_opened_by_hand_is_out_and_never_refused() -> None:
    """Who opens by hand knows why."""
    nodes = Nodes(share=0.0)
    for breaker in nodes.all:
        breaker.open()
    assert nodes.states == ["open"] * 3
    assert nodes.guard.out == 3
    for breaker in nodes.all:
        breaker.close()
    assert nodes.guard.out == nodes.guard.refused == 0


def test_off_by_default() -> None:
    """Without a share there is no guard, and all nodes may be out."""
    assert ClientSettings().guard_share is None


@pytest.mark.parametrize("share", [-0.1, 1, 1.5, math.nan, "half"])
def test_a_share_that_is_none_is_one_line(share: float) -> None:
    """A share is at least 0 and below 1, where it would forbid nothing."""
    with pytest.raises(ValueError, match=r"guard_share must be in \[0, 1\)"):
        ClientSettings(guard_share=share)


def test_no_loop_in_the_guard() -> None:
    """Every method costs the same for three nodes and for a thousand."""
    source = inspect.getsource(ShareGuard)
    assert not {"for", "while"} & set(source.split('"""')[2].split())
    assert repr(ShareGuard(0.5)) == "<ShareGuard 0/0 out, refuses above 50%, refused 0>"
