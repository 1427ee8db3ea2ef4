"""Checks of how a client leaves a dead node alone: how soon, how well, and only that one.

Judged from outside: by how long calls to the node lasted, counted at the moment they were sent, in
slices of 100 ms. What a client tells of its breaker only ever widens or narrows the allowance for
probes, and never beyond what an outside observer would grant.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence

from client.operation import UNATTEMPTED
from faults.effect import Effect
from memquake.limits import LIMITS
from telemetry.window import SLICES_A_SECOND
from verdict.answers import answer, held, inconclusive, not_applicable, percent, worst
from verdict.compare import taken_back
from verdict.evidence import (
    by_second,
    disturbances,
    lacking,
    not_injected,
    outcomes,
    unconfirmed,
    waiting_groups,
)
from verdict.lag import hub_lag_s
from verdict.model import CheckResult, Contributor, Ruling
from verdict.phases import FaultSpan
from verdict.sums import waiting_calls
from verdict.view import View

CALLS_TO_OPEN = LIMITS["breaker_opens_within"].needed
CALLS_WHILE_OPEN = LIMITS["fails_fast_while_open"].needed
WAITS_WHEN_OPEN = 0.10
"""Up to this share of a second's calls may wait when the breaker counts as open."""

MOST_WAITS = 0.5
"""However many probes are allowed: a node for which half the calls wait is not left alone."""

LEAST_WAIT_S = 0.005
TIMEOUT_WAIT = 0.9
"""A call that took this share of the op_timeout waited, however slow the other nodes were."""

TURNS = 3
"""So often a call to one node waits for the hub at the most: to connect, to send, to receive."""

LEAST_OPEN_S = 0.5
"""Nobody may claim more openings than one in this time, whatever the counters say."""

USUAL_OPEN_S = 1.5
"""Open time granted to a client that tells nothing of its breaker."""

Target = tuple[FaultSpan, str]


def unavailable_targets(view: View) -> list[Target]:
    """Give every (fault, node) in which a node was cut off."""
    return [
        (span, node)
        for span in view.phases.spans
        if Effect.UNAVAILABLE in span.record.effects
        for node in span.record.nodes
    ]


def waiting_threshold_us(view: View, span: FaultSpan) -> float:
    """Give from where on a call waited: max(5 ms, 2 x p99 of healthy nodes)."""
    p99s = [
        value
        for second in view.phases.during(span)
        if (healthy := view.unaffected(second))
        and (value := view.sums(second, *healthy).p99_ms()) is not None
    ]
    p99s = p99s or view.single_key_p99s_ms(view.phases.baseline)
    usual_s = statistics.median(p99s) / 1000 if p99s else 0.0
    threshold = max(LEAST_WAIT_S, 2 * usual_s)
    return 1e6 * min(threshold, max(LEAST_WAIT_S, TIMEOUT_WAIT * view.facts.op_timeout_s))


def calls_and_waits(
    view: View, node: str, begin: float, end: float, threshold_us: float
) -> tuple[int, int]:
    """Count the calls sent to a node between two moments, and those of them that waited."""
    calls = waits = 0
    for _, part in view.slices(node, begin, end):
        calls += part.calls
        waits += waiting_calls(part, threshold_us)
    return calls, waits


def probe_allowance(view: View, node: str, begin: float, end: float) -> float:
    """Give how many calls may wait between two moments because they probe the node."""
    each = view.facts.half_open_probes * view.processes
    length = end - begin
    most = each * max(1.0, length / LEAST_OPEN_S)
    touched = range(math.floor(begin), math.ceil(end))
    told = [state for second in touched if (state := view.state(second, node)) is not None]
    if any(state.opened_total or state.probes_total for state in told):
        opened = view.growth(node, "opened_total", touched)
        probed = view.growth(node, "probes_total", touched)
        return min(most, float(max(probed, opened * view.facts.half_open_probes)))
    return each * max(1.0, length / USUAL_OPEN_S)


def _left_alone(calls: int, waits: int, probes: float) -> bool:
    return waits <= max(WAITS_WHEN_OPEN * calls, min(probes, MOST_WAITS * calls))


