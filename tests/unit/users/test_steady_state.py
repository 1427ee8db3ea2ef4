"""A prefill drawn from the steady state holds what the traffic itself would keep."""

from __future__ import annotations

import heapq
import random

import pytest

from users.steady import LONG_TTL_S, remaining_ttl


def simulated_share(sets_a_s: float, deletes_a_s: float) -> float:
    """Play one thousand keys for ten minutes and give the share that is there at the end."""
    rng = random.Random(5)
    ends: dict[int, float] = {}
    events = [(rng.expovariate(sets_a_s + deletes_a_s), key) for key in range(1000)]
    heapq.heapify(events)
    while events[0][0] < 600:
        now, key = heapq.heappop(events)
        is_set = rng.random() < sets_a_s / (sets_a_s + deletes_a_s)
        ends[key] = now + rng.uniform(30, 90) if is_set else 0.0
        heapq.heappush(events, (now + rng.expovariate(sets_a_s + deletes_a_s), key))
    return sum(end > 600 for end in ends.values()) / 1000


@pytest.mark.parametrize("sets_a_s", [0.002, 0.01, 0.1])
def test_as_many_keys_are_there_as_after_a_long_run(sets_a_s: float) -> None:
    rng, deletes_a_s = random.Random(1), sets_a_s / 6
    drawn = [
        remaining_ttl(rng, sets_a_s=sets_a_s, deletes_a_s=deletes_a_s, low_s=30, high_s=90)
        for _ in range(5000)
    ]
    share = sum(ttl is not None for ttl in drawn) / len(drawn)
    assert share == pytest.approx(simulated_share(sets_a_s, deletes_a_s), abs=0.05)
    assert all(1 <= ttl <= 91 for ttl in drawn if ttl is not None)


def test_where_nothing_is_written_everything_is_there_for_the_whole_run() -> None:
    left = remaining_ttl(random.Random(1), sets_a_s=0, deletes_a_s=1, low_s=30, high_s=90)
    assert left == LONG_TTL_S
