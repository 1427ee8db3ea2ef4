"""Log-linear histograms of microseconds, as plain dictionaries.

A histogram is `{bucket: count}`. Each octave holds 64 buckets, so a value is known to within
1.6 % (0.8 % at the bucket's middle) at any size, and merging is addition: order and grouping of
merges cannot change the result. Values below 128 us are exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

Histogram = dict[int, int]

SUB_BUCKET_BITS = 6  # 64 buckets an octave: under 1 % error, about 1,000 buckets up to a minute
_TOP_BITS = SUB_BUCKET_BITS + 1


def bucket_of(value_us: int) -> int:
    """Give the bucket of a duration in whole microseconds (negative counts as 0)."""
    if value_us < 128:
        return value_us if value_us > 0 else 0
    shift = value_us.bit_length() - _TOP_BITS
    return (shift << SUB_BUCKET_BITS) + (value_us >> shift)


def lowest_us(bucket: int) -> int:
    """Give the smallest duration, in microseconds, that falls into the bucket."""
    if bucket < 128:
        return bucket
    shift = (bucket >> SUB_BUCKET_BITS) - 1
    return (bucket - (shift << SUB_BUCKET_BITS)) << shift


def middle_us(bucket: int) -> float:
    """Give the duration, in microseconds, that stands for the bucket."""
    if bucket < 128:
        return float(bucket)
    shift = (bucket >> SUB_BUCKET_BITS) - 1
    return lowest_us(bucket) + (1 << shift) / 2


def merge_into(target: Histogram, source: Mapping[int, int]) -> None:
    """Add the counts of `source` to `target`."""
    for bucket, count in source.items():
        target[bucket] = target.get(bucket, 0) + count


def merged(histograms: Iterable[Mapping[int, int]]) -> Histogram:
    """Give a new histogram holding all counts of the given ones."""
    result: Histogram = {}
    for histogram in histograms:
        merge_into(result, histogram)
    return result


def total(histogram: Mapping[int, int]) -> int:
    """Give the number of values recorded."""
    return sum(histogram.values())


def percentile_us(histogram: Mapping[int, int], share: float) -> float | None:
    """Give the duration, in microseconds, below or at which `share` (0-1) of the values lie.

    The nearest-rank definition: the smallest bucket whose running count reaches the rank. None
    for an empty histogram.
    """
    size = sum(histogram.values())
    if size == 0:
        return None
    rank = max(1, -(-int(share * size * 1_000_000) // 1_000_000))
    running = 0
    for bucket in sorted(histogram):
        running += histogram[bucket]
        if running >= rank:
            return middle_us(bucket)
    return middle_us(max(histogram))


def count_above(histogram: Mapping[int, int], limit_us: float) -> int:
    """Count the values certainly above `limit_us`: those in buckets that begin above it."""
    return sum(count for bucket, count in histogram.items() if lowest_us(bucket) > limit_us)
