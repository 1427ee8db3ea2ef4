"""Locust's own statistics at the precision of memcached.

Locust rounds response times below 100 ms to whole milliseconds, so a get of 0.3 ms is 0 in its UI,
its CSV files, its console and its percentiles. Its rule: replace what rounds and nothing else, with
the buckets of telemetry.histogram, so that Locust's dictionaries are bounded and mergeable. Call
`install` at import, on the master and on every worker. It knows nothing of our own telemetry.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import locust.stats
from locust.stats import RequestStats, StatsCSV, StatsEntry

from telemetry.histogram import bucket_of, middle_us

DECIMALS = 3
"""Of a millisecond: memcached answers in tens of microseconds."""

_MARK = "_memquake_precise"

KEPT_S = 60
"""Seconds whose requests Locust's entries keep one by one; its own rates look back 12 s."""

COPIED_EVERY_S, COPIES = 4, 5
"""Locust keeps a copy of all response times of each of the last 20 s and wants one of 10 s ago, or
a few seconds more or less: one each 4 s will do."""

KEPT_ROWS = 120
"""Rows of Locust's own charts, one each 5 s: ten minutes, then older ones further apart. A row
takes a kilobyte."""

_TABLE_SIZE = 16_384
# Durations up to 16 ms are looked up, nearly all of them: Locust asks twice for every request.


def _bucket_ms(us: int) -> float:
    """Return the milliseconds that stand for a bucket, the same in every process."""
    return round(middle_us(bucket_of(us)) / 1_000, 6)


_ONE_OF_EACH: dict[float, float] = {}  # a number is found in a dictionary by its identity first
_BUCKETS_MS = tuple(_ONE_OF_EACH.setdefault(n, n) for n in map(_bucket_ms, range(_TABLE_SIZE)))


def bucket_ms(response_time: float) -> float:
    """Give the milliseconds that stand for `response_time` (ms), within 0.8 % of it."""
    us = int(response_time * 1_000 + 0.5)
    return _BUCKETS_MS[us] if 0 <= us < _TABLE_SIZE else _bucket_ms(us)


def shown(value: float | None, width: int) -> str:
    """Give milliseconds right-aligned in `width` characters, with as many decimals as fit."""
    number = float(value or 0)
    for decimals in (2, 1):
        text = f"{number:.{decimals}f}"
        if len(text) < width:
            return text.rjust(width)
    return f"{number:.0f}".rjust(width)


def _percentile_fields(
    self: StatsCSV, stats_entry: StatsEntry, use_current: bool = False
) -> list[str] | list[float]:
    if not stats_entry.num_requests:
        return list(self.percentiles_na)
    current = use_current and stats_entry.use_response_times_cache
    read: Any = (
        stats_entry.get_current_response_time_percentile
        if current
        else stats_entry.get_response_time_percentile
    )
    return [round(float(read(share) or 0), DECIMALS) for share in self.percentiles_to_report]


def _to_string(self: StatsEntry, current: bool = True) -> str:
    """Give one row under the headings of Locust's table of requests."""
    rps = self.current_rps if current else self.total_rps
    failures = self.current_fail_per_sec if current else self.total_fail_per_sec
    type_width = locust.stats.STATS_TYPE_WIDTH
    # On a terminal of 80 columns this is negative, which the heading's `%` takes as a width.
    name_width = abs(locust.stats.STATS_NAME_WIDTH - type_width + 4)
    method = f"{self.method} " if self.method else ""
    failed = f"{self.num_failures}({self.fail_ratio * 100:.2f}%)"
    times = " ".join(
        shown(value, 7)
        for value in (self.avg_response_time, self.min_response_time, self.max_response_time)
    )
    return (
        f"{method:<{type_width}} {self.name:<{name_width}} {self.num_requests:7d} {failed:>12} |"
        f"{times}{shown(self.median_response_time, 7)} | {rps or 0:7.2f} {failures or 0:11.2f}"
    )


def _percentile(self: StatsEntry) -> str:
    """Give one row under the headings of Locust's table of percentiles."""
    if not self.num_requests:
        raise ValueError("no percentile of an entry without requests")
    shares = locust.stats.PERCENTILES_TO_REPORT
    widths = (8, *[6] * (len(shares) - 1))  # as in the heading
    times = " ".join(
        shown(self.get_response_time_percentile(share), width)
        for share, width in zip(shares, widths, strict=True)
    )
    return (
        f"{self.method or '':<{locust.stats.STATS_TYPE_WIDTH}} "
        f"{self.name:<{locust.stats.STATS_NAME_WIDTH}} {times} {self.num_requests:6d}"
    )


def trim(stats: RequestStats, *, recent_of_each: bool = False) -> None:
    """Forget old seconds and thin the rows of Locust's charts, which both grow with the run.

    An entry grows by 8 MB a day otherwise. Of the last seconds' response times, which Locust copies
    once a second for each entry, only those of the total are shown, unless `recent_of_each` (its
    CSV of the full history). To be called now and then, by the process that shows the statistics.
    """
    for entry in stats.entries.values():
        if entry.use_response_times_cache and not recent_of_each:
            entry.use_response_times_cache = False
            entry.response_times_cache = None
    for entry in (stats.total, *stats.entries.values()):
        if copies := entry.response_times_cache:
            fit = [second for second in copies if second % COPIED_EVERY_S == 0][-COPIES:]
            entry.response_times_cache = OrderedDict((second, copies[second]) for second in fit)
        for by_second in (entry.num_reqs_per_sec, entry.num_fail_per_sec):
            if len(by_second) > KEPT_S:
                oldest = max(by_second) - KEPT_S
                for second in [second for second in by_second if second <= oldest]:
                    del by_second[second]
    if len(stats.history) > KEPT_ROWS:
        del stats.history[1:-1:2]


def install() -> None:
    """Replace the rounding in Locust's statistics. Safe to call again."""
    if getattr(locust.stats, _MARK, False):
        return
    whole = StatsEntry.to_dict

    def to_dict(self: StatsEntry, escape_string_values: bool = False) -> dict[str, Any]:
        row: dict[str, Any] = whole(self, escape_string_values)
        row["min_response_time"] = round(float(self.min_response_time or 0), DECIMALS)
        row["max_response_time"] = round(float(self.max_response_time), DECIMALS)
        return row

    # setattr, because a type checker rightly objects to assigning to a method.
    for owner, name, replacement in (
        (locust.stats, "bucket_response_time", bucket_ms),
        (StatsCSV, "_percentile_fields", _percentile_fields),
        (StatsEntry, "to_dict", to_dict),
        (StatsEntry, "to_string", _to_string),
        (StatsEntry, "percentile", _percentile),
        (locust.stats, _MARK, True),
    ):
        setattr(owner, name, replacement)
