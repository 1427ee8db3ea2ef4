"""How two stretches of windows are compared: latency, throughput, and what saturation excuses.

Medians over windows, never a single window, and beside every ratio an absolute slack: a p99 of one
second moves by two thirds with nothing wrong. Throughput gets the slack that its own scatter in
the baseline asks for, and a p99 beyond its limit by less than the windows' scatter tells nothing,
so a client is not convicted of noise.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Callable, Iterable, Sequence

from memquake.limits import LIMITS
from verdict.answers import MOST_CONTRIBUTORS, answer, held, inconclusive, percent
from verdict.evidence import disturbances, lost_workers
from verdict.model import CheckResult, Contributor, Ruling
from verdict.view import CPU_GROWTH, STOLEN, View

P99_SLACK_MS = 2.0
THROUGHPUT_KEPT = 0.95
ERRORS_ALLOWED = 0.001
WINDOWS_NEEDED = LIMITS["unaffected_nodes_healthy"].needed
LAG_FACTOR = 1.5
"""Lag beyond this multiple of the baseline's, and 2 ms more, is another machine than before."""

CROWDED = (1.1, 0.02)
"""Queueing for a core beyond this multiple of the baseline's, and this much of a core more. Hardly
any: p99 rose from 4 to 10 ms while the queueing rose by a third."""

HOPS = 4
"""Processes that must get their turn for one call: the proxy twice, the node, the load process."""

_DEVIATIONS = 2.5
_MEDIAN_TO_MEAN = 1.2533
"""The standard error of a median is larger than that of a mean by this, normal distribution."""
_MAD_TO_DEVIATION = 1.4826
"""Scales the median absolute deviation to the standard deviation of a normal distribution."""


def compare_p99(
    name: str, label: str, before: Sequence[float], after: Sequence[float], factor: float
) -> CheckResult | None:
    """Hold the median window p99 (ms) against the baseline's; None where there is nothing.

    Beyond the limit by no more than two and a half standard errors of the ratio of two medians, it
    is INCONCLUSIVE: more windows would tell. The scatter is the baseline's own, because a client
    that is wild afterwards must not be excused by it; and the standard deviation of logarithms,
    which is much surer for a handful of windows than their median absolute deviation.
    """
    if not before or not after:
        return None
    was, now = statistics.median(before), statistics.median(after)
    allowed = max(factor * was, was + P99_SLACK_MS)
    ratio, most = (now / was, allowed / was) if was else (0.0, factor)
    why = f"{label}: p99 {now:.2f} ms, {was:.2f} ms before, {allowed:.2f} ms allowed"
    logs = [math.log(value) for value in before if value > 0]  # latencies scatter by factors
    scatter = statistics.stdev(logs) if len(logs) > 1 else 0.0
    sure = allowed * math.exp(_DEVIATIONS * _error(scatter, len(before), len(after)))
    if allowed < now <= sure:
        why += f"; windows scatter so much that only {sure:.2f} ms would tell: run longer"
        return inconclusive(name, why, observed=ratio, limit=most, unit="x")
    return held(name, now <= allowed, why, observed=ratio, limit=most, unit="x")


def _error(scatter: float, before: int, after: int) -> float:
    """Give the standard error of the difference of two medians, over so many values each."""
    return _MEDIAN_TO_MEAN * scatter * math.sqrt(1 / max(1, before) + 1 / max(1, after))


def throughput_floor(before: Sequence[int], windows: int) -> float:
    """Give the completed operations a second that still count as 95 % of the baseline.

    Two and a half standard errors of the difference of two medians are allowed beside the 5 %, one
    over `windows` windows; the scatter is the baseline's own, and at least that of random arrivals.
    """
    usual = statistics.median(before)
    deviation = statistics.median(abs(value - usual) for value in before) * _MAD_TO_DEVIATION
    scatter = max(deviation, math.sqrt(usual))
    return THROUGHPUT_KEPT * usual - _DEVIATIONS * _error(scatter, len(before), windows)


def compare_throughput(
    name: str, label: str, before: Sequence[int], after: Sequence[int]
) -> CheckResult | None:
    """Hold the completed operations of the median window against the baseline's."""
    if not before or not after or not statistics.median(before):
        return None
    was, now = statistics.median(before), statistics.median(after)
    floor = throughput_floor(before, len(after))
    why = f"{label}: {now:.0f} completed/s, {was:.0f} before, {max(0, floor):.0f} needed"
    ruling = Ruling.PASS if now >= floor else Ruling.FAIL
    return answer(name, ruling, why, observed=now / was, limit=THROUGHPUT_KEPT, unit="share")


