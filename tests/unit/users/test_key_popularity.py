"""Keys come as often as their pattern says, and come again in the same order."""

from __future__ import annotations

import random
from collections import Counter
from itertools import islice

import pytest

from users import keys

NAMES = [f"k{i}" for i in range(1000)]


def test_the_same_seed_worker_and_user_draw_the_same_keys_and_no_two_users_do() -> None:
    def draw(user: int) -> list[str]:
        return list(islice(keys.uniform(keys.make_rng(1, 0, user), NAMES), 50))

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_hot_keys_get_their_share() -> None:
    stream = keys.hot_set(random.Random(1), ["a", "b"], NAMES, 0.3)
    counts = Counter(islice(stream, 50_000))
    assert (counts["a"] + counts["b"]) / 50_000 == pytest.approx(0.3, abs=0.01)


def test_zipf_falls_with_the_rank_to_the_power_of_alpha() -> None:
    counts = Counter(islice(keys.zipf(random.Random(1), NAMES, 1.2), 200_000))
    assert counts["k0"] / counts["k9"] == pytest.approx(10**1.2, rel=0.1)


def test_operations_come_by_their_weights() -> None:
    counts = Counter(islice(keys.mixed_ops(random.Random(1), {"get": 90, "set": 10}), 50_000))
    assert counts["set"] / 50_000 == pytest.approx(0.1, abs=0.01)


def test_batch_sizes_have_the_mean_and_the_p95_of_the_literature() -> None:
    stream = keys.batches(random.Random(1), [f"k{i}" for i in range(2000)])
    sizes = sorted(len(batch) for batch in islice(stream, 40_000))
    assert sum(sizes) / len(sizes) == pytest.approx(24, abs=1.5)
    assert sizes[int(0.95 * len(sizes))] == pytest.approx(95, abs=6)


def test_the_keys_of_a_batch_are_distinct() -> None:
    stream = keys.batches(random.Random(1), NAMES)
    assert all(len(set(batch)) == len(batch) for batch in islice(stream, 2_000))
