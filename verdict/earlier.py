"""Against an earlier run: is this one still as fast, and does it still hit as often.

Only the baselines are compared, the seconds before anything broke, by their median windows: what a
fault does to a run is judged by the other checks, and would drown what a release has changed. The
numbers compared are figures of both runs, so any verdict.json can be the baseline of the next run.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping

from client.operation import Outcome
from verdict.answers import held, inconclusive, not_applicable, percent, worst
from verdict.compare import (
    HOPS,
    LAG_FACTOR,
    P99_SLACK_MS,
    THROUGHPUT_KEPT,
    WINDOWS_NEEDED,
    taken_back,
)
from verdict.evidence import disturbances, failures, lacking, outcomes, slow_calls
from verdict.model import CheckResult, Contributor, EarlierRun, Figure, Ruling
from verdict.view import CPU_GROWTH, View

NAME = "baseline_kept"
P50_SLACK_MS = 0.5
"""A median moves by a tenth of itself with nothing wrong; this is scheduling on shared cores."""

HIT_RATIO_SLACK = 0.02
LOAD_DIFFERS = 0.01  # of the target rate: beyond it two runs answer different questions


def steady_figures(view: View) -> dict[str, Figure]:
    """Give what the next run can be held against: medians over the windows of the baseline."""
    seconds = view.phases.baseline
    sums = [view.sums(second) for second in seconds]
    lag = _median(view.lag_p99s_ms(seconds))
    return {
        "users": Figure(value=view.facts.users, unit="count"),
        "steady_p50": Figure(value=_median(s.p50_ms() for s in sums), unit="ms"),
        "steady_p99": Figure(value=_median(s.p99_ms() for s in sums), unit="ms"),
        "steady_throughput": Figure(value=_median(s.completed for s in sums), unit="ops/s"),
        "steady_hub_lag": Figure(value=lag, unit="ms"),
        "steady_cpu": Figure(value=view.median_cpu(seconds) or None, unit="share"),
    }


def baseline_kept(view: View) -> CheckResult:
    """Stay within 1.5 x the p50 and p99 of the run given as --baseline, and 95 % of its hits."""
    earlier = view.facts.earlier
    if earlier is None:
        return not_applicable(NAME, "no --baseline was given")
    windows = len(view.phases.baseline)
    if windows < WINDOWS_NEEDED:
        why = f"{windows} full seconds to compare by, {WINDOWS_NEEDED} needed"
        few = lacking("full seconds", windows, WINDOWS_NEEDED, seconds=view.phases.baseline)
        return inconclusive(NAME, view.because(why), limit=view.limit(NAME), evidence=lambda: few)
    now = {name: f.value for name, f in steady_figures(view).items() if f.value is not None}
    if why := _other_load(view, earlier, now):
        return inconclusive(NAME, why, limit=view.limit(NAME), evidence=lambda: [_stated(why)])
    parts = [
        _latency(view, earlier, now, "steady_p50", P50_SLACK_MS),
        _latency(view, earlier, now, "steady_p99", P99_SLACK_MS),
        _throughput(view, earlier, now),
        _hit_ratio(view, earlier),
    ]
    found = [part for part in parts if part is not None]
    if len(found) < len(parts):
        why = f"{earlier.name} lacks what this run is to be held against: make a new baseline"
        return inconclusive(NAME, why, limit=view.limit(NAME), evidence=lambda: [_stated(why)])
    return worst(NAME, found)


def _stated(what: str) -> Contributor:
    return Contributor(outcome=what)


def _other_load(view: View, earlier: EarlierRun, now: Mapping[str, float]) -> str:
    """Say how the load differs from the earlier run's, "" where the two can be compared."""
    rate, earlier_rate = view.facts.target_rate, earlier.figures.get("target_rate", 0.0)
    if abs(rate - earlier_rate) > LOAD_DIFFERS * max(rate, earlier_rate):
        return f"{earlier.name} had a target rate of {earlier_rate:g}, this run {rate:g}"
    users, earlier_users = now["users"], earlier.figures.get("users")
    if not rate and earlier_users is not None and earlier_users != users:
        return f"{earlier.name} had {earlier_users:g} users in closed loop, this run {users:g}"
    return ""


