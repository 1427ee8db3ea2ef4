"""Histograms as Prometheus wants them: cumulative counts up to fixed bounds, and a sum.

Its rule is speed: a scrape comes every second and runs in a process that may carry load itself, so
the place of every possible bucket is worked out once, at import. Counts are exact; a bucket that
straddles a bound belongs below it, so bounds are as exact as the buckets are (1.6 %). What is kept
of a whole run has one size from the first duration on. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from telemetry.histogram import bucket_of, middle_us

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


class Durations:
    """Durations counted by the bounds that hold them: `counts` one by one, `total_us` their sum."""

    __slots__ = ("counts", "total_us")

    def __init__(self) -> None:
        self.counts = [0] * len(_NAMES)
        self.total_us = 0.0

    def add(self, numbers: Sequence[int]) -> None:
        """Add a flat histogram: [bucket, count, bucket, count, ...]."""
        counts, total_us = self.counts, 0.0
        pairs = iter(numbers)
        for bucket, count in zip(pairs, pairs, strict=True):
            if bucket <= _LAST:
                counts[_PLACES[bucket]] += count
                total_us += _MIDDLES[bucket] * count
            else:
                counts[-1] += count
                total_us += middle_us(bucket) * count
        self.total_us += total_us


@dataclass(slots=True)
class Total:
    """Operations of one kind, on one node, with one outcome, in the whole run."""

    count: int = 0
    keys: int = 0
    hits: int = 0
    service: Durations = field(default_factory=Durations)
    response: Durations = field(default_factory=Durations)

    def add(self, packed: Sequence[Any]) -> None:
        """Add a packed cell (telemetry.wire)."""
        _, _, _, count, keys, hits, service, response = packed
        self.count += count
        self.keys += keys
        self.hits += hits
        self.service.add(service)
        self.response.add(response)


def cumulative_buckets(parts: Iterable[Durations]) -> tuple[Buckets, float]:
    """Merge durations into (upper bound, running count) in order, and a sum in seconds."""
    found = list(parts)
    running, result = 0, []
    for place, name in enumerate(_NAMES):
        running += sum(each.counts[place] for each in found)
        result.append((name, float(running)))
    return result, sum(each.total_us for each in found) / 1e6


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
