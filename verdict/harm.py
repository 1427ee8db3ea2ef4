"""Checks of harm beyond the fault: errors elsewhere, broken deadlines, healthy nodes that suffer.

A fault excuses its own nodes, for as long as it lasts and as long as recovery may take. It excuses
nothing on any other node.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from client.operation import FAILURES
from faults.effect import Effect
from telemetry.histogram import lowest_us
from telemetry.samples import KEYS_NAMED
from telemetry.window import RAISED, Cell, Window
from verdict.answers import (
    answer,
    held,
    inconclusive,
    not_applicable,
    percent,
    with_evidence,
    worst,
)
from verdict.breaker import opened_by
from verdict.compare import (
    WINDOWS_NEEDED,
    compare_errors,
    compare_p99,
    compare_throughput,
    excused,
    taken_back,
)
from verdict.evidence import (
    by_second,
    calls,
    disturbances,
    failures,
    lacking,
    missing,
    not_injected,
    slower,
    too_few_windows,
)
from verdict.lag import hub_lag_s, hub_stood_s
from verdict.model import CheckResult, Contributor, Ruling
from verdict.phases import FaultSpan
from verdict.tallies import Tallies
from verdict.view import BATCHES, View

DEADLINE_FACTOR = 1.1
DEADLINE_SLACK_S = 0.050
SATURATED_TURNS = 10
"""A batch of a simple client goes through the hub three times a node: connect, send, receive."""
_ALONE_WINDOWS = 2
"""Throughput of a short fault's own windows is compared from this many on."""


def error_budget(view: View) -> CheckResult:
    """Fail at most 0.1 % of operations outside the faults of their node and its recovery time.

    A batch that raises is one error and blames no node: while one is unavailable, `batches_kept`
    judges it. At other times it counts whenever at least one node was unaffected. Keys that a batch
    names in `.failed` are held against the same share of all keys asked for in batches, where their
    node was unaffected.
    """
    name = "error_budget"
    limit = view.limit(name)
    operations = failed = excusable = keys = keys_failed = keys_excusable = unplaced = raised = 0
    judged: dict[int, list[str]] = {}
    for second in view.counted:
        healthy = view.unaffected(second)
        if not healthy:
            continue
        judged[second] = healthy
        sums = view.sums(second, *healthy, BATCHES)
        is_out = _is_one_unavailable(view, second)
        others = _raised_batches(view.windows[second]) if is_out else 0
        raised += others
        operations += sums.operations - others
        failed += sums.failed - others
        excusable += view.excusable(second, *healthy, *(() if is_out else (BATCHES,)))
        if len(healthy) < len(view.facts.nodes):
            unplaced += _failed_unplaced(view.windows[second])
        keys += view.sums(second, BATCHES).keys
        named = view.windows[second].batch_failed
        here = sum(count for node, count in named.items() if node in healthy)
        keys_failed += here
        keys_excusable += here if second in view.aftermath else 0
    if not operations:
        why = view.because("no operation outside the faults")
        none = lacking("operations", 0, 1)
        return inconclusive(name, why, limit=limit, evidence=lambda: none)
    first = _failed_share(view, "operations", operations, failed, excusable, judged)
    first = with_evidence(first, lambda: _failed_calls(view, judged))
    if first.verdict is Ruling.FAIL and (failed - unplaced) / operations <= limit:
        first = taken_back(first, f"{unplaced:,} of them for keys that no node shows")
    if raised:
        why = f"{first.why}; beside them {raised:,} batches raised while a node was unavailable"
        first = dataclasses.replace(first, why=f"{why}, see batches_kept")
    parts = [first]
    if keys_failed:
        of = max(keys, keys_failed)
        batched = _failed_share(view, "keys in batches", of, keys_failed, keys_excusable, judged)
        parts.append(with_evidence(batched, lambda: _keys_named_failed(view, judged)))
    return worst(name, parts)


