"""Figures of each fault: how soon it was noticed, how deep it cut, how soon it was over.

From the injection to the first failed call, to the moment from which no call waits any more, to the
last bad operation after the heal; depth and area of what was missing meanwhile; and how long a cold
cache took to fill. Times are of slices of 100 ms, or of whole seconds where only windows tell.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence

from faults.effect import Effect
from verdict.breaker import opened_at
from verdict.model import Figure
from verdict.phases import FaultSpan
from verdict.recovery import recovered_at, recoveries, recovery_time
from verdict.view import View

_REFILLED = 0.95
"""A cold cache counts as full again at this share of its baseline hit ratio."""


def fault_figures(view: View) -> dict[str, Figure]:
    """Give the figures of a run's faults; none where nothing was injected."""
    found: dict[str, Figure] = {}
    _degradation(view, found)
    for span in view.phases.spans:
        _fault(view, span, found)
    _recovery(view, found)
    return found


def name_of(text: str) -> str:
    """Give the part of a figure's name that stands for a fault or a node."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or "unnamed"


def _degradation(view: View, found: dict[str, Figure]) -> None:
    """Depth: how far completed operations fell at worst. Area: operations missing in all."""
    steady = [view.sums(second).completed for second in view.phases.baseline]
    if not view.phases.spans or not steady or not statistics.median(steady):
        return
    usual = statistics.median(steady)
    begin = min(span.injected for span in view.phases.spans)
    end = recovered_at(view) or view.phases.load_end
    within = [second for second in range(int(begin), int(end)) if second in view.windows]
    completed = [view.sums(second).completed for second in within]
    if completed:
        depth = max(0.0, 1 - min(completed) / usual)
        found["throughput_dip"] = Figure(value=depth, unit="share")
        area = sum(max(0.0, usual - value) for value in completed)
        found["operations_missing"] = Figure(value=area, unit="count")


def _fault(view: View, span: FaultSpan, found: dict[str, Figure]) -> None:
    label = name_of(span.record.id)
    failures = [
        start
        for node in span.record.nodes
        for start, part in view.slices(node, span.injected, span.healed)
        if part.failed
    ]
    first = min(failures) - span.injected if failures else None
    found[f"detection_time_{label}"] = Figure(value=first, unit="s")
    if Effect.UNAVAILABLE in span.record.effects:
        moments = [opened_at(view, span, node) for node in span.record.nodes]
        seen = [moment for moment in moments if moment is not None]
        slowest = max(seen) - span.begins if seen and len(seen) == len(moments) else None
        found[f"time_to_fail_fast_{label}"] = Figure(value=slowest, unit="s")
        found[f"breaker_open_time_{label}"] = Figure(value=_open_time(view, span), unit="s")


def _open_time(view: View, span: FaultSpan) -> float | None:
    """Give for how many seconds some process said a breaker of the fault's nodes was open."""
    end = min(view.phases.next_injection(node, span.healed) for node in span.record.nodes)
    told = [
        state
        for second in range(int(span.injected), int(end))
        if (state := _worst_state(view, second, span.record.nodes)) is not None
    ]
    return float(sum(told)) if told else None


def _worst_state(view: View, second: int, nodes: Sequence[str]) -> bool | None:
    states = [state for node in nodes if (state := view.state(second, node)) is not None]
    told = [state for state in states if state.breaker]
    if not told:
        return None
    return any(state.breaker.get("open") or state.breaker.get("half_open") for state in told)


def _recovery(view: View, found: dict[str, Figure]) -> None:
    times: dict[str, list[float | None]] = {}
    ends: list[float | None] = []
    for span, node in recoveries(view):
        took = recovery_time(view, span, node)
        times.setdefault(node, []).append(took)
        ends.append(None if took is None else span.healed + took)
    for node, each in times.items():
        found[f"recovery_time_{name_of(node)}"] = Figure(value=_longest(each), unit="s")
    heal, over = view.phases.last_heal, _longest(ends)
    if view.phases.spans:
        to_recover = None if heal is None or over is None else max(0.0, over - heal)
        found["time_to_recover"] = Figure(value=to_recover, unit="s")
    for span in view.phases.spans:
        if Effect.COLD in span.record.effects:
            for node in span.record.nodes:
                found[f"refill_time_{name_of(node)}"] = Figure(
                    value=_refill(view, span, node), unit="s"
                )


def _longest(times: Sequence[float | None]) -> float | None:
    """Return the longest of some times; None where one of them has no end."""
    known = [time for time in times if time is not None]
    return max(known) if known and len(known) == len(times) else None


def _refill(view: View, span: FaultSpan, node: str) -> float | None:
    before = view.total(view.phases.baseline, node).hit_ratio
    if not before:
        return None
    until = view.phases.next_injection(node, span.healed)
    for second in view.phases.inside(span.healed, until):
        ratio = view.sums(second, node).hit_ratio
        if ratio is not None and ratio >= _REFILLED * before:
            return max(0.0, second - span.healed)
    return None