def opened_at(view: View, span: FaultSpan, node: str) -> float | None:
    """Give the moment from which calls to a cut-off node no longer waited; None if never.

    The earliest slice in which, and in the second from which, hardly any call waits.
    """
    threshold = waiting_threshold_us(view, span)
    width = 1 / SLICES_A_SECOND
    for start, part in view.slices(node, span.begins - width, span.heal):
        if not part.calls:
            continue
        end = min(start + 1.0, span.heal)
        probes = probe_allowance(view, node, start, end)
        calls, waits = calls_and_waits(view, node, start, end, threshold)
        own = waiting_calls(part, threshold)
        if _left_alone(calls, waits, probes) and _left_alone(part.calls, own, probes):
            return max(start, span.begins)
    return None


def opened_by(view: View, span: FaultSpan, node: str) -> float:
    """Give when the node counts as left alone: as seen, at latest when the limit is over."""
    latest = span.begins + view.limit("breaker_opens_within")
    seen = opened_at(view, span, node)
    return latest if seen is None else min(seen, latest)


def _on_each_target(
    view: View, name: str, judge: Callable[[View, FaultSpan, str], CheckResult]
) -> CheckResult:
    """Judge every node that a confirmed fault has cut off."""
    limit = view.limit(name)
    if not any(Effect.UNAVAILABLE in record.effects for record in view.facts.faults):
        return not_applicable(name, "no node was made unavailable")
    targets = unavailable_targets(view)
    if not targets:
        why, none = view.because("the fault was never injected"), not_injected(view)
        return inconclusive(name, why, limit=limit, evidence=lambda: none)

    def judged(span: FaultSpan, node: str) -> CheckResult:
        if span.record.confirmed:
            return judge(view, span, node)
        why = f"{node} under {span.record.id}: the fault was not confirmed"
        return inconclusive(name, why, limit=limit, evidence=lambda: unconfirmed(span, node))

    return worst(name, [judged(span, node) for span, node in targets])


def breaker_opens_within(view: View) -> CheckResult:
    """Stop waiting for a node that is cut off within op_timeout + 1 s of the confirmed fault."""
    return _on_each_target(view, "breaker_opens_within", _opens)


def _opens(view: View, span: FaultSpan, node: str) -> CheckResult:
    name = "breaker_opens_within"
    limit = view.limit(name)
    where = f"{node} under {span.record.id}"
    if span.length_s <= limit:
        return not_applicable(name, f"{where}: the fault lasted {span.length_s:.1f} s only")
    threshold = waiting_threshold_us(view, span)
    calls, waits = calls_and_waits(view, node, span.injected, span.heal, threshold)
    if calls < CALLS_TO_OPEN:
        why = view.because(f"{where}: {calls} calls, {CALLS_TO_OPEN} needed")
        lifetime = span.injected, span.heal
        few = lacking("calls", calls, CALLS_TO_OPEN, node=node, span=lifetime)
        return inconclusive(name, why, limit=limit, evidence=lambda: few)
    moment = opened_at(view, span, node)
    if moment is None:
        why = f"{where}: {waits} of {calls} calls waited, to the end of the fault"
        took = span.length_s
    else:
        took = moment - span.begins
        why = f"{where}: calls no longer waited after {took:.1f} s"
    result = held(
        name,
        took <= limit,
        why,
        observed=took,
        limit=limit,
        evidence=lambda: waiting_groups(view, node, span.begins, span.begins + took, threshold),
    )
    if took > limit and _was_saturated(view, span.begins, span.begins + took):
        seconds = range(math.floor(span.begins), math.ceil(span.begins + took))
        return taken_back(result, "the generator was saturated then", *disturbances(view, seconds))
    return result


def _was_saturated(view: View, begin: float, end: float) -> bool:
    seconds = range(math.floor(begin), math.ceil(end))
    return sum(second in view.saturated for second in seconds) > len(seconds) / 2


def fails_fast_while_open(view: View) -> CheckResult:
    """Fail calls to a cut-off node at once: at most 1 %, or the probes, may wait until it heals."""
    return _on_each_target(view, "fails_fast_while_open", _fails_fast)


