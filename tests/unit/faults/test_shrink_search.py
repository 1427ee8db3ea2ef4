"""Shrinking finds the faults that matter, says when chance decides, and never runs on and on."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Collection

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faults.effect import Effect
from faults.errors import ScenarioError
from faults.planned import Plan, PlannedFault
from faults.shrink import REPEATS, Answer, End, Shrink, Shrunk, Try
from faults.smaller import LONGEST_IDLE_S, SHORTEST_S, earlier, keep, shorter

Ask = Callable[[Plan], Answer]


def plan_of(count: int, *, length_s: float = 8.0, gap_s: float = 5.0) -> Plan:
    faults = tuple(
        PlannedFault(
            id=str(number),
            kind="down",
            effects=frozenset({Effect.UNAVAILABLE}),
            nodes=(f"node{number % 3 + 1}",),
            at_s=round(number * (round(length_s, 6) + round(gap_s, 6)), 6),
            duration_s=round(length_s, 6),
        )
        for number in range(count)
    )
    return Plan(
        scenario="drawn",
        description="",
        seed=1,
        time_scale=1.0,
        stabilization_s=10.0,
        testing_s=max((fault.end_s for fault in faults), default=5.0),
        recovery_s=20.0,
        faults=faults,
        nodes=("node1", "node2", "node3"),
    )


def ids(plan: Plan) -> set[str]:
    return {fault.id for fault in plan.faults}


def fails_with(needed: Collection[str], *, shortest_s: float = 0.0) -> Ask:
    """Give a client that fails whenever all of these faults happen, and last long enough."""

    def ask(plan: Plan) -> Answer:
        long_enough = {f.id for f in plan.faults if f.duration_s >= shortest_s}
        return Answer.FAILS if set(needed) <= long_enough else Answer.HOLDS

    return ask


def search(plan: Plan, ask: Ask, most_runs: int = 1000) -> Shrunk:
    return Shrink(plan, ask, most_runs=most_runs).run()


counts = st.integers(1, 12)


@settings(max_examples=30, deadline=None)
@given(counts.flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1)))))
def test_whatever_faults_it_takes_are_found(drawn: tuple[int, set[int]]) -> None:
    """A failure that needs certain faults is reduced to those, and confirmed by a second run."""
    count, needed = drawn
    names = {str(number) for number in needed}
    found = search(plan_of(count), fails_with(names))
    assert found.end is End.MINIMAL
    assert ids(found.plan) == names
    assert found.tries[-1].answer is Answer.FAILS


@settings(max_examples=30, deadline=None)
@given(st.integers(6, 24), st.randoms(use_true_random=False))
def test_a_pair_takes_few_runs(count: int, rng: random.Random) -> None:
    """Two of n faults: about twice log2(n) runs to find, and a few to confirm and to shorten."""
    pair = {str(number) for number in rng.sample(range(count), 2)}
    tries: list[Try] = []
    Shrink(plan_of(count), fails_with(pair), tell=tries.append).run()
    over_faults = [one for one in tries if one.why in ("fewer faults", "the whole plan")]
    assert len(over_faults) <= 2 * math.ceil(math.log2(count + 1)) + 4


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 8), st.dictionaries(st.integers(0, 2**8 - 1), st.booleans()))
def test_what_it_gives_has_failed_whatever_the_answers(
    count: int, answers: dict[int, bool]
) -> None:
    """Faults may hide each other: what is given failed when run, and none can be left out."""
    plan = plan_of(count)

    def ask(tried: Plan) -> Answer:
        mask = sum(1 << int(fault.id) for fault in tried.faults)
        fails = mask == (1 << count) - 1 or answers.get(mask, False)
        return Answer.FAILS if fails else Answer.HOLDS

    found = search(plan, ask)
    assert found.end is End.MINIMAL
    assert ask(found.plan) is Answer.FAILS
    for fault in found.plan.faults:
        assert ask(keep(found.plan, ids(found.plan) - {fault.id})) is Answer.HOLDS


@pytest.mark.parametrize("shortest_s", [0.5, 2.0, 3.0, 8.0])
def test_lengths_shrink_as_far_as_it_still_fails(shortest_s: float) -> None:
    """Halved as long as that works, never below what the harness can see."""
    found = search(plan_of(6), fails_with({"1", "4"}, shortest_s=shortest_s))
    assert found.end is End.MINIMAL
    for fault in found.plan.faults:
        assert fault.duration_s >= max(shortest_s, SHORTEST_S)
        assert fault.duration_s / 2 < shortest_s or fault.duration_s == SHORTEST_S


def test_a_failure_that_does_not_come_back_is_said() -> None:
    """The original is run again first; one that holds is not searched."""
    found = search(plan_of(6), fails_with({"nobody"}))
    assert found.end is End.HELD
    assert found.runs == REPEATS


@pytest.mark.parametrize(
    ("answers", "runs"),
    [
        pytest.param("HFH", 3, id="the whole plan fails now and then"),
        pytest.param("FHHHHH", None, id="the whole plan fails and nothing smaller does"),
    ],
)
def test_answers_in_a_row(answers: str, runs: int | None) -> None:
    """Whoever fails in some runs of one plan and not in others is flaky."""
    row = iter(answers)
    words = {"F": Answer.FAILS, "H": Answer.HOLDS}
    found = search(plan_of(2), lambda plan: words[next(row, "H")])
    assert found.end is End.FLAKY
    if runs is not None:
        assert found.runs == runs


def test_a_minimum_that_fails_once_only_is_said() -> None:
    """The minimum is confirmed by another run of it."""
    seen: set[str] = set()

    def ask(plan: Plan) -> Answer:
        key = repr(plan)
        again, _ = key in seen, seen.add(key)
        return Answer.HOLDS if again else fails_with({"1"})(plan)

    found = search(plan_of(4), ask)
    assert found.end is End.FLAKY
    assert ids(found.plan) == {"1"}


def test_a_larger_try_that_held_is_tried_again() -> None:
    """What held, contains the minimum and then fails was chance."""
    first = plan_of(4)
    held: list[Plan] = []

    def ask(plan: Plan) -> Answer:
        if ids(plan) == {"0", "1"} and plan not in held:
            held.append(plan)
            return Answer.HOLDS
        return fails_with({"1"})(plan)

    found = search(first, ask)
    assert found.end is End.FLAKY
    assert "held, and then failed" in found.said


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_a_coin_is_never_called_certain_for_long(seed: int) -> None:
    """A client that fails by chance alone is run a bounded number of times, whatever it does."""
    rng = random.Random(seed)
    found = search(plan_of(6), lambda plan: rng.choice([Answer.FAILS, Answer.HOLDS]), most_runs=30)
    assert found.runs <= 30
    assert found.plan == plan_of(6) or any(
        one.answer is Answer.FAILS and ids(one.plan) == ids(found.plan) for one in found.tries
    )


def test_runs_that_prove_nothing_are_repeated() -> None:
    """A busy machine costs runs, not the result."""
    count = 0

    def ask(plan: Plan) -> Answer:
        nonlocal count
        count += 1
        return Answer.UNSURE if count % 2 else fails_with({"2", "3"})(plan)

    found = search(plan_of(5), ask)
    assert found.end is End.MINIMAL
    assert ids(found.plan) == {"2", "3"}


@pytest.mark.parametrize("most_runs", range(1, 12))
def test_runs_are_bounded(most_runs: int) -> None:
    """With too few runs the smallest plan that failed so far is given, and it is said."""
    found = search(plan_of(6), fails_with({"1", "4"}), most_runs)
    assert found.end is End.STOPPED
    assert found.runs == most_runs
    assert {"1", "4"} <= ids(found.plan)


def test_ctrl_c_gives_what_there_is() -> None:
    """Whoever has waited long enough gets the smallest plan that failed so far."""
    runs: list[Plan] = []

    def ask(plan: Plan) -> Answer:
        if len(runs) == 4:
            raise KeyboardInterrupt
        runs.append(plan)
        return fails_with({"0"})(plan)

    found = search(plan_of(8), ask)
    assert found.end is End.STOPPED
    assert found.runs == 4
    assert "0" in ids(found.plan)
    assert len(found.plan.faults) < 8


@pytest.mark.parametrize("after", [0, 1, 4])
def test_a_run_that_cannot_be_ends_the_search(after: int) -> None:
    """What was found so far is kept; where nothing was, the reason is all there is."""
    runs: list[Plan] = []

    def ask(plan: Plan) -> Answer:
        if len(runs) == after:
            raise ScenarioError("no memcached any more")
        runs.append(plan)
        return fails_with({"0"})(plan)

    if after == 0:
        with pytest.raises(ScenarioError, match="no memcached"):
            search(plan_of(8), ask)
        return
    found = search(plan_of(8), ask)
    assert found.end is End.STOPPED
    assert "no memcached any more" in found.said
    assert found.plan == runs[-1]


def test_every_try_is_told() -> None:
    """As many lines as runs."""
    told: list[Try] = []
    found = Shrink(plan_of(6), fails_with({"1", "4"}), tell=told.append).run()
    assert tuple(told) == found.tries
    assert [one.number for one in told] == list(range(1, found.runs + 1))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 6), st.sets(st.integers(0, 5)), st.floats(0.1, 30), st.floats(0, 30))
def test_a_smaller_plan_is_a_plan(
    count: int, kept: set[int], length_s: float, gap_s: float
) -> None:
    """Whatever is left out, shortened or moved: faults stay in order and inside testing."""
    plan = keep(plan_of(count, length_s=length_s, gap_s=gap_s), {str(number) for number in kept})
    for smaller in (plan, shorter(plan, ids(plan)), earlier(plan), earlier(shorter(plan, {"1"}))):
        assert [f.id for f in smaller.faults] == [f.id for f in plan.faults]
        before_s = 0.0
        for fault, was in zip(smaller.faults, plan.faults, strict=True):
            assert before_s - 1e-6 <= fault.at_s <= was.at_s + 1e-6
            assert 0 < fault.duration_s <= was.duration_s
            assert fault.end_s <= smaller.testing_s
            before_s = fault.end_s
    moved = earlier(plan).faults
    idle = [b.at_s - a.end_s for a, b in itertools.pairwise(moved)]
    assert all(one <= LONGEST_IDLE_S + 1e-6 for one in idle)
