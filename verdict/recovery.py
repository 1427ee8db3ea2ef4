"""Checks of what comes after the heal: the node is used again, and all is as it was.

Recovery is read from the calls themselves: when the last of them went wrong, and whether the node
gets its traffic back, by the clients' records and by the server's own counters.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Collection, Sequence
from typing import NamedTuple

from client.operation import Outcome
from faults.effect import Effect
from telemetry.window import SLICES_A_SECOND
from verdict.answers import (
    held,
    inconclusive,
    not_applicable,
    percent,
    with_evidence,
    worst,
)
from verdict.compare import (
    WINDOWS_NEEDED,
    compare_p99,
    compare_throughput,
    excused,
    taken_back,
)
from verdict.evidence import (
    bad_operations,
    disturbances,
    failures,
    lacking,
    missing,
    not_injected,
    outcomes,
    slower,
    too_few_windows,
    unhealed,
)
from verdict.model import CheckResult, Contributor, Ruling
from verdict.node_events import last_loss_s
from verdict.phases import EDGE_LEAD_S, FaultSpan
from verdict.view import BATCHES, View

TRAFFIC_BACK = 0.80
LEFT_OUT = 0.05
"""A node that gets this share of what it got is not asked any more, or by single probes."""

HIT_RATIO_KEPT = 0.95
HIT_RATIO_SLACK = 0.02
CLEAR_NEEDED = 3  # seconds: one between saturated ones still has their backlog
CALLS_NEEDED = 20
"""So many calls that all fail, beside others that do not, are no chance."""

DIP_ERRORS = 0.01
DIP_FAILURES = 3
"""One or two failures are no dip, however few operations a window has."""


def last_bad(
    view: View, node: str, begin: float, end: float, *, without: Collection[int] = ()
) -> float | None:
    """Give when the last failed operation on a node was sent at the earliest; None without one.

    To 100 ms for single-key calls, to a second for keys that a batch named as failed. Windows
    named in `without` do not count.
    """
    moments = [start for start, part in view.slices(node, begin, end) if part.failed]
    moments += [
        float(window.second)
        for window in view.facts.windows
        if begin <= window.second and window.second + 1 <= end and window.batch_failed.get(node)
    ]
    return max((at for at in moments if math.floor(at) not in without), default=None)


def recoveries(view: View) -> list[tuple[FaultSpan, str]]:
    """Give every (fault, node) whose end left the node without any fault."""
    spans = view.phases.spans
    return [
        (span, node)
        for span in spans
        for node in span.record.nodes
        if not any(
            other is not span and other.hits(node) and other.injected < span.healed < other.healed
            for other in spans
        )
    ]


def recovers_within(view: View) -> CheckResult:
    """Serve a healed node again within 10 s: no bad operation, 80 % of its baseline traffic."""
    name = "recovers_within"
    if not view.facts.faults:
        return not_applicable(name, "no fault was planned")
    found = recoveries(view)
    if not found:
        none = not_injected(view)
        why = view.because("no fault was injected")
        return inconclusive(name, why, limit=view.limit(name), evidence=lambda: none)
    return worst(name, [_recovers(view, span, node) for span, node in found])


def _recovers(view: View, span: FaultSpan, node: str) -> CheckResult:
    name = "recovers_within"
    limit = view.limit(name)
    where = f"{node} after {span.record.id}"
    if not span.was_healed:
        why = view.because(f"{where}: it never healed")
        return inconclusive(name, why, limit=limit, evidence=lambda: unhealed(view))
    until, is_last = _until(view, span, node)
    bad = last_bad(view, node, span.healed, until)
    took = _took(span, bad)
    why = f"{where}: last bad operation {took:.1f} s after the heal"
    if bad is None:
        why = f"{where}: no bad operation after the heal"
    clear = span.healed if bad is None else bad + 1 / SLICES_A_SECOND
    seconds = view.phases.inside(clear, until)
    if took > limit:
        clear_bad = last_bad(view, node, span.healed, until, without=view.aftermath)
        is_excused = clear_bad is None or clear_bad - span.healed <= limit
        late = range(math.floor(span.healed + limit), math.ceil(until))
        seen = bad_operations(view, late, node)
        result = held(name, False, why, observed=took, limit=limit, evidence=lambda: seen)
        if is_excused and not _is_given_up(view, node, span.healed + limit, until):
            reason = "the generator was saturated in all that came so late"
            return taken_back(result, reason, *disturbances(view, late))
        return result
    if not is_last and (until - span.healed < limit or not seconds):
        return held(name, True, f"{why}, then the next fault", observed=took, limit=limit)

    def judge(chosen: Sequence[int]) -> CheckResult:
        return _traffic_result(view, node, chosen, until - span.healed, why)

    if _is_left_out(view, node, seconds):
        return judge(seconds)
    # A generator that falls behind sends every node less; that is not the client's doing.
    back = excused(view, seconds, judge, needed=CLEAR_NEEDED, by_load=True) or judge(seconds)
    return dataclasses.replace(back, observed=took) if back.verdict is not Ruling.FAIL else back


def _until(view: View, span: FaultSpan, node: str) -> tuple[float, bool]:
    """Return how long a node may be watched after its heal, and whether no other fault follows."""
    until = view.phases.next_injection(node, span.healed)
    is_last = until >= view.phases.load_end
    return (until if is_last else until - EDGE_LEAD_S), is_last


def _took(span: FaultSpan, bad: float | None) -> float:
    return 0.0 if bad is None else bad - span.healed


def recovery_time(view: View, span: FaultSpan, node: str) -> float | None:
    """Return the seconds from a heal to the last bad operation; None where recovery was not seen.

    The number that `recovers_within` judges. A node that fails no more because it is not asked any
    more has not recovered.
    """
    if not span.was_healed:
        return None
    result = _recovers(view, span, node)
    took = _took(span, last_bad(view, node, span.healed, _until(view, span, node)[0]))
    is_late = took > view.limit("recovers_within")
    return took if result.verdict is Ruling.PASS or is_late else None


def _is_given_up(view: View, node: str, begin: float, end: float) -> bool:
    """Tell whether no call to a node was served in a span, while calls to others were.

    A late hub lets some calls fail, and on every node alike.
    """
    served, failed = _served_and_failed(view, node, begin, end)
    others = [_served_and_failed(view, name, begin, end)[0] for name in view.facts.nodes]
    return not served and failed >= CALLS_NEEDED and sum(others) >= CALLS_NEEDED


def _is_left_out(view: View, node: str, seconds: Sequence[int]) -> bool:
    """Tell whether a node alone gets next to nothing: no late generator leaves one node out."""
    if len(seconds) < CLEAR_NEEDED:
        return False
    traffic = _traffic_back(view, node, seconds)
    is_little = traffic is not None and traffic.share <= LEFT_OUT
    return is_little and not _all_others_get_less(view, seconds)


def _served_and_failed(view: View, node: str, begin: float, end: float) -> tuple[int, int]:
    parts = [part for _, part in view.slices(node, begin, end)]
    failed = sum(part.failed for part in parts)
    return sum(part.calls for part in parts) - failed, failed


def _traffic_result(
    view: View, node: str, seconds: Sequence[int], waited_s: float, why: str
) -> CheckResult:
    """Judge whether a node that fails no more is asked again; `waited_s` since its heal."""
    name = "recovers_within"
    limit = view.limit(name)
    if not seconds:
        why = view.because(f"{why}, and no full second after it")
        few = lacking("full seconds after the last bad operation", 0, 1, node=node)
        return inconclusive(name, why, limit=limit, evidence=lambda: few)
    traffic = _traffic_back(view, node, seconds)
    if traffic is None:
        why = view.because(f"{why}; no traffic in the baseline to compare with")
        few = lacking("calls in the baseline", 0, 1, node=node, seconds=view.phases.baseline)
        return inconclusive(name, why, limit=limit, evidence=lambda: few)
    if not traffic.is_back:
        why = f"{why}; the node gets no traffic again: {traffic.told}"
        result = held(
            name,
            False,
            why,
            observed=waited_s,
            limit=limit,
            evidence=lambda: _no_traffic(view, node, seconds, traffic),
        )
        if _all_others_get_less(view, seconds):
            return dataclasses.replace(
                result, verdict=Ruling.INCONCLUSIVE, why=f"{why}, as do all others"
            )
        return result
    return held(name, True, f"{why}; {traffic.told}", observed=0.0, limit=limit)


def _no_traffic(
    view: View, node: str, seconds: Sequence[int], traffic: _Traffic
) -> Sequence[Contributor]:
    """Give the operations that no longer come to a node, and what its server counted."""
    asked = view.total(seconds, node).operations
    less = Contributor(
        outcome=f"{traffic.told} in the baseline",
        node=node,
        from_s=seconds[0],
        to_s=seconds[-1] + 1,
        count=asked,
    )
    return [less, *missing(view, seconds, view.phases.baseline, node)]


def _all_others_get_less(view: View, seconds: Sequence[int]) -> bool:
    """Tell whether every node that no fault hit gets less than it did as well.

    Then it is no node that is left out but the load that is not what it was, which other checks
    judge.
    """
    hit = {node for span in view.phases.spans for node in span.record.nodes}
    traffic = [_traffic_back(view, node, seconds) for node in view.facts.nodes if node not in hit]
    return bool(traffic) and all(found is not None and not found.is_back for found in traffic)


class _Traffic(NamedTuple):
    """A node's traffic against its baseline. `share` is the lowest of what was counted."""

    is_back: bool
    told: str
    share: float


