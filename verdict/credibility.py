"""Checks of the run itself: enough load, steady, from a generator that keeps up.

A client is only judged by a run that proves something. All but `load_kept` can only ever end in
PASS or INCONCLUSIVE: they never convict a client.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from memquake.limits import LIMITS
from telemetry.histogram import merged, percentile_us
from verdict.answers import (
    MOST_CONTRIBUTORS,
    answer,
    held,
    inconclusive,
    not_applicable,
    percent,
    with_evidence,
    worst,
)
from verdict.effects import without_effect
from verdict.evidence import (
    Triple,
    by_second,
    disturbances,
    failures,
    lacking,
    longest_calls,
    lost_workers,
    not_injected,
    unconfirmed,
)
from verdict.model import CheckResult, Contributor, Ruling
from verdict.node_events import incidents, notes
from verdict.phases import FaultSpan
from verdict.view import CPU_LIMIT, View

STEADY_SECONDS_NEEDED = LIMITS["enough_requests"].needed
BASELINE_ERRORS = 0.001
P50_SLACK_MS = 0.2
"""Sub-millisecond medians move by this much from scheduling alone; that is no unsteadiness."""

CROWDED = (2.0, 0.2)
"""A window whose processes queued for a core so many times as long as usual, and so many cores
more: the client's own unsteadiness does not make them queue."""

LOAD_LEFT = 0.5
"""With less than half the load left after workers were lost, the run is another one."""


def enough_requests(view: View) -> CheckResult:
    """Judge by at least 1,000 operations and 5 full steady seconds of the planned load."""
    name = "enough_requests"
    needed = view.limit(name)
    all_operations = view.total(view.windows).operations
    operations = all_operations - view.total(view.phases.disturbed).operations
    steady = sum(1 for second in view.phases.baseline if view.sums(second).operations)
    found: list[Contributor] = []
    reasons = []
    if operations < needed:
        reasons.append(f"{operations} operations, {needed:,.0f} needed")
        found += lacking("operations", operations, needed, seconds=tuple(view.windows))
    if steady < STEADY_SECONDS_NEEDED:
        reasons.append(f"{steady} full steady seconds, {STEADY_SECONDS_NEEDED} needed")
        seconds = view.phases.baseline
        found += lacking("full steady seconds", steady, STEADY_SECONDS_NEEDED, seconds=seconds)
    if view.facts.stopped_early:
        reasons.append("the run did not go as planned")
        end = view.facts.duration_s
        found.append(Contributor(outcome=f"stopped: {view.facts.stopped_early}", from_s=end))
    losses, unreported = _lost_load(view), _lost_reports(view, all_operations)
    found += lost_workers(view) if losses else ()
    found += [Contributor(outcome=line) for line in unreported]
    reasons += losses + unreported
    if reasons:
        met = incidents(view.facts)
        reasons += [incident.words for incident in met]
        found = [*(incident.contributor for incident in met), *found]
        why = view.because("; ".join(reasons))
        return inconclusive(name, why, observed=operations, limit=needed, evidence=lambda: found)
    why = f"{operations:,} operations, {steady} steady seconds"
    lost = _lost_workers(view)
    if lost:
        why += f"; lost {lost}, the load was kept"
    why += "".join(f"; {line}" for line in [*_comings_and_goings(view), *notes(view.facts)])
    return held(name, True, why, observed=operations, limit=needed)


def _lost_workers(view: View) -> str:
    lost = [worker for worker in view.facts.workers if worker.lost_at_s is not None]
    return ", ".join(f"{worker.id} at {worker.lost_at_s:.1f} s" for worker in lost)


def _comings_and_goings(view: View) -> list[str]:
    """Say which workers came late, or were cut off and came back with all they had counted."""
    workers = view.facts.workers
    return [f"{w.id} joined at {w.joined_at_s:.1f} s" for w in workers if w.joined_at_s > 0] + [
        f"{w.id} was cut off from {begin:.1f} s to {end:.1f} s, its reports came afterwards"
        for w in workers
        for begin, end in w.away
    ]


