"""Numbers worth knowing that decide nothing.

Each is named `what` or `what_<phase, fault or node>` and carries its unit; one that cannot be told
has the value None and is listed all the same, so that two runs of a scenario compare line by line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from telemetry.histogram import Histogram, merged, percentile_us
from telemetry.line import response_of, service_of
from telemetry.window import Window
from verdict.earlier import steady_figures
from verdict.figures_of_faults import fault_figures
from verdict.figures_of_harm import harm_figures
from verdict.ledger import ledger_figures
from verdict.model import Figure
from verdict.recovery import recovered_at
from verdict.view import View

_PERCENTILES = (("p50", 0.50), ("p95", 0.95), ("p99", 0.99))


def figures(view: View) -> dict[str, Figure]:
    """Give all figures of a run, in the order of the reports."""
    found: dict[str, Figure] = {}
    _throughput(view, found)
    _latency(view, found)
    _ratios(view, found)
    found |= fault_figures(view)
    found |= harm_figures(view)
    _origin(view, found)
    _pacing(view, found)
    _memory(view, found)
    found |= ledger_figures(view)
    found |= steady_figures(view)
    return found


def _throughput(view: View, found: dict[str, Figure]) -> None:
    sums = view.total(view.row)
    seconds = sum(view.ends(second) - second for second in view.row)
    for name, count, unit in (
        ("throughput", sums.operations, "ops/s"),
        ("keys_per_second", sums.keys, "keys/s"),
    ):
        found[name] = _figure(count / seconds if seconds else None, unit)
    peak = sum(worker.peak_calls for worker in view.facts.workers)
    found["calls_at_once_peak"] = _figure(peak or None, "count")
    found["cpu_us_per_operation"] = _figure(_cpu_us_per_operation(view), "us")


def _cpu_us_per_operation(view: View) -> float | None:
    """Give the load processes' own CPU time (user + system) for each operation."""
    seconds = frozenset(view.phases.sampled)
    sampled = [window for window in view.facts.windows if window.second in seconds and window.cpu]
    cpu_s = sum(sum(window.cpu.values()) for window in sampled)
    operations = view.total(window.second for window in sampled).operations
    return cpu_s * 1e6 / operations if operations else None


def _latency(view: View, found: dict[str, Figure]) -> None:
    """Service and response times are of the same calls: those that were sent and not cut off."""
    for label, of in (("service", service_of), ("response", response_of)):
        histogram = _merged(view, view.row, of)
        for short, share in _PERCENTILES:
            value = percentile_us(histogram, share)
            found[f"{label}_{short}"] = _figure(None if value is None else value / 1000, "ms")
    testing = [phase for phase in view.facts.phases if phase.name == "testing"]
    if testing and testing[0].end_s is not None:
        # Every second of it, edges of faults included: what was felt while things broke.
        seconds = range(round(testing[0].start_s), round(testing[0].end_s))
        value = percentile_us(_merged(view, seconds, response_of), 0.99)
        found["response_p99_testing"] = _figure(None if value is None else value / 1000, "ms")


def _merged(view: View, seconds: Iterable[int], of: Callable[[Window], Histogram]) -> Histogram:
    return merged(of(view.windows[second]) for second in seconds if second in view.windows)


def _phases(view: View) -> list[tuple[str, tuple[int, ...]]]:
    during = [second for span in view.phases.spans for second in view.phases.during(span)]
    since = recovered_at(view)
    after = () if since is None else view.phases.inside(since, view.phases.load_end)
    return [
        ("baseline", view.covering(view.phases.baseline)),
        ("during", tuple(sorted(set(during)))),
        ("after", after),
    ]


def _ratios(view: View, found: dict[str, Figure]) -> None:
    for label, seconds in _phases(view):
        found[f"hit_ratio_{label}"] = _figure(view.total(seconds).hit_ratio, "share")
    for label, seconds in _phases(view):
        sums = view.total(seconds)
        share = sums.failed / sums.operations if sums.operations else None
        found[f"error_rate_{label}"] = _figure(share, "share")


def _origin(view: View, found: dict[str, Figure]) -> None:
    calls = sum(window.origin_calls for window in view.facts.windows)
    if calls:
        peak = max(window.origin_peak for window in view.facts.windows)
        found["origin_calls"] = _figure(calls, "count")
        found["origin_peak_concurrency"] = _figure(peak, "count")


def _pacing(view: View, found: dict[str, Figure]) -> None:
    if not view.is_paced:
        return
    windows = [view.windows[second] for second in view.row]
    planned = sum(window.pacing.planned for window in windows)
    sent = sum(window.pacing.sent for window in windows)
    found["target_rate"] = _figure(view.facts.target_rate, "ops/s")
    found["target_rate_kept"] = _figure(sent / planned if planned else None, "share")
    lag = percentile_us(merged(window.lag for window in windows), 0.99)
    found["hub_lag_p99"] = _figure(None if lag is None else lag / 1000, "ms")


def _memory(view: View, found: dict[str, Figure]) -> None:
    """Return the growth of the load processes, and of it what `no_leaks` leaves out: the record."""
    known = [w for w in view.facts.workers if w.rss_baseline and w.rss_end]
    grown = sum(w.rss_end - w.rss_baseline for w in known) + view.facts.timeline_growth
    found["memory_growth"] = _figure(grown if known else None, "bytes")
    found["timeline_memory_growth"] = _figure(view.facts.timeline_growth, "bytes")


def _figure(value: float | None, unit: str) -> Figure:
    return Figure(value=value, unit=unit)
