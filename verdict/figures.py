"""Numbers worth knowing that decide nothing.

Each is named `what` or `what_<phase, fault or node>` and carries its unit; one that cannot be told
has the value None and is listed all the same, so that two runs of a scenario compare line by line.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Sequence

from telemetry.histogram import Histogram, merge_into, merged, percentile_us
from telemetry.window import SLICES_A_SECOND
from verdict.breaker import opened_at
from verdict.earlier import steady_figures
from verdict.ledger import ledger_figures
from verdict.model import Figure
from verdict.phases import FaultSpan
from verdict.recovery import last_bad, recovered_at, recoveries
from verdict.view import Sums, View

_PERCENTILES = (("p50", 0.50), ("p95", 0.95), ("p99", 0.99))
_REFILLED = 0.95
"""A cold cache counts as full again at this share of its baseline hit ratio."""


def figures(view: View) -> dict[str, Figure]:
    """Give all figures of a run, in the order of the reports."""
    found: dict[str, Figure] = {}
    _throughput(view, found)
    _latency(view, found)
    _ratios(view, found)
    _degradation(view, found)
    for span in view.phases.spans:
        _fault(view, span, found)
    _recovery(view, found)
    _origin(view, found)
    _pacing(view, found)
    found |= ledger_figures(view)
    found |= steady_figures(view)
    return found


def _throughput(view: View, found: dict[str, Figure]) -> None:
    per_second = [view.sums(second) for second in view.phases.full]
    found["throughput"] = _mean([sums.operations for sums in per_second], "ops/s")
    found["keys_per_second"] = _mean([sums.keys for sums in per_second], "keys/s")
    found["cpu_us_per_operation"] = _figure(_cpu_us_per_operation(view), "us")


def _cpu_us_per_operation(view: View) -> float | None:
    """Give the load processes' own CPU time (user + system) for each operation."""
    full = frozenset(view.phases.full)
    sampled = [window for window in view.facts.windows if window.second in full and window.cpu]
    cpu_s = sum(sum(window.cpu.values()) for window in sampled)
    operations = view.total(window.second for window in sampled).operations
    return cpu_s * 1e6 / operations if operations else None


def _latency(view: View, found: dict[str, Figure]) -> None:
    service = view.total(view.phases.full).service
    response: Histogram = {}
    for second in view.phases.full:
        window = view.windows.get(second)
        for cell in window.cells.values() if window is not None else ():
            merge_into(response, cell.response)
    for label, histogram in (("service", service), ("response", response)):
        for short, share in _PERCENTILES:
            value = percentile_us(histogram, share)
            found[f"{label}_{short}"] = _figure(None if value is None else value / 1000, "ms")


def _phases(view: View) -> list[tuple[str, tuple[int, ...]]]:
    during = [second for span in view.phases.spans for second in view.phases.during(span)]
    since = recovered_at(view)
    after = () if since is None else view.phases.inside(since, view.phases.load_end)
    return [
        ("baseline", view.phases.baseline),
        ("during", tuple(sorted(set(during)))),
        ("after", after),
    ]


def _ratios(view: View, found: dict[str, Figure]) -> None:
    for label, seconds in _phases(view):
        found[f"hit_ratio_{label}"] = _figure(_hit_ratio(view.total(seconds)), "share")
    for label, seconds in _phases(view):
        sums = view.total(seconds)
        share = sums.failed / sums.operations if sums.operations else None
        found[f"error_rate_{label}"] = _figure(share, "share")


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
        found["throughput_dip"] = _figure(depth, "share")
        area = sum(max(0.0, usual - value) for value in completed)
        found["operations_missing"] = _figure(area, "count")


def _fault(view: View, span: FaultSpan, found: dict[str, Figure]) -> None:
    label = _name(span.record.id)
    failures = [
        start
        for node in span.record.nodes
        for start, part in view.slices(node, span.injected, span.healed)
        if part.failed
    ]
    first = min(failures) - span.injected if failures else None
    found[f"detection_time_{label}"] = _figure(first, "s")
    if "unavailable" in span.record.effects:
        moments = [opened_at(view, span, node) for node in span.record.nodes]
        seen = [moment for moment in moments if moment is not None]
        slowest = max(seen) - span.begins if seen and len(seen) == len(moments) else None
        found[f"time_to_fail_fast_{label}"] = _figure(slowest, "s")
        found[f"breaker_open_time_{label}"] = _figure(_open_time(view, span), "s")


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
    slowest: dict[str, float] = {}
    for span, node in recoveries(view):
        if span.was_healed:
            until = view.phases.next_injection(node, span.healed)
            bad = last_bad(view, node, span.healed, until)
            took = 0.0 if bad is None else bad + 1 / SLICES_A_SECOND - span.healed
            slowest[node] = max(slowest.get(node, 0.0), took)
    for node, took in slowest.items():
        found[f"recovery_time_{_name(node)}"] = _figure(took, "s")
    for span in view.phases.spans:
        if "cold" in span.record.effects:
            for node in span.record.nodes:
                found[f"refill_time_{_name(node)}"] = _figure(_refill(view, span, node), "s")


def _refill(view: View, span: FaultSpan, node: str) -> float | None:
    before = _hit_ratio(view.total(view.phases.baseline, node))
    if not before:
        return None
    until = view.phases.next_injection(node, span.healed)
    for second in view.phases.inside(span.healed, until):
        ratio = _hit_ratio(view.sums(second, node))
        if ratio is not None and ratio >= _REFILLED * before:
            return max(0.0, second - span.healed)
    return None


def _origin(view: View, found: dict[str, Figure]) -> None:
    calls = sum(window.origin_calls for window in view.facts.windows)
    if calls:
        peak = max(window.origin_peak for window in view.facts.windows)
        found["origin_calls"] = _figure(calls, "count")
        found["origin_peak_concurrency"] = _figure(peak, "count")


def _pacing(view: View, found: dict[str, Figure]) -> None:
    if not view.is_paced:
        return
    windows = [view.windows[second] for second in view.phases.full if second in view.windows]
    planned = sum(window.pacing.planned for window in windows)
    sent = sum(window.pacing.sent for window in windows)
    found["target_rate"] = _figure(view.facts.target_rate, "ops/s")
    found["target_rate_kept"] = _figure(sent / planned if planned else None, "share")
    lag = percentile_us(merged(window.lag for window in windows), 0.99)
    found["hub_lag_p99"] = _figure(None if lag is None else lag / 1000, "ms")


def _hit_ratio(sums: Sums) -> float | None:
    return sums.read_hits / sums.read_keys if sums.read_keys else None


def _mean(values: Iterable[float], unit: str) -> Figure:
    listed = list(values)
    return _figure(statistics.fmean(listed) if listed else None, unit)


def _figure(value: float | None, unit: str) -> Figure:
    return Figure(value=value, unit=unit)


def _name(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or "unnamed"