def compare_errors(name: str, label: str, failed: int, operations: int) -> CheckResult | None:
    """Hold a share of failed operations against 0.1 %."""
    if not operations:
        return None
    share = failed / operations
    why = f"{label}: {failed} of {operations} failed ({percent(share)})"
    return held(
        name, share <= ERRORS_ALLOWED, why, observed=share, limit=ERRORS_ALLOWED, unit="share"
    )


def excused(
    view: View,
    seconds: Iterable[int],
    judge: Callable[[Sequence[int]], CheckResult | None],
    *,
    needed: int = 1,
    by_load: bool = False,
    was_ms: float = 0.0,
) -> CheckResult | None:
    """Judge windows by timing, and take a FAIL back where the harness itself may be to blame.

    A FAIL stands when the windows without a saturated generator convict as well, and of those the
    ones in which nobody else crowded the machine, and the harness's own clockwork ran as in the
    baseline: what makes a ticker late makes every call late. With
    `by_load`, a worker lost on the way excuses less throughput. `was_ms` is the baseline of a ratio
    of latencies: then no window convicts in which the hypervisor took its part, and what the
    ticker's own delay explains is no conviction either.
    """
    chosen = tuple(seconds)
    result = judge(chosen)
    if result is None or result.verdict is not Ruling.FAIL:
        return result
    clear = [second for second in chosen if second not in view.saturated]
    if len(clear) < len(chosen):
        again = judge(clear) if len(clear) >= needed else None
        if again is None or again.verdict is not Ruling.FAIL:
            late = set(chosen) & view.saturated
            reason = "the generator was saturated then"
            return taken_back(result, reason, *disturbances(view, late))
        result = again
    crowded = view.crowded(*CROWDED) | (view.robbed if was_ms else frozenset())
    quiet = [second for second in clear if second not in crowded]
    if len(quiet) < len(clear):
        again = judge(quiet) if len(quiet) >= needed else None
        if again is None or again.verdict is not Ruling.FAIL:
            busy = set(clear) & crowded
            return taken_back(result, _in_the_way(view, clear), *disturbances(view, busy))
        result, clear = again, quiet
    excess_ms = ((result.observed or 0.0) - (result.limit or 0.0)) * was_ms
    delay = disturbance(view, clear, excess_ms)
    if delay:
        return taken_back(result, delay, *disturbances(view, clear))
    lost = [worker for worker in view.facts.workers if worker.lost_at_s is not None]
    if by_load and lost:
        reason = f"lost on the way: {', '.join(worker.id for worker in lost)}"
        return taken_back(result, reason, *lost_workers(view))
    return result


def _in_the_way(view: View, seconds: Sequence[int]) -> str:
    """Say how much longer the run's processes queued for a core than in the baseline."""
    before, loads = (
        [load for second in part if (load := view.machine(second)) is not None]
        for part in (view.phases.baseline, seconds)
    )
    stolen = statistics.median(load.stolen for load in loads)
    if not before:  # the hypervisor's own count needs nothing to compare with
        return f"the hypervisor took {stolen:.2f} s of the processor a second"
    was, now = (statistics.median(load.waited for load in part) for part in (before, loads))
    why = (
        "other work on the machine was in the way: the run's processes together queued for a core "
        f"{now:.2f} s a second, {was:.2f} s in the baseline"
    )
    return f"{why}, and the hypervisor took {stolen:.2f} s" if stolen >= STOLEN else why


def disturbance(view: View, seconds: Sequence[int], excess_ms: float = 0.0) -> str:
    """Say how much later the hub's ticker ran than in the baseline, "" where it did not.

    Other work on the machine delays the ticker once and a call at each of its HOPS, so an excess of
    latency up to that many times the ticker's own is explained by it. A client that keeps its own
    process busy is late as well, but then the process takes more of the CPU than before: that is
    no excuse.
    """
    before, now = (view.lag_p99s_ms(part) for part in (view.phases.baseline, seconds))
    if not before or not now:
        return ""
    was, late = statistics.median(before), statistics.median(now)
    is_explained = 0.0 < excess_ms <= HOPS * (late - was)
    if not is_explained and late <= max(LAG_FACTOR * was, was + P99_SLACK_MS):
        return ""
    if view.median_cpu(seconds) > view.median_cpu(view.phases.baseline) + CPU_GROWTH:
        return ""
    return f"the harness's own ticker was {late:.1f} ms late, {was:.1f} ms in the baseline"


def taken_back(result: CheckResult, reason: str, *causes: Contributor) -> CheckResult:
    """Turn a conviction into INCONCLUSIVE, with the reason added and what caused it shown first."""
    shown = (*causes, *result.evidence)[:MOST_CONTRIBUTORS]
    why = f"{result.why}; {reason}"
    return dataclasses.replace(result, verdict=Ruling.INCONCLUSIVE, why=why, evidence=shown)
