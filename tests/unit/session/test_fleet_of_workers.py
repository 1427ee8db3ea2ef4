"""The master's bookkeeping of its workers: readiness, losses, and the split of the rate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session.fleet import Fleet


def fleet_of(**workers: dict[str, int]) -> Fleet:
    fleet = Fleet()
    for name, users in workers.items():
        fleet.heard(name, users, ready=sum(users.values()), problem="")
    return fleet


def test_the_rate_follows_the_users() -> None:
    """Every user has the same share of the rate, whatever its class or worker."""
    fleet = fleet_of(a={"Mixed": 6, "Hot": 2}, b={"Mixed": 2})
    assert fleet.split(100.0) == {"a": {"Mixed": 60.0, "Hot": 20.0}, "b": {"Mixed": 20.0}}


def test_a_slow_class_has_a_smaller_part() -> None:
    """The pace of a class scales the part of each of its users; nothing of the rate is lost."""
    fleet = Fleet({"Stampede": 0.25})
    fleet.heard("a", {"Mixed": 3, "Stampede": 4}, ready=7, problem="")
    assert fleet.split(100.0) == {"a": {"Mixed": 75.0, "Stampede": 25.0}}


def test_a_lost_worker_leaves_its_share_to_the_others() -> None:
    """After a loss the others carry the whole rate."""
    fleet = fleet_of(a={"Mixed": 5}, b={"Mixed": 5})
    assert fleet.lost("a", 3.0)
    assert fleet.split(100.0) == {"b": {"Mixed": 100.0}}
    assert fleet.members["a"].lost_at_s == 3.0


def test_a_loss_is_news_only_once() -> None:
    """The first time of a loss stays."""
    fleet = fleet_of(a={"Mixed": 5})
    assert fleet.lost("a", 3.0)
    assert not fleet.lost("a", 9.0)
    assert not fleet.lost("never heard of", 9.0)
    assert fleet.members["a"].lost_at_s == 3.0


def test_a_worker_that_comes_back_leaves_a_gap() -> None:
    """Every absence is kept with its begin and end; who was never lost cannot return."""
    fleet = fleet_of(a={"Mixed": 5}, b={"Mixed": 5})
    assert not fleet.returned("a", 2.0)
    fleet.lost("a", 3.0)
    assert fleet.returned("a", 13.0)
    assert not fleet.returned("a", 14.0)
    fleet.lost("a", 20.0)
    assert fleet.returned("a", 19.5)  # the loss is dated back to the last report
    assert fleet.members["a"].away == [(3.0, 13.0), (20.0, 20.0)]
    assert fleet.members["a"].lost_at_s is None
    assert [member.id for member in fleet.alive] == ["a", "b"]


def test_a_late_worker_says_when_it_came() -> None:
    """Those the run began with joined at 0."""
    fleet = fleet_of(a={"Mixed": 5})
    fleet.heard("b", {"Mixed": 5}, ready=5, problem="")
    fleet.joined("b", 12.5)
    assert [member.joined_at_s for member in fleet.members.values()] == [0.0, 12.5]


@pytest.mark.parametrize("rate", [0.0, -1.0], ids=["closed loop", "nonsense"])
def test_a_closed_loop_has_no_schedules(rate: float) -> None:
    """Without a rate nobody gets a schedule."""
    assert fleet_of(a={"Mixed": 5}).split(rate) == {"a": {}}


def test_ready_means_everybody_everywhere() -> None:
    """A worker with an unready user, or too few users in all, holds the run back."""
    fleet = Fleet()
    fleet.heard("a", {"Mixed": 2}, ready=1, problem="")
    assert not fleet.all_ready(2)
    fleet.heard("a", {"Mixed": 2}, ready=2, problem="")
    assert fleet.all_ready(2)
    assert not fleet.all_ready(3)


def test_news_of_users_is_told_apart_from_repetition() -> None:
    """Only a change of users asks for a new split."""
    fleet = Fleet()
    assert fleet.heard("a", {"Mixed": 2}, ready=0, problem="")
    assert not fleet.heard("a", {"Mixed": 2}, ready=2, problem="")
    assert fleet.heard("a", {"Mixed": 3}, ready=2, problem="no such key")
    assert fleet.problems() == ["no such key"]


@given(
    st.dictionaries(
        st.text("abcdef", min_size=1, max_size=4),
        st.dictionaries(st.sampled_from(["Mixed", "Hot", "Multi"]), st.integers(1, 50), min_size=1),
        min_size=1,
    ),
    st.floats(0.1, 1e6),
)
def test_nothing_of_the_rate_is_lost(workers: dict[str, dict[str, int]], rate: float) -> None:
    """The shares add up to the rate."""
    shares = fleet_of(**workers).split(rate)
    total = sum(share for of_worker in shares.values() for share in of_worker.values())
    assert total == pytest.approx(rate)


RIDER_SHARES = [
    pytest.param(2000.0, 2, 100.0, id="5 % of a default run"),
    pytest.param(20_000.0, 2, 100.0, id="no more than two can make"),
    pytest.param(20_000.0, 40, 1000.0, id="5 % of many processes"),
    pytest.param(400.0, 2, 40.0, id="what a short run needs"),
    pytest.param(100.0, 2, 10.0, id="never over 10 %"),
]


@pytest.mark.parametrize(("rate", "riders", "part"), RIDER_SHARES)
def test_riders_have_a_small_fixed_part(rate: float, riders: int, part: float) -> None:
    """Those that ride along take their part first, the users share the rest; nothing is lost."""
    fleet = Fleet(riders=("Ledger",))
    fleet.heard("a", {"Mixed": 30, "Ledger": riders}, ready=30 + riders, problem="")
    split = fleet.split(rate)["a"]
    assert split["Ledger"] == pytest.approx(part)
    assert sum(split.values()) == pytest.approx(rate)


def test_riders_are_not_counted_as_users() -> None:
    """A run waits for as many users as were asked for, and for the riders besides."""
    fleet = Fleet(riders=("Ledger",))
    fleet.heard("a", {"Mixed": 1, "Ledger": 2}, ready=3, problem="")
    assert fleet.user_count == 1
    assert not fleet.all_ready(2)
    fleet.heard("a", {"Mixed": 2, "Ledger": 2}, ready=3, problem="")
    assert not fleet.all_ready(2)
    fleet.heard("a", {"Mixed": 2, "Ledger": 2}, ready=4, problem="")
    assert fleet.all_ready(2)


def test_those_that_are_ready_are_counted_not_those_that_are_there() -> None:
    """What a run that cannot begin says, with users that were started and are not ready."""
    fleet = Fleet(riders=("Ledger",))
    fleet.heard("a", {"Mixed": 12, "Ledger": 1}, ready=13, problem="")
    fleet.heard("b", {"Mixed": 8}, ready=3, problem="")
    assert fleet.lacking(20) == "only 15 of 20 users were ready"
    fleet.heard("b", {"Mixed": 8}, ready=8, problem="")
    assert fleet.lacking(25) == "only 20 of 25 users were ready"
    assert fleet.lacking(20).startswith("20 users were ready, but")
    fleet.lost("a", 0.0)
    assert fleet.lacking(20) == "only 8 of 20 users were ready"


def test_riders_alone_keep_to_their_part() -> None:
    """A process whose users have all left does not make up for them."""
    fleet = Fleet(riders=("Ledger",))
    fleet.heard("a", {"Ledger": 2}, ready=2, problem="")
    assert fleet.split(2000.0) == {"a": {"Ledger": 100.0}}