def _latency(
    view: View, earlier: EarlierRun, now: Mapping[str, float], name: str, slack_ms: float
) -> CheckResult | None:
    was, value = earlier.figures.get(name), now.get(name)
    if not was or value is None:
        return None
    limit = view.limit(NAME)
    allowed = max(limit * was, was + slack_ms)
    label = name.removeprefix("steady_")
    why = f"{label} {value:.2f} ms, {was:.2f} ms in {earlier.name}, {allowed:.2f} ms allowed"
    seconds = view.phases.baseline
    result = held(
        NAME,
        value <= allowed,
        why,
        observed=value / was,
        limit=allowed / was,
        unit="x",
        evidence=lambda: slow_calls(view, seconds, 1000 * allowed),
    )
    return _excused(view, result, now, value - allowed)


def _throughput(view: View, earlier: EarlierRun, now: Mapping[str, float]) -> CheckResult | None:
    was, value = earlier.figures.get("steady_throughput"), now.get("steady_throughput")
    if not was or value is None:
        return None
    if view.is_paced:
        # Arrivals scatter, and so do medians of few windows: two standard errors beside the 5 %.
        kept = THROUGHPUT_KEPT - 2 / math.sqrt(was * len(view.phases.baseline))
    else:
        kept = 1 / view.limit(NAME)
    why = f"{value:.0f} completed/s, {was:.0f} in {earlier.name}, {kept * was:.0f} needed"
    seconds = view.phases.baseline
    fewer = Contributor(
        outcome=f"{value:.0f} completed/s, {was:.0f} in {earlier.name}",
        from_s=seconds[0],
        to_s=seconds[-1] + 1,
        count=round((was - value) * len(seconds)),
        share=1 - value / was,
    )
    result = held(
        NAME,
        value >= kept * was,
        why,
        observed=value / was,
        limit=kept,
        unit="share",
        evidence=lambda: [fewer, *failures(view, seconds)],
    )
    return _excused(view, result, now, 0.0)


def _hit_ratio(view: View, earlier: EarlierRun) -> CheckResult | None:
    total = view.total(view.covering(view.phases.baseline))
    was = earlier.figures.get("hit_ratio_baseline")
    if not total.read_keys:
        was = 0.0  # a load that reads nothing has no hits to lose
    if was is None:
        return None
    ratio = total.read_hits / total.read_keys if total.read_keys else 0.0
    floor = min(THROUGHPUT_KEPT * was, was - HIT_RATIO_SLACK)
    why = f"hit ratio {percent(ratio)}, {percent(was)} in {earlier.name}"
    return held(
        NAME,
        ratio >= floor,
        why,
        observed=ratio,
        limit=max(0.0, floor),
        unit="share",
        evidence=lambda: outcomes(view, view.phases.baseline, {Outcome.MISS, Outcome.PARTIAL}),
    )


def _excused(
    view: View, result: CheckResult, now: Mapping[str, float], excess_ms: float
) -> CheckResult:
    """Take a FAIL back where the machine was another: the harness's own ticker was later too.

    Not for a client that keeps its process busier than before, and so is late by its own doing.
    """
    figures = view.facts.earlier.figures if view.facts.earlier is not None else {}
    was, late = figures.get("steady_hub_lag"), now.get("steady_hub_lag")
    if result.verdict is not Ruling.FAIL or was is None or late is None:
        return result
    is_late = late > max(LAG_FACTOR * was, was + P99_SLACK_MS)
    is_explained = 0.0 < excess_ms <= HOPS * (late - was)
    is_busier = now.get("steady_cpu", 0.0) > figures.get("steady_cpu", 1.0) + CPU_GROWTH
    if is_busier or not (is_late or is_explained):
        return result
    reason = f"the harness's own ticker was {late:.1f} ms late, {was:.1f} ms then"
    return taken_back(result, reason, *disturbances(view, view.phases.baseline))


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(statistics.median(known)) if known else None
