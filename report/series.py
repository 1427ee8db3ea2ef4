"""The windows of a run as columns of numbers for charts, few enough to draw.

A long run is drawn in bins of several seconds: counts are averaged to a second, histograms merged
before a percentile is read, so that nothing between two points is lost.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from client.operation import FAILURES, Outcome
from telemetry.histogram import Histogram, merge_into, percentile_us
from telemetry.line import UNTIMED
from telemetry.window import Window
from verdict.model import RunFacts
from verdict.sums import reads

MOST_POINTS = 600
"""A chart is about that many pixels wide; more points cannot be told apart."""

CLASSES_SHOWN = 3  # of errors, in a legend

STATES = ("closed", "half_open", "open")  # from best to worst

Values = list[float | None]


@dataclass(frozen=True, kw_only=True)
class Bin:
    """Some seconds drawn as one point."""

    begin: int
    seconds: int
    windows: Sequence[Window]

    def a_second(self, count: float) -> float:
        """Give a count of the bin as one of a second."""
        return count / max(1, sum(window.length_s for window in self.windows))


def bins_of(facts: RunFacts) -> list[Bin]:
    """Cut the full seconds of a run into at most MOST_POINTS bins."""
    windows = [window for window in facts.windows if window.second + 1 <= facts.duration_s]
    windows = windows or list(facts.windows)
    if not windows:
        return []
    first, last = windows[0].second, windows[-1].second
    step = max(1, math.ceil((last - first + 1) / MOST_POINTS))
    groups: dict[int, list[Window]] = {}
    for window in windows:
        groups.setdefault((window.second - first) // step, []).append(window)
    return [
        Bin(begin=first + index * step, seconds=step, windows=found)
        for index, found in sorted(groups.items())
    ]


def throughput(bins: Sequence[Bin]) -> dict[str, Values]:
    """Give operations a second: those that did what was asked, and all that were sent."""
    return {
        "completed": [_count(each, lambda outcome: outcome not in FAILURES) for each in bins],
        "sent": [_count(each, lambda _: True) for each in bins],
    }


def latency(bins: Sequence[Bin]) -> dict[str, Values]:
    """Return service p50 and p99, and response p99 where paced, of the same calls, in ms."""
    service = [_merged(each, is_response=False) for each in bins]
    response = [_merged(each, is_response=True) for each in bins]
    found = {
        "service p50": [_ms(histogram, 0.50) for histogram in service],
        "service p99": [_ms(histogram, 0.99) for histogram in service],
    }
    if any(response):
        found["response p99"] = [_ms(histogram, 0.99) for histogram in response]
    return found


def errors(bins: Sequence[Bin]) -> dict[str, Values]:
    """Give failed operations a second by kind, only kinds that were seen."""
    seen = {
        outcome
        for each in bins
        for window in each.windows
        for (_, _, outcome), cell in window.cells.items()
        if outcome in FAILURES and cell.count
    }
    return {
        _label(kind, bins): [_count(each, _only(kind)) for each in bins]
        for kind in Outcome
        if kind in seen
    }


def _label(kind: Outcome, bins: Sequence[Bin]) -> str:
    """Name a kind of failure; one that fits no other by the classes that were raised most."""
    if kind is not Outcome.OTHER_ERROR:
        return str(kind)
    classes: Counter[str] = Counter()
    for window in (window for each in bins for window in each.windows):
        for (_, _, outcome, name), count in window.raised.items():
            classes[name] += count if outcome == kind else 0
    shown = [name for name, _ in classes.most_common(CLASSES_SHOWN + 1)]
    if len(shown) > CLASSES_SHOWN:
        shown[CLASSES_SHOWN:] = ["..."]
    return ", ".join(shown) or str(kind)


def hit_ratio(bins: Sequence[Bin]) -> dict[str, Values]:
    """Give the share of the keys read that were found, 0-1."""
    ratios: Values = []
    for each in bins:
        keys = hits = 0
        for window in each.windows:
            asked, found = reads(window)
            keys += asked
            hits += found
        ratios.append(hits / keys if keys else None)
    return {"hit ratio": ratios}


def breaker_states(bins: Sequence[Bin], node: str) -> list[str]:
    """Give the worst state any process told of a node's breaker, "" where none told."""
    return [_worst_state(each.windows, node) for each in bins]


def _worst_state(windows: Iterable[Window], node: str) -> str:
    told = {
        state
        for window in windows
        if (seen := window.nodes.get(node)) is not None
        for state, processes in seen.breaker.items()
        if processes
    }
    return next((state for state in reversed(STATES) if state in told), "")


def _count(each: Bin, wanted: Callable[[str], bool]) -> float:
    return each.a_second(
        sum(
            cell.count
            for window in each.windows
            for (_, _, outcome), cell in window.cells.items()
            if wanted(outcome)
        )
    )


def _only(kind: str) -> Callable[[str], bool]:
    return lambda outcome: outcome == kind


def _merged(each: Bin, *, is_response: bool) -> Histogram:
    result: Histogram = {}
    for window in each.windows:
        for (_, _, outcome), cell in window.cells.items():
            if outcome not in UNTIMED:
                merge_into(result, cell.response if is_response else cell.service)
    return result


def _ms(histogram: Histogram, share: float) -> float | None:
    value = percentile_us(histogram, share)
    return None if value is None else value / 1000