def _traffic_back(view: View, node: str, seconds: Sequence[int]) -> _Traffic | None:
    """Compare a node's traffic with its baseline, by the calls and by the server's counters.

    A client that answers for a node without asking it is only seen by the server. Two standard
    deviations of a count are allowed beside the 80 %, which matters for small ones only.
    """
    answers = []
    baseline = view.phases.baseline
    before, after = view.total(baseline, node), view.total(seconds, node)
    usual = before.operations - before.unattempted
    if usual and baseline:
        expected = usual / len(baseline) * len(seconds)
        attempted = after.operations - after.unattempted
        is_back = attempted >= TRAFFIC_BACK * expected - 2 * math.sqrt(expected)
        share = attempted / expected
        answers.append(_Traffic(is_back, f"{percent(share)} of its calls", share))
    counted_before = view.server_commands(node, baseline)
    counted_after = view.server_commands(node, seconds)
    if counted_before and counted_after and counted_before[0] >= counted_before[1]:
        expected = counted_before[0] / counted_before[1] * counted_after[1]
        is_back = counted_after[0] >= TRAFFIC_BACK * expected - 2 * math.sqrt(expected)
        share = counted_after[0] / expected
        answers.append(_Traffic(is_back, f"{percent(share)} of its commands", share))
    if not answers:
        return None
    failed = [answer for answer in answers if not answer.is_back]
    told = ", ".join(answer.told for answer in failed or answers)
    return _Traffic(not failed, told, min(answer.share for answer in answers))