def _lost_load(view: View) -> list[str]:
    """Say whether less than half the planned load remained after a worker was lost."""
    facts = view.facts
    losses = [worker.lost_at_s for worker in facts.workers if worker.lost_at_s is not None]
    if not losses:
        return []
    names = _lost_workers(view)
    if len(losses) == len(facts.workers):
        return [f"every worker was lost: {names}"]
    after = view.phases.inside(min(losses), view.phases.load_end)
    left = [share for second in after if (share := _load_share(view, second)) is not None]
    if not left:
        return [f"nothing is known of the load after {names} was lost"]
    share = statistics.median(left)
    if share >= LOAD_LEFT:
        return []
    return [f"{percent(share)} of the load was left after losing {names}"]


def _load_share(view: View, second: int) -> float | None:
    """Give the load of a window against the plan: users, and starts where no fault disturbs."""
    window = view.windows.get(second)
    if window is None:
        return None
    shares = [window.users / view.facts.users] if view.facts.users and window.users else []
    if view.is_paced and not view.phases.is_under_fault(second):
        shares.append(window.pacing.sent / view.facts.target_rate)
    if shares:
        return min(shares)
    steady = [view.sums(other).operations for other in view.phases.baseline]
    usual = statistics.median(steady) if steady else 0
    return view.sums(second).operations / usual if usual else None


def _lost_reports(view: View, operations: int) -> list[str]:
    workers = view.facts.workers
    missing = [worker for worker in workers if worker.unaccounted and worker.lost_at_s is None]
    if missing:
        return [f"{worker.unaccounted} operations of {worker.id} unreported" for worker in missing]
    if any(worker.lost_at_s is not None for worker in workers) or not workers:
        return []
    told = sum(worker.operations for worker in workers)
    if told == operations:
        return []
    return [f"the timeline holds {operations} operations, the workers did {told}"]


def steady_baseline(view: View) -> CheckResult:
    """Start from a steady state: errors at most 0.1 %, window p50 varying by at most 30 %.

    One bad second is one bad second: with five windows or more beside it, the one farthest from
    the median is left out of the variation. A standard deviation below 0.2 ms is steady whatever
    its share of the mean. Windows that the hypervisor has robbed are left out where five others
    remain, and those that other work on the machine crowded where they are the lesser part.
    """
    name = "steady_baseline"
    limit = view.limit(name)
    baseline = view.phases.baseline
    sums = view.total(view.covering(baseline))
    quiet = _uncrowded(view, view.unrobbed(baseline, STEADY_SECONDS_NEEDED))
    medians = [value for s in quiet if (value := view.sums(s).p50_ms()) is not None]
    if not sums.operations or len(medians) < 2:
        few = lacking("windows of steady state", len(medians), 2, seconds=baseline)
        why = view.because("no steady state was seen")
        return inconclusive(name, why, limit=limit, evidence=lambda: few)
    errors = sums.failed / sums.operations
    if errors > BASELINE_ERRORS:
        why = f"{percent(errors)} errors in the steady state"
        return inconclusive(
            name,
            why,
            observed=errors,
            limit=BASELINE_ERRORS,
            evidence=lambda: failures(view, baseline),
        )
    medians = _without_the_odd_one(medians)
    deviation, mean = statistics.pstdev(medians), statistics.fmean(medians)
    variation = deviation / mean if mean else 0.0
    why = f"window p50 {mean:.2f} ms, deviation {deviation:.2f} ms, over {len(medians)} windows"
    if variation > limit and deviation > P50_SLACK_MS:
        return inconclusive(
            name,
            why,
            observed=variation,
            limit=limit,
            evidence=lambda: _unsteady_windows(view, quiet),
        )
    return held(name, True, why, observed=variation, limit=limit)


