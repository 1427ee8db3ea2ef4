"""A master waits for users as long as something moves, and not when nothing does."""

from __future__ import annotations

import pytest

from session.fleet import Fleet
from session.patience import STANDSTILL_S, Patience


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("spawn_rate", "every_s"),
    [
        pytest.param(0.5, 2.0, id="half a user a second"),
        pytest.param(0.005, 200.0, id="the slowest"),
    ],
)
def test_a_ramp_takes_as_long_as_was_asked_for(spawn_rate: float, every_s: float) -> None:
    """66 users at half a user a second need 132 s, and were refused after 120."""
    clock = Clock()
    patience = Patience(spawn_rate, clock)
    for user in range(100):
        clock.now = user * every_s
        assert not patience.is_over(user)


@pytest.mark.parametrize("spawn_rate", [0.0, 100.0])
def test_standing_still_is_a_hang(spawn_rate: float) -> None:
    """No user, no key more for two minutes."""
    clock = Clock()
    patience = Patience(spawn_rate, clock)
    clock.now = STANDSTILL_S
    assert not patience.is_over("the same")
    clock.now += STANDSTILL_S
    assert not patience.is_over("the same")
    clock.now += 0.1
    assert patience.is_over("the same")


def test_keys_of_one_user_are_progress() -> None:
    """A prefill of gigabytes moves by its keys long before a user is ready."""
    fleet = Fleet()
    assert fleet.progress == fleet.progress
    seen = []
    for stored in (0, 50, 100):
        fleet.heard("a", {"Mixed": 1}, ready=0, problem="", stored=stored)
        seen.append(fleet.progress)
    assert len(set(seen)) == 3