def recovered_at(view: View) -> float | None:
    """Give when the run was over its faults: the last bad operation, at latest the limit."""
    heal = view.phases.last_heal
    if heal is None:
        return None
    nodes = {node for span in view.phases.spans for node in span.record.nodes}
    latest = heal + view.recovery_s
    moments = [
        bad + 1 / SLICES_A_SECOND
        for node in nodes
        if (bad := last_bad(view, node, heal, view.phases.load_end)) is not None
    ]
    return min(latest, max([heal, *moments]))


def after_recovery_as_before(view: View) -> CheckResult:
    """Be as before once recovered: window p99, throughput, and hit ratio unless caches were lost.

    Single-key calls and batches are compared apart, each with its own kind in the baseline.
    """
    name = "after_recovery_as_before"
    if not view.facts.faults:
        return not_applicable(name, "no fault was planned")
    since = recovered_at(view)
    if since is None:
        why = view.because("the faults never ended")
        return inconclusive(name, why, evidence=lambda: unhealed(view) or not_injected(view))
    after = view.phases.inside(since, view.phases.load_end)
    baseline = view.phases.baseline
    if len(after) < WINDOWS_NEEDED or len(baseline) < WINDOWS_NEEDED:
        why = f"{len(after)} windows after recovery beside {len(baseline)} of baseline"
        why = view.because(f"{why}, {WINDOWS_NEEDED} needed")
        few = too_few_windows(after, baseline, WINDOWS_NEEDED)
        return inconclusive(name, why, evidence=lambda: few)
    parts = [
        _latency_part(view, "single-key calls", after, *view.facts.nodes),
        _latency_part(view, "batches", after, BATCHES),
        _throughput_part(view, after),
        None if _lost_its_cache(view) else _hit_ratio_part(view, after),
    ]
    return worst(name, [part for part in parts if part is not None])


