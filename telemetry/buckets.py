"""Histograms as Prometheus wants them: cumulative counts up to fixed bounds, and a sum.

Its rule is speed: a scrape comes every second and runs in a process that may carry load itself, so
the place of every possible bucket is worked out once, at import. Counts are exact; a bucket that
straddles a bound belongs below it, so bounds are as exact as the buckets are (1.6 %). Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from telemetry.histogram import Histogram, bucket_of, middle_us

BOUNDS_S = (
    *(0.000_05, 0.000_1, 0.000_15, 0.000_2, 0.000_3, 0.000_5, 0.000_75),
    *(0.001, 0.001_5, 0.002, 0.003, 0.005, 0.007_5),
    *(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
"""Fine where a healthy memcached answers, coarse where timeouts lie."""

WAIT_BITS = range(6, 25)
"""Waits are counted by powers of two: bounds from 64 us to 16.8 s."""

_NAMES = (*map(str, BOUNDS_S), "+Inf")
_LIMITS = tuple(bucket_of(round(bound * 1e6)) for bound in BOUNDS_S)
_LAST = _LIMITS[-1]
_PLACES = tuple(
    next(place for place, limit in enumerate(_LIMITS) if bucket <= limit)
    for bucket in range(_LAST + 1)
)
_MIDDLES = tuple(middle_us(bucket) for bucket in range(_LAST + 1))

Buckets = list[tuple[str, float]]


def cumulative_buckets(histograms: Iterable[Histogram]) -> tuple[Buckets, float]:
    """Merge histograms into (upper bound, running count) in order, and a sum in seconds."""
    counts = [0] * len(_NAMES)
    total_us = 0.0
    for histogram in histograms:
        for bucket, count in histogram.items():
            if bucket <= _LAST:
                counts[_PLACES[bucket]] += count
                total_us += _MIDDLES[bucket] * count
            else:
                counts[-1] += count
                total_us += middle_us(bucket) * count
    running, result = 0, []
    for name, count in zip(_NAMES, counts, strict=True):
        running += count
        result.append((name, float(running)))
    return result, total_us / 1e6


def cumulative_waits(waits: Mapping[int, int]) -> tuple[Buckets, float]:
    """Give the same for waits by power of two: b counts those of less than 2**b microseconds."""
    running, result = 0, []
    done = -1
    for bits in WAIT_BITS:
        running += sum(count for bucket, count in waits.items() if done < bucket <= bits)
        done = bits
        result.append((str(2**bits / 1e6), float(running)))
    result.append(("+Inf", float(sum(waits.values()))))
    total_us = sum(0.75 * 2**bucket * count for bucket, count in waits.items())
    return result, total_us / 1e6
