"""Buckets for Prometheus are cumulative, bounded and as exact as the histograms they come from."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.buckets import BOUNDS_S, Durations, Total, cumulative_buckets, cumulative_waits
from telemetry.histogram import bucket_of


def durations(*flat: int) -> Durations:
    found = Durations()
    found.add(flat)
    return found


def test_buckets_are_cumulative_and_bounded() -> None:
    """Each value is at or below the first bound that holds it; the last bucket holds all."""
    histogram = {bucket_of(40): 1, bucket_of(50): 1, bucket_of(700): 2, bucket_of(60_000_000): 1}
    buckets, total_s = cumulative_buckets([durations(*itertools.chain(*histogram.items()))])
    counts = dict(buckets)
    assert counts["5e-05"] == 2
    assert counts["0.0005"] == 2
    assert counts["0.00075"] == counts["10.0"] == 4
    assert counts["+Inf"] == 5
    assert total_s == pytest.approx(60.00149, rel=0.016)
    assert (BOUNDS_S[0], BOUNDS_S[-1]) == (0.000_05, 10.0)
    assert list(BOUNDS_S) == sorted(BOUNDS_S)


@given(st.lists(st.integers(0, 100_000_000), max_size=60))
def test_a_value_is_counted_below_every_bound_that_is_clearly_above_it(values: list[int]) -> None:
    """Within the width of a bucket, the count at a bound is the number of values up to it."""
    buckets, _ = cumulative_buckets(durations(bucket_of(value), 1) for value in values)
    assert [float(name) for name, _ in buckets[:-1]] == list(BOUNDS_S)
    assert buckets[-1] == ("+Inf", len(values))
    for bound, count in zip(BOUNDS_S, (count for _, count in buckets), strict=False):
        surely = sum(value <= bound * 1e6 for value in values)
        at_most = sum(value <= bound * 1e6 * 1.017 for value in values)
        assert surely <= count <= at_most


def test_waits_keep_their_powers_of_two() -> None:
    """A wait of less than 2**b us is counted at that bound; longer ones than all bounds at +Inf."""
    buckets, total_s = cumulative_waits({0: 1, 3: 2, 7: 4, 30: 1})
    counts = dict(buckets)
    assert counts["6.4e-05"] == 3
    assert counts["0.000128"] == counts["16.777216"] == 7
    assert counts["+Inf"] == 8
    assert total_s == pytest.approx(0.75 * (1 + 2 * 8 + 4 * 128 + 2**30) / 1e6)


def test_totals_of_a_run_stay_as_large_as_they_begin() -> None:
    """However many different durations there are, only the numbers in their places rise."""
    total = Total()
    sizes = set()
    for us in range(0, 30_000_000, 99_991):
        total.add(["get", "node1", "hit", 1, 1, 1, [bucket_of(us), 1], [bucket_of(2 * us), 1]])
        sizes.add((len(total.service.counts), len(total.response.counts)))
    assert len(sizes) == 1
    assert sum(total.service.counts) == sum(total.response.counts) == total.count