def _fails_fast(view: View, span: FaultSpan, node: str) -> CheckResult:
    name = "fails_fast_while_open"
    limit = view.limit(name)
    where = f"{node} under {span.record.id}"
    # The tenth in which the breaker opens holds calls that had to wait for it to do so.
    begin = opened_by(view, span, node) + 1 / SLICES_A_SECOND
    if span.heal <= begin or span.length_s <= view.limit("breaker_opens_within"):
        return not_applicable(name, f"{where}: the fault lasted {span.length_s:.1f} s only")
    threshold = waiting_threshold_us(view, span)
    calls, waits = calls_and_waits(view, node, begin, span.heal, threshold)
    if calls < CALLS_WHILE_OPEN:
        why = view.because(f"{where}: {calls} calls while open, {CALLS_WHILE_OPEN} needed")
        few = lacking("calls", calls, CALLS_WHILE_OPEN, node=node, span=(begin, span.heal))
        return inconclusive(name, why, limit=limit, evidence=lambda: few)
    probes = probe_allowance(view, node, begin, span.heal)
    allowed = max(limit, min(MOST_WAITS, probes / calls))
    share = waits / calls
    why = f"{where}: {waits} of {calls} calls waited over {threshold / 1000:.1f} ms"
    why += f" ({percent(share)}), {probes:.0f} probes allowed"
    result = held(
        name,
        share <= allowed,
        why,
        observed=share,
        limit=allowed,
        evidence=lambda: waiting_groups(view, node, begin, span.heal, threshold),
    )
    if share > allowed:
        explained = _waits_of_a_late_hub(view, node, begin, span.heal, threshold)
        if (waits - explained) / calls <= allowed:
            reason = f"{explained} of them no longer than a late hub explains"
            seconds = range(math.floor(begin), math.ceil(span.heal))
            late = [second for second in seconds if second in view.disturbed]
            return taken_back(result, reason, *disturbances(view, late))
    return result


def _waits_of_a_late_hub(
    view: View, node: str, begin: float, end: float, threshold_us: float
) -> int:
    """Count the waits in saturated seconds that were no longer than the hub's lag then explains.

    A call that lasts a whole op_timeout has waited for the node, however late the hub was beside
    it: three turns of a hub that is 60 ms late are 180 ms.
    """
    explained = 0
    for start, part in view.slices(node, begin, end):
        second = math.floor(start)
        if second not in view.disturbed:
            continue
        turns_s = TURNS * hub_lag_s(view, (second, second + 1), 0.99)
        longer = waiting_calls(part, threshold_us + 1e6 * turns_s)
        explained += waiting_calls(part, threshold_us) - longer
    return explained


def breaker_spares_healthy_nodes(view: View) -> CheckResult:
    """Refuse no call to a node that no fault touches, and open no breaker for it."""
    name = "breaker_spares_healthy_nodes"
    limit = view.limit(name)
    if not view.facts.faults:
        return not_applicable(name, "no fault was planned")
    parts = []
    for node in view.facts.nodes:
        seconds = [second for second in view.phases.full if node in view.unaffected(second)]
        if seconds:
            parts.append(_spares(view, node, seconds))
    if not parts:
        return not_applicable(name, "every node was affected all the time")
    result = worst(name, parts)
    if result.verdict is Ruling.PASS:
        return answer(
            name, Ruling.PASS, "every call was attempted", observed=result.observed, limit=limit
        )
    return result


def _spares(view: View, node: str, seconds: Sequence[int]) -> CheckResult:
    """Judge the seconds in which no fault touched a node."""
    name = "breaker_spares_healthy_nodes"

    def judge(chosen: Sequence[int]) -> CheckResult:
        refused = view.total(chosen, node).unattempted
        opened = view.growth(node, "opened_total", chosen)
        why = f"{node}: {refused} calls not attempted, {opened} openings while no fault touched it"
        seen, limit = max(refused, opened), view.limit(name)
        return held(
            name,
            seen <= limit,
            why,
            observed=seen,
            limit=limit,
            evidence=lambda: [
                *outcomes(view, chosen, UNATTEMPTED, node),
                *_openings(view, node, chosen),
            ],
        )

    result = judge(seconds)
    if result.verdict is not Ruling.FAIL:
        return result
    # On a hub that is late calls wait for connections and deadlines pass, for any client.
    clear = judge([second for second in seconds if second not in view.aftermath])
    if clear.verdict is Ruling.FAIL:
        return result
    late = [second for second in seconds if second in view.aftermath]
    return taken_back(result, "the generator was saturated then", *disturbances(view, late))


def _openings(view: View, node: str, seconds: Sequence[int]) -> Sequence[Contributor]:
    """Give when a node's breaker opened, as the client tells it."""
    told = [
        (node, second, opened)
        for second in seconds
        if (opened := view.growth(node, "opened_total", [second]))
    ]
    return by_second(view, told, "", "openings of its breaker, by snapshot()")