def _failed_calls(view: View, judged: Mapping[int, Collection[str]]) -> Sequence[Contributor]:
    """Give the failed calls to the nodes that were unaffected, and of batches, second by second."""
    out = {second for second in judged if _is_one_unavailable(view, second)}

    def count_of(second: int, op: str, node: str, outcome: str, cell: Cell) -> int:
        is_batch = node == BATCHES and op.endswith("_many")
        is_judged = node in judged[second] or (node == BATCHES and not is_batch)
        is_judged = is_judged or (is_batch and second not in out)
        return cell.count if is_judged and outcome in FAILURES else 0

    return calls(view, judged, count_of)


def _keys_named_failed(view: View, judged: Mapping[int, Collection[str]]) -> Sequence[Contributor]:
    """Give the keys that batches named as failed, by their node."""
    named = [
        (node, second, count)
        for second, healthy in judged.items()
        for node, count in view.windows[second].batch_failed.items()
        if node in healthy
    ]
    return by_second(view, named, "get_many", KEYS_NAMED, view.facts.samples)


def _is_one_unavailable(view: View, second: int) -> bool:
    """Tell whether a node is unavailable in a window, or recovers from having been."""
    return any(
        Effect.UNAVAILABLE in span.record.effects
        and view.phases.touches(span, second, second + 1, view.recovery_s)
        for span in view.phases.spans
    )


def _raised_batches(window: Window) -> int:
    return sum(count for (how, _), count in window.batch_nothing.items() if how == RAISED)


def _failed_unplaced(window: Window) -> int:
    """Count failed calls of single keys whose node nobody knows: it may have been a broken one."""
    return sum(
        cell.count
        for (op, node, outcome), cell in window.cells.items()
        if node == BATCHES and not op.endswith("_many") and outcome in FAILURES
    )


def _failed_share(  # noqa: PLR0917 - what is counted and of what
    view: View, what: str, of: int, failed: int, excusable: int, seconds: Collection[int]
) -> CheckResult:
    """Judge a share of failures, without those that a saturated generator may explain."""
    name = "error_budget"
    limit = view.limit(name)
    share = failed / of
    why = f"{failed:,} of {of:,} {what} failed ({percent(share)})"
    if share > limit >= (failed - excusable) / of:
        why += f"; the generator was saturated in {excusable:,} of them"
        late = [second for second in seconds if second in view.aftermath]
        causes = disturbances(view, late)
        return inconclusive(name, why, observed=share, limit=limit, evidence=lambda: causes)
    return held(name, share <= limit, why, observed=share, limit=limit)


def deadline_kept(view: View) -> CheckResult:
    """End every call within 1.1 x op_timeout + 50 ms + the hub's lag then, batches included.

    A call passes through the hub several times. Where the generator was saturated, a call that so
    many lags explain, or the time the hub stood still meanwhile, convicts nobody; beyond that no
    lag excuses it.
    """
    name = "deadline_kept"
    limit = view.limit(name)
    late = Late()
    for window in view.facts.windows:
        _add_late_calls(view, window, late)
    hung = sum(worker.hung_calls for worker in view.facts.workers)
    allowed_s = DEADLINE_FACTOR * view.facts.op_timeout_s + DEADLINE_SLACK_S
    why = f"{late.count + late.excused} calls over {allowed_s:.2f} s"
    if late.longest_s:
        why += f", the longest {late.longest_s:.2f} s"
    if hung:
        why += f"; {hung} calls never ended"
    observed = late.count + hung
    if observed <= limit and late.excused:
        why += "; the generator was saturated then"
        seen = (
            *disturbances(view, late.excused_seconds),
            *late.calls_excused.largest(view.facts.samples, longest=True),
        )
        return inconclusive(name, why, observed=late.excused, limit=limit, evidence=lambda: seen)

    def too_long() -> Sequence[Contributor]:
        never = [
            Contributor(outcome=f"calls of {worker.id} that never ended", count=worker.hung_calls)
            for worker in view.facts.workers
            if worker.hung_calls
        ]
        return [*never, *late.calls.largest(view.facts.samples, longest=True)]

    return held(name, observed <= limit, why, observed=observed, limit=limit, evidence=too_long)


