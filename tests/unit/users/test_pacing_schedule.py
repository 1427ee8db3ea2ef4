"""Intended starts: none lost, none repeated, and nobody waits for anybody else."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from users.pacing import LOOKAHEAD_S, Schedule, poisson


def started(rate: float, at: float = 0.0) -> Schedule:
    schedule = Schedule(rate, clock=lambda: 0.0)
    schedule.start(at)
    return schedule


def take_all(schedule: Schedule, now: float) -> list[float]:
    slots = []
    while (slot := schedule.take(now)) is not None:
        slots.append(slot)
    return slots


@pytest.mark.parametrize(
    ("rate", "taken", "now", "expected"),
    [
        pytest.param(1, 0, 0.0, 0.0, id="1 slot/sec, none taken, 0 s elapsed => at once"),
        pytest.param(1, 1, 0.0, None, id="1 slot/sec, 1 taken, 0 s elapsed => none yet"),
        pytest.param(1, 1, 0.6, 1.0, id="1 slot/sec, 1 taken, 0.6 s elapsed => 0.4 s ahead"),
        pytest.param(1, 10, 11.0, 10.0, id="1 slot/sec, 10 taken, 11 s elapsed => 1 s overdue"),
        pytest.param(1, 11, 10.0, None, id="1 slot/sec, 11 taken, 10 s elapsed => none yet"),
        pytest.param(10, 5, 0.5, 0.5, id="10 slots/sec, 5 taken, 0.5 s elapsed => just due"),
        pytest.param(10, 0, 30.0, 20.0, id="10 slots/sec, stalled for 30 s => 10 s overdue"),
        pytest.param(0, 0, 5.0, None, id="0 slots/sec => none ever"),
    ],
)
def test_the_next_slot(rate: float, taken: int, now: float, expected: float | None) -> None:
    schedule = started(rate)
    for number in range(taken):
        assert schedule.take(number / rate) == pytest.approx(number / rate)
    assert schedule.take(now) == (expected if expected is None else pytest.approx(expected))


def test_a_slot_lies_at_most_the_lookahead_in_the_future() -> None:
    assert max(take_all(started(1000), 0.0)) <= LOOKAHEAD_S


def test_what_is_overdue_for_longer_than_the_limit_is_dropped_and_counted() -> None:
    schedule = started(10)
    assert schedule.take(12.0) == pytest.approx(2.0)
    rows = schedule.drain(12.0)
    assert sum(row.dropped for row in rows) == 20
    assert [row.at for row in rows if row.dropped] == [12.5]


def test_planned_counts_by_intended_second_whether_taken_or_not() -> None:
    schedule = started(4, at=100.0)
    schedule.take(100.0)
    rows = schedule.drain(102.1)
    assert [(row.at, row.planned) for row in rows] == [(100.5, 4), (101.5, 4), (102.5, 1)]
    assert schedule.drain(102.1) == []


def test_a_slot_taken_ahead_is_planned_only_when_its_time_has_come() -> None:
    schedule = started(1)
    schedule.take(0.0)
    assert schedule.take(0.9) == 1.0
    assert sum(row.planned for row in schedule.drain(0.9)) == 1
    assert sum(row.planned for row in schedule.drain(1.0)) == 1


def test_the_backlog_is_what_is_due_and_untaken() -> None:
    schedule = started(10)
    assert schedule.backlog(0.95) == 10
    schedule.take(0.95)
    assert schedule.backlog(0.95) == 9


def test_after_the_stop_nothing_is_handed_out_or_planned() -> None:
    schedule = started(10)
    schedule.stop(0.95)
    assert schedule.take(1.0) is None
    assert sum(row.planned for row in schedule.drain(20.0)) == 10


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param(
            1, 2, [0.75, 1.25], id="twice as fast half-way => the rest takes half as long"
        ),
        pytest.param(2, 1, [0.5, 1.5], id="half as fast just at a slot => next one a second later"),
        pytest.param(1, 0, [], id="stopped => no more"),
        pytest.param(0, 2, [0.5, 1.0], id="from standstill => first slot at once"),
    ],
)
def test_a_change_of_rate_keeps_the_share_of_the_gap_that_has_passed(
    before: float, after: float, expected: list[float]
) -> None:
    schedule = started(before)
    schedule.take(0.0)
    schedule.set_rate(after, 0.5)
    slots = take_all(schedule, 1.25 if after else 9.0)
    assert slots[: len(expected) or 1] == pytest.approx(expected)


def test_a_higher_rate_begins_at_once_although_a_later_slot_was_taken_ahead() -> None:
    schedule = started(1)
    assert [schedule.take(0.0), schedule.take(0.5)] == [0.0, 1.0]
    schedule.set_rate(10, 0.5)
    # 1.5 slots were left until the one at 2.0.
    assert schedule.take(0.5) == pytest.approx(0.65)


def test_a_change_of_rate_leaves_overdue_slots_where_they_were() -> None:
    schedule = started(1)
    schedule.set_rate(2, 3.0)
    assert take_all(schedule, 4.0) == pytest.approx([0.0, 1.0, 2.0, 3.0, 3.5, 4.0, 4.5])


STEPS = st.lists(
    st.tuples(
        st.floats(0.001, 3.0),
        st.sampled_from(["take", "take", "take", "rate", "drain", "backlog", "put_back"]),
        st.sampled_from([0.0, 0.5, 1.0, 3.0, 20.0, 200.0]),
    ),
    max_size=60,
)


@given(rate=st.sampled_from([0.0, 1.0, 7.0, 100.0]), steps=STEPS, seed=st.integers(0, 9))
def test_no_slot_is_lost_or_repeated_under_any_changes_of_rate(
    rate: float, steps: list[tuple[float, str, float]], seed: int
) -> None:
    """Slots taken and dropped are as many as planned, which is the integral of the rate."""
    schedule = started(rate)
    now, expected, planned, dropped = 0.0, 0.0, 0, 0
    taken: list[float] = []
    rng = random.Random(seed)
    for gap, action, value in steps:
        expected += gap * schedule.rate
        now += gap
        if action == "rate":
            schedule.set_rate(value, now)
        elif action == "backlog":
            schedule.backlog(now)
        elif action == "put_back" and taken:
            schedule.put_back(taken.pop(rng.randrange(len(taken))))
        elif action == "drain":
            rows = schedule.drain(now)
            planned += sum(row.planned for row in rows)
            dropped += sum(row.dropped for row in rows)
        elif action == "take":
            for _ in range(rng.randrange(30)):
                if (slot := schedule.take(now)) is None:
                    break
                taken.append(slot)
    schedule.set_rate(0.0, now)
    now += LOOKAHEAD_S
    taken += take_all(schedule, now)
    rows = schedule.drain(now)
    planned += sum(row.planned for row in rows)
    dropped += sum(row.dropped for row in rows)
    assert len(taken) + dropped == planned
    assert len(set(taken)) == len(taken)
    # What was taken ahead when the rate fell was planned too early, and is made up for later.
    ahead = LOOKAHEAD_S * max([rate, *(value for *_, value in steps)])
    assert expected - 1 <= planned <= expected + 2 + ahead


@given(stalled=st.integers(0, 9), rate=st.sampled_from([5.0, 50.0]))
def test_users_that_stall_lose_nobody_elses_slots(stalled: int, rate: float) -> None:
    """Of ten users some take a slot and never come back; the others get all the rest on time."""
    schedule = started(rate)
    for _ in range(stalled):
        assert schedule.take(0.0) is not None or rate < 10
    lateness, now = [], 0.0
    while now < 20.0:
        while (slot := schedule.take(now)) is not None:
            lateness.append(now - slot)
        now += 0.1
    assert max(lateness) <= 0.1
    assert schedule.backlog(now - 0.1) == 0


def test_poisson_arrivals_keep_the_rate() -> None:
    schedule = Schedule(100.0, arrivals=poisson(random.Random(3)), max_overdue_s=1e9)
    schedule.start(0.0)
    gaps = take_all(schedule, 100.0)
    assert len(gaps) == pytest.approx(10_000, rel=0.05)


@pytest.mark.parametrize("rate", [-1.0, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="slots a second"):
        Schedule(rate)
