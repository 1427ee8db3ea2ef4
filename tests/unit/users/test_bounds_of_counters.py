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


def test_a_counter_that_began_again_is_no_finding() -> None:
    """Nobody can say what a counter is that may have begun again, until it is seen."""
    bounds = Bounds(40)
    assert bounds.forget() == 40
    bounds.begin()
    assert bounds.answered(7) == ""
    bounds.restarted(0)
    bounds.begin()
    assert bounds.answered(1) == ""


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
