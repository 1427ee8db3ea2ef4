"""What a counter may be after steps that were answered and steps whose end nobody knows."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from users.bounds import Bounds

ROWS = [
    # steps of unknown end, then the answer to one more, and whether it is right
    pytest.param(0, 11, True, id="one step, one more"),
    pytest.param(0, 10, False, id="the step is missing"),
    pytest.param(0, 12, False, id="the step was made twice"),
    pytest.param(2, 11, True, id="neither of two lost steps happened"),
    pytest.param(2, 13, True, id="both of two lost steps happened"),
    pytest.param(2, 14, False, id="three steps of two"),
    pytest.param(2, 10, False, id="the answered step is missing, lost ones or not"),
]


@pytest.mark.parametrize("sign", [1, -1], ids=["up", "down"])
@pytest.mark.parametrize(("lost", "answer", "is_right"), ROWS)
def test_an_answer_is_held_against_the_bounds(
    sign: int, lost: int, answer: int, is_right: bool
) -> None:
    """Acknowledged steps happened once; steps of unknown end at most once."""
    bounds = Bounds(sign * 10, sign=sign)
    for _ in range(lost):
        bounds.begin()
    bounds.begin()
    wrong = bounds.answered(sign * answer)
    assert (wrong == "") is is_right, wrong
    assert is_right or str(sign * answer) in wrong


def test_a_step_that_was_seen_is_not_pending_any_more() -> None:
    """What an answer shows to have happened cannot happen again."""
    bounds = Bounds(0)
    bounds.begin()
    bounds.begin()
    assert bounds.answered(2) == ""
    bounds.begin()
    assert bounds.answered(4) == "4 where 3 is due: more steps than were asked for"


def test_one_wrong_step_is_one_finding() -> None:
    """After a finding the counter goes on from what was seen."""
    bounds = Bounds(0)
    for answer, is_right in ((2, False), (3, True), (4, True)):
        bounds.begin()
        assert (bounds.answered(answer) == "") is is_right


def test_a_reader_that_sees_too_little_has_found_a_lost_step() -> None:
    """A value read lies between what was acknowledged and that plus what is pending."""
    bounds = Bounds(5)
    bounds.begin()
    assert bounds.seen(6) == ""
    assert bounds.seen(5) == "5 where 6 is due: steps are missing"


@pytest.mark.parametrize("sign", [1, -1], ids=["up", "down"])
def test_a_counter_that_began_again_is_no_finding(sign: int) -> None:
    """It goes on in a range of numbers of its own, whether that was acknowledged or not."""
    bounds = Bounds(40, sign=sign)
    for is_acknowledged in (True, False):
        start = bounds.begin_again()
        assert bounds.value is None
        if is_acknowledged:
            bounds.restarted()
        bounds.begin()
        assert bounds.answered(start + sign) == ""
    assert bounds.older == 0


def moved(sign: int) -> tuple[Bounds, int]:
    """Give a counter that was at 40 on one node, and goes on on another: at 1 there."""
    bounds = Bounds(40, sign=sign)
    start = bounds.begin_again()
    bounds.restarted()
    bounds.begin()
    bounds.answered(start + sign)
    return bounds, start


@pytest.mark.parametrize("sign", [1, -1], ids=["up", "down"])
def test_a_counter_that_a_left_out_node_has_kept_is_told_from_steps(sign: int) -> None:
    """Met again it goes on from where it was, and so does the one of meanwhile after it."""
    bounds, start = moved(sign)
    for answer in (40 + sign, 40 + 2 * sign, start + 2 * sign):
        bounds.begin()
        assert bounds.answered(answer) == ""
    assert bounds.older == 1


@pytest.mark.parametrize("sign", [1, -1], ids=["up", "down"])
@pytest.mark.parametrize("where", ["there", "kept"])
@pytest.mark.parametrize(("by", "words"), [(2, "more steps"), (0, "missing")])
def test_a_step_made_twice_is_found_on_either_node(
    sign: int, where: str, by: int, words: str
) -> None:
    """That keys have moved excuses no count that is wrong where it is kept."""
    bounds, start = moved(sign)
    bounds.begin()
    known = start + sign if where == "there" else 40
    assert words in bounds.answered(known + by * sign)


def test_a_retry_of_the_new_beginning_may_have_met_itself() -> None:
    """Denied, and there all the same: its steps are no finding, and it is not an older counter."""
    bounds = Bounds(5)
    start = bounds.begin_again()
    bounds.denied()
    assert bounds.value == 5
    bounds.begin()
    assert bounds.answered(start + 1) == ""
    assert bounds.older == 0


def test_beginnings_do_not_run_out() -> None:
    """A counter that goes down does not come below nothing, however often it is lost."""
    bounds = Bounds(1_000_000_000, sign=-1)
    for _ in range(2_000):
        start = bounds.begin_again()
        bounds.restarted()
        assert start > 0
        bounds.begin()
        assert bounds.answered(start - 1) == ""


@dataclass
class Server:
    """A counter that carries out every step asked for as often as `times` says, now or later."""

    value: int = 100
    later: list[int] = field(default_factory=list)

    def land(self, count: int) -> None:
        for _ in range(min(count, len(self.later))):
            self.value += self.later.pop()


CALLS = st.sampled_from(["answered", "lost", "lost and done", "lost and done later"])


@given(
    calls=st.lists(st.tuples(CALLS, st.integers(0, 2)), max_size=60), sign=st.sampled_from([1, -1])
)
def test_a_good_client_is_never_outside_the_bounds(calls: list[tuple[str, int]], sign: int) -> None:
    """Whatever is lost, done or done late: once at most is always within the bounds."""
    server, bounds = Server(), Bounds(100, sign=sign)
    for fate, landing in calls:
        bounds.begin()
        if fate in ("answered", "lost and done"):
            server.value += sign
        elif fate == "lost and done later":
            server.later.append(sign)
        if fate == "answered":
            assert bounds.answered(server.value) == ""
        server.land(landing)
        assert bounds.seen(server.value) == ""
        assert 0 <= bounds.pending <= len(calls)


@given(
    lost=st.integers(0, 20),
    landed=st.integers(0, 20),
    surplus=st.integers(1, 5),
    sign=st.sampled_from([1, -1]),
)
def test_one_step_too_many_is_always_found_once_nothing_is_pending(
    lost: int, landed: int, surplus: int, sign: int
) -> None:
    """The bounds are exact: one beyond all that was asked for is outside."""
    bounds = Bounds(100, sign=sign)
    for _ in range(lost):
        bounds.begin()
    assert bounds.seen(100 + sign * min(lost, landed)) == ""
    assert bounds.seen(100 + sign * (lost + surplus)) != ""