def _latency_part(view: View, label: str, after: Sequence[int], *nodes: str) -> CheckResult | None:
    name = "after_recovery_as_before"
    before = view.p99s_ms(view.unrobbed(view.phases.baseline, WINDOWS_NEEDED), *nodes)

    def judge(chosen: Sequence[int]) -> CheckResult | None:
        now = view.p99s_ms(chosen, *nodes)
        result = compare_p99(name, label, before, now, view.limit(name))
        return result and with_evidence(
            result, lambda: slower(view, chosen, result, was_ms, *nodes)
        )

    was_ms = statistics.median(before) if before else 0.0
    after = view.unrobbed(after, WINDOWS_NEEDED)
    return excused(view, after, judge, needed=WINDOWS_NEEDED, was_ms=was_ms)


def _throughput_part(view: View, after: Sequence[int]) -> CheckResult | None:
    before = [view.sums(second).completed for second in view.phases.baseline]

    def judge(chosen: Sequence[int]) -> CheckResult | None:
        now = [view.sums(second).completed for second in chosen]
        result = compare_throughput("after_recovery_as_before", "all calls", before, now)
        return result and with_evidence(result, lambda: missing(view, chosen, view.phases.baseline))

    return excused(view, after, judge, needed=WINDOWS_NEEDED, by_load=True)


def _lost_its_cache(view: View) -> bool:
    """Tell whether items are gone, by a fault of the plan or by what a node did itself."""
    by_plan = any(Effect.COLD in span.record.effects for span in view.phases.spans)
    return by_plan or any(last_loss_s(view.facts, node) > 0 for node in view.facts.nodes)


def _hit_ratio_part(view: View, after: Sequence[int]) -> CheckResult | None:
    before, now = view.total(view.phases.baseline), view.total(after)
    if not before.read_keys or not now.read_keys or not before.read_hits:
        return None
    was, ratio = before.read_hits / before.read_keys, now.read_hits / now.read_keys
    floor = min(HIT_RATIO_KEPT * was, was - HIT_RATIO_SLACK)
    why = f"hit ratio {percent(ratio)}, {percent(was)} before"
    return held(
        "after_recovery_as_before",
        ratio >= floor,
        why,
        observed=ratio / was,
        limit=HIT_RATIO_KEPT,
        unit="share",
        evidence=lambda: outcomes(view, after, {Outcome.MISS, Outcome.PARTIAL}),
    )


def no_second_dip(view: View) -> CheckResult:
    """Stay recovered: no window with errors over 1 % once the healed nodes served a clean one."""
    name = "no_second_dip"
    limit = view.limit(name)
    if not view.facts.faults:
        return not_applicable(name, "no fault was planned")
    heal = view.phases.last_heal
    if heal is None:
        why = view.because("the faults never ended")
        return inconclusive(
            name, why, limit=limit, evidence=lambda: unhealed(view) or not_injected(view)
        )
    seconds = view.phases.inside(_calm_from(view, heal), view.phases.load_end)
    if not seconds:
        few = lacking("full seconds after recovery", 0, 1)
        why = view.because("no full second after recovery")
        return inconclusive(name, why, limit=limit, evidence=lambda: few)
    dips = [second for second in seconds if _is_dip(view, second)]
    why = f"{len(dips)} of {len(seconds)} windows with errors over 1 %"
    if dips:
        why += f", the first at {dips[0]} s"
    excusable = [second for second in dips if not _is_dip(view, second, without_lag=True)]
    result = held(
        name,
        len(dips) <= limit,
        why,
        observed=len(dips),
        limit=limit,
        evidence=lambda: failures(view, dips),
    )
    if len(dips) > limit >= len(dips) - len(excusable):
        reason = f"the generator was saturated in {len(excusable)} of them"
        return taken_back(result, reason, *disturbances(view, excusable))
    return result


def _calm_from(view: View, heal: float) -> float:
    """Give the end of the first clean window of the healed nodes, at latest the limit."""
    nodes = sorted({node for span in view.phases.spans for node in span.record.nodes})
    latest = heal + view.recovery_s
    for second in view.phases.inside(heal, min(latest, view.phases.load_end)):
        sums = view.sums(second, *nodes) if nodes else view.sums(second)
        if sums.operations and sums.failed <= DIP_ERRORS * sums.operations:
            return second + 1.0
    return latest


def _is_dip(view: View, second: int, *, without_lag: bool = False) -> bool:
    sums = view.sums(second)
    failed = sums.failed - (view.excusable(second) if without_lag else 0)
    return failed >= DIP_FAILURES and failed > DIP_ERRORS * sums.operations