def _uncrowded(view: View, seconds: Sequence[int]) -> Sequence[int]:
    """Leave out the windows in which other work was in the way, where at least half are left."""
    crowded = view.crowded(*CROWDED)
    kept = [second for second in seconds if second not in crowded]
    enough = max(STEADY_SECONDS_NEEDED, len(seconds) / 2)
    return kept if len(kept) >= enough else seconds


def _unsteady_windows(view: View, seconds: Sequence[int]) -> list[Contributor]:
    """Give the windows whose median is farthest from that of the others."""
    p50s = {second: value for second in seconds if (value := view.sums(second).p50_ms())}
    middle = statistics.median(p50s.values())
    farthest = sorted(p50s, key=lambda second: abs(p50s[second] - middle), reverse=True)
    return [
        Contributor(
            outcome=f"window p50 {p50s[second]:.2f} ms, {middle:.2f} ms in the median window",
            from_s=second,
            to_s=second + 1,
            count=view.sums(second).operations,
            example=next(iter(disturbances(view, [second]))).example,
        )
        for second in farthest[:MOST_CONTRIBUTORS]
    ]


def _without_the_odd_one(values: list[float]) -> list[float]:
    if len(values) <= STEADY_SECONDS_NEEDED:
        return values
    middle = statistics.median(values)
    odd = max(range(len(values)), key=lambda index: abs(values[index] - middle))
    return values[:odd] + values[odd + 1 :]


def fault_confirmed(view: View) -> CheckResult:
    """Confirm every planned fault by read-back and by its effect, which the calls felt as well."""
    name = "fault_confirmed"
    records = view.facts.faults
    limit = view.limit(name)
    if not records:
        return not_applicable(name, "no fault was planned")
    missing = [record for record in records if not record.confirmed]
    if len(missing) > limit:
        reasons = [
            f"{record.id} ({record.kind}): "
            + (record.why_not or ("not seen" if record.injected_at_s is not None else "not begun"))
            for record in missing[:3]
        ]
        why = view.because("; ".join(reasons))
        spans = [span for span in view.phases.spans if not span.record.confirmed]
        seen = [*(each for span in spans for each in unconfirmed(span)), *not_injected(view)]
        return inconclusive(name, why, observed=len(missing), limit=limit, evidence=lambda: seen)
    lines = [(span, line) for span in view.phases.spans for line in without_effect(view, span)]
    if lines:
        unfelt = [_unfelt(view, span, line) for span, line in lines]
        why = "; ".join(line for _, line in lines[:3])
        return inconclusive(name, why, observed=len(lines), limit=limit, evidence=lambda: unfelt)
    strays = sum(worker.strays for worker in view.facts.workers)
    if strays:
        why = f"{strays} connections of which nobody knows for which group of users they were made"
        astray = [
            Contributor(
                outcome=f"connections of {worker.id} of no known group", count=worker.strays
            )
            for worker in view.facts.workers
            if worker.strays
        ]
        return inconclusive(name, why, observed=strays, limit=limit, evidence=lambda: astray)
    why = f"{len(records)} of {len(records)} confirmed" if not missing else "within the budget"
    return held(name, True, why, observed=len(missing), limit=limit)


def _unfelt(view: View, span: FaultSpan, line: str) -> Contributor:
    """Return a fault that proved nothing, with the calls to its nodes meanwhile."""
    nodes = span.record.nodes
    return Contributor(
        outcome=line,
        node=", ".join(nodes),
        from_s=span.begins,
        to_s=span.heal,
        count=view.total(view.phases.during(span), *nodes).operations,
    )