@dataclass(slots=True)
class Late:
    """Calls that were too long: counted against the client, or excused by a saturated hub."""

    count: int = 0
    excused: int = 0
    longest_s: float = 0.0
    calls: Tallies = field(default_factory=Tallies)
    calls_excused: Tallies = field(default_factory=Tallies)
    excused_seconds: set[int] = field(default_factory=set)


def _add_late_calls(view: View, window: Window, late: Late) -> None:
    """Add a window's calls that were certainly too long."""
    allowed_s = DEADLINE_FACTOR * view.facts.op_timeout_s + DEADLINE_SLACK_S
    saturated_s = view.limit("generator_not_saturated")
    for key, cell in window.cells.items():
        for bucket, count in cell.service.items():
            lasted_s = lowest_us(bucket) / 1e6
            if lasted_s <= allowed_s:
                continue
            if lasted_s <= allowed_s + _lag_s(view, window.second, lasted_s, 1.0):
                continue
            late.longest_s = max(late.longest_s, lasted_s)
            usual_s = _lag_s(view, window.second, lasted_s, 0.99)
            stood_s = hub_stood_s(view, _touched(window.second, lasted_s))
            excuse_s = max(SATURATED_TURNS * usual_s, stood_s)
            if usual_s > saturated_s and lasted_s <= allowed_s + excuse_s:
                late.excused += count
                late.excused_seconds |= {*_touched(window.second, lasted_s)}
                late.calls_excused.add(*key, count, window.second, window.end)
            else:
                late.count += count
                late.calls.add(*key, count, window.second, window.end)


def _lag_s(view: View, second: int, lasted_s: float, share: float) -> float:
    """Give this share's lag over the seconds a call touched, and the one after: it tells of it."""
    return hub_lag_s(view, _touched(second, lasted_s), share)


def _touched(second: int, lasted_s: float) -> range:
    return range(second, math.ceil(second + 1 + lasted_s) + 1)


def unaffected_nodes_healthy(view: View) -> CheckResult:
    """Keep nodes that no fault touches as they were: errors, window p99, completed operations."""
    name = "unaffected_nodes_healthy"
    if not view.facts.faults:
        return not_applicable(name, "no fault was planned")
    if not view.phases.spans:
        return inconclusive(
            name, view.because("no fault was injected"), evidence=lambda: not_injected(view)
        )
    parts = [
        part
        for node in view.facts.nodes
        if (spans := _spared_by(view, node))
        for part in _node_parts(view, node, spans)
    ]
    if not parts:
        return not_applicable(name, "every node was affected")
    result = worst(name, parts)
    if result.verdict is Ruling.PASS:
        nodes = [node for node in view.facts.nodes if _spared_by(view, node)]
        why = f"{', '.join(nodes)} as before; {result.why}"
        return answer(
            name, Ruling.PASS, why, observed=result.observed, limit=result.limit, unit=result.unit
        )
    return result


def _spared_by(view: View, node: str) -> list[FaultSpan]:
    """Give the faults during which the node was neither a target nor recovering from one."""
    return [
        span
        for span in view.phases.spans
        if not view.phases.is_affected(node, span.begins, span.heal, view.recovery_s)
    ]


