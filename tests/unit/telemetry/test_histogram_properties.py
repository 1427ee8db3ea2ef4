"""Rules of the log-linear histograms, for any values in any order."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telemetry.histogram import (
    Histogram,
    bucket_of,
    count_above,
    lowest_us,
    merge_into,
    merged,
    middle_us,
    percentile_us,
    total,
)

DURATIONS = st.integers(min_value=0, max_value=120_000_000)  # up to two minutes
MANY = st.lists(DURATIONS, max_size=80)
SHARES = st.sampled_from(["0", "0.25", "0.5", "0.9", "0.95", "0.99", "0.999", "1"])


def histogram_of(values: list[int]) -> Histogram:
    result: Histogram = {}
    for value in values:
        merge_into(result, {bucket_of(value): 1})
    return result


@settings(deadline=None)
@given(MANY, MANY)
def test_merging_commutes(left: list[int], right: list[int]) -> None:
    """The order of two histograms does not change their sum."""
    a, b = histogram_of(left), histogram_of(right)
    assert merged([a, b]) == merged([b, a]) == histogram_of(left + right)


@settings(deadline=None)
@given(MANY, MANY, MANY)
def test_merging_is_associative(first: list[int], second: list[int], third: list[int]) -> None:
    """The grouping of merges does not change their sum."""
    a, b, c = histogram_of(first), histogram_of(second), histogram_of(third)
    assert merged([merged([a, b]), c]) == merged([a, merged([b, c])])


@settings(deadline=None)
@given(MANY, MANY)
def test_merged_leaves_its_sources_alone(left: list[int], right: list[int]) -> None:
    """Merging into a new histogram changes neither source, and loses no count."""
    a, b = histogram_of(left), histogram_of(right)
    assert total(merged([a, b])) == len(left) + len(right)
    assert (a, b) == (histogram_of(left), histogram_of(right))


@settings(deadline=None)
@given(st.lists(DURATIONS, min_size=1, max_size=80), SHARES)
def test_percentiles_are_within_their_error(values: list[int], share: str) -> None:
    """A percentile differs from the exact nearest-rank value by less than 1.6 %."""
    rank = max(1, math.ceil(Fraction(share) * len(values)))
    exact = sorted(values)[rank - 1]
    estimate = percentile_us(histogram_of(values), float(share))
    assert estimate is not None
    assert abs(estimate - exact) <= 0.016 * exact


@settings(deadline=None)
@given(DURATIONS, DURATIONS)
def test_buckets_keep_the_order(one: int, other: int) -> None:
    """A longer duration never falls into a lower bucket."""
    low, high = sorted((one, other))
    assert bucket_of(low) <= bucket_of(high)


@settings(deadline=None)
@given(DURATIONS)
def test_a_bucket_holds_its_values(value: int) -> None:
    """A bucket begins at or below its values and ends above them; below 128 us it is exact."""
    bucket = bucket_of(value)
    assert lowest_us(bucket) <= value < lowest_us(bucket + 1)
    assert bucket_of(lowest_us(bucket)) == bucket
    if value < 128:
        assert middle_us(bucket) == value


@pytest.mark.parametrize(
    ("limit_us", "above"),
    [
        pytest.param(99, 3, id="all of them"),
        pytest.param(100, 2, id="a value at the limit is not above it"),
        pytest.param(5_000, 1, id="only the outlier"),
        pytest.param(10_000_000, 0, id="none"),
    ],
)
def test_count_above_counts_what_is_certainly_above(limit_us: int, above: int) -> None:
    """Only values of buckets that begin above the limit count."""
    assert count_above(histogram_of([100, 110, 500_000]), limit_us) == above


def test_an_empty_histogram_has_no_percentile() -> None:
    """Nothing measured is None, not 0."""
    assert percentile_us({}, 0.99) is None


def test_a_negative_duration_counts_as_zero() -> None:
    """A clock that steps back cannot make a bucket of its own."""
    assert bucket_of(-5) == 0