def load_kept(view: View) -> CheckResult:
    """Send at least 95 % of the planned load outside faults."""
    name = "load_kept"
    limit = view.limit(name)
    if not view.is_paced:
        return not_applicable(name, "closed loop: no load was planned")
    outside = [second for second in view.row if not view.phases.is_under_fault(second)]
    planned = sent = busy = late = 0
    unsent: list[Triple] = []
    for stretch in _stretches(view, outside):
        pacings = [view.windows[second].pacing for second in stretch if second in view.windows]
        due = sum(pacing.planned for pacing in pacings)
        planned += due
        unsent += _unsent(view, stretch)
        sent += min(due, sum(pacing.sent for pacing in pacings))  # catching up adds no load
        busy += sum(pacing.busy_samples for pacing in pacings)
        late += sum(pacing.late_samples for pacing in pacings)
    if not planned:
        none = lacking("planned starts outside faults", 0, 1, seconds=outside)
        why = view.because("nothing was planned outside faults")
        return inconclusive(name, why, limit=limit, evidence=lambda: none)
    share = sent / planned
    why = f"{sent:,} of {planned:,} planned starts"
    if share >= limit:
        return answer(name, Ruling.PASS, why, observed=share, limit=limit)
    if busy > late and not _is_saturated(view, outside):
        why += f"; every user was inside the client in {busy} of {busy + late} samples of backlog"
        stuck = by_second(view, unsent, "", "starts not sent: every user was inside the client")
        seen = [*stuck[:1], *longest_calls(view, outside)]
        return held(name, False, why, observed=share, limit=limit, evidence=lambda: seen)
    why += "; the generator itself was late"
    unsent_late = by_second(view, unsent, "", "starts not sent by a generator that was late")
    seen = [*disturbances(view, outside), *unsent_late]
    return inconclusive(name, why, observed=share, limit=limit, evidence=lambda: seen)


def _unsent(view: View, stretch: Sequence[int]) -> list[Triple]:
    """Give the seconds in which fewer iterations were started than planned."""
    return [
        ("", second, count)
        for second in stretch
        if (window := view.windows.get(second)) is not None
        and (count := window.pacing.planned - window.pacing.sent) > 0
    ]


def _stretches(view: View, seconds: Iterable[int]) -> list[list[int]]:
    stretches: list[list[int]] = []
    for second in seconds:
        if stretches and view.ends(stretches[-1][-1]) == second:
            stretches[-1].append(second)
        else:
            stretches.append([second])
    return stretches


def _lag_p99_s(view: View, seconds: Iterable[int]) -> float | None:
    windows = [view.windows[second] for second in seconds if second in view.windows]
    value = percentile_us(merged(window.lag for window in windows), 0.99)
    return None if value is None else value / 1e6


def _is_saturated(view: View, seconds: list[int]) -> bool:
    lag = _lag_p99_s(view, seconds)
    limit = view.limit("generator_not_saturated")
    return lag is None or lag > limit or view.median_cpu(seconds) > CPU_LIMIT


def generator_not_saturated(view: View) -> CheckResult:
    """Measure with a generator that keeps up: hub lag p99 at most 20 ms, CPU at most 90 %."""
    name = "generator_not_saturated"
    limit = view.limit(name)
    if not view.is_paced:
        return not_applicable(name, "closed loop: the generator is meant to be busy")
    seconds = view.row
    lag = _lag_p99_s(view, seconds)
    if lag is None:
        none = lacking("windows with a measured lag", 0, 1, seconds=seconds)
        why = view.because("the hub's lag was not measured")
        return inconclusive(name, why, limit=limit, evidence=lambda: none)
    cpu = view.median_cpu(view.phases.sampled)
    parts = []
    for is_over, seen, most, unit, why in (
        (lag > limit, lag, limit, "s", f"hub lag p99 {lag * 1000:.1f} ms"),
        (cpu > CPU_LIMIT, cpu, CPU_LIMIT, "share", f"median CPU of a worker {percent(cpu)}"),
    ):
        ruling = Ruling.INCONCLUSIVE if is_over else Ruling.PASS
        parts.append(answer(name, ruling, why, observed=seen, limit=most, unit=unit))
    return with_evidence(worst(name, parts), lambda: disturbances(view, seconds))