def _node_parts(view: View, node: str, spans: list[FaultSpan]) -> list[CheckResult]:
    name = "unaffected_nodes_healthy"
    own = sorted({second for span in spans for second in view.phases.during(span)})
    seconds = _filled_up(view, node, spans, own)
    baseline = view.phases.baseline
    if len(seconds) < WINDOWS_NEEDED or len(baseline) < WINDOWS_NEEDED:
        why = f"{node}: {len(seconds)} windows beside {len(baseline)} of baseline"
        few = too_few_windows(seconds, baseline, WINDOWS_NEEDED, node=node)
        why = view.because(f"{why}, {WINDOWS_NEEDED} needed")
        return [inconclusive(name, why, evidence=lambda: few)]
    before = view.p99s_ms(view.unrobbed(baseline, WINDOWS_NEEDED), node)
    usual = [view.sums(second, node).unfailed for second in baseline]
    if not sum(usual):
        none = lacking("single-key calls in the baseline", 0, 1, node=node, seconds=baseline)
        why = f"{node}: no single-key calls in the baseline"
        return [inconclusive(name, why, evidence=lambda: none)]

    def p99(chosen: Sequence[int]) -> CheckResult | None:
        after = view.p99s_ms(chosen, node)
        result = compare_p99(name, node, before, after, view.limit(name))
        return result and with_evidence(result, lambda: slower(view, chosen, result, was_ms, node))

    def throughput(chosen: Sequence[int]) -> CheckResult | None:
        after = [view.sums(second, node).unfailed for second in chosen]
        result = compare_throughput(name, node, usual, after)
        return result and with_evidence(result, lambda: missing(view, chosen, baseline, node))

    was_ms = statistics.median(before) if before else 0.0
    calm = [second for second in seconds if not _is_interrupted(view, second)]
    parts: list[CheckResult | None] = []
    if len(calm) >= WINDOWS_NEEDED:
        quiet = view.unrobbed(calm, WINDOWS_NEEDED)
        parts.append(excused(view, quiet, p99, needed=WINDOWS_NEEDED, was_ms=was_ms))
    for chosen in {tuple(own), tuple(seconds)}:
        parts.append(_errors_part(view, node, chosen))
        settled = [second for second in chosen if _is_settled(view, spans, second)]
        if len(settled) >= _ALONE_WINDOWS:
            parts.append(excused(view, settled, throughput, by_load=True))
    return [part for part in parts if part is not None]


def _errors_part(view: View, node: str, seconds: Sequence[int]) -> CheckResult | None:
    sums = view.total(seconds, node)
    result = compare_errors("unaffected_nodes_healthy", node, sums.failed, sums.operations)
    if result is None or result.verdict is not Ruling.FAIL:
        return result
    result = with_evidence(result, lambda: failures(view, seconds, node))
    excusable = sum(view.excusable(second, node) for second in seconds)
    again = compare_errors(result.name, node, sums.failed - excusable, sums.operations)
    if again is None or again.verdict is Ruling.FAIL:
        return result
    late = [second for second in seconds if second in view.aftermath]
    return taken_back(result, "the generator was saturated then", *disturbances(view, late))


def _is_interrupted(view: View, second: int) -> bool:
    """Tell whether calls were cut off then, each of which costs the next call a connection."""
    return any(
        Effect.INTERRUPTED in span.record.effects
        and span.injected < second + 1
        and second < span.healed
        for span in view.phases.spans
    )


def _filled_up(view: View, node: str, spans: list[FaultSpan], own: list[int]) -> list[int]:
    """Give a node's windows, with the first ones after each heal when the faults were short."""
    seconds = list(own)
    for span in spans:
        injections = [other.injected for other in view.phases.spans if other.injected > span.healed]
        until = min([view.phases.load_end, *injections])
        for second in view.phases.inside(span.healed, until):
            if len(seconds) >= WINDOWS_NEEDED:
                return sorted(seconds)
            if second not in seconds and node in view.unaffected(second):
                seconds.append(second)
    return sorted(seconds)


def _is_settled(view: View, spans: list[FaultSpan], second: int) -> bool:
    """Tell whether throughput may be compared: breakers have opened, nobody must wait.

    In closed loop a slow node slows its callers, and with them all nodes, for any client.
    """
    for span in spans:
        if span.injected < second + 1 and second < span.heal:
            if Effect.UNAVAILABLE in span.record.effects:
                if any(second < opened_by(view, span, node) for node in span.record.nodes):
                    return False
            elif not view.is_paced:
                return False
    return True
