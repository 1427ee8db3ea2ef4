"""How batches fare while a node is cut off: they fail its keys at once, as single calls do.

A batch goes to several nodes, so no node can be blamed for its time; but once single calls no
longer wait for the dead node, a batch has nothing to wait for either.
"""

from __future__ import annotations

import math
from collections.abc import Set

from faults.effect import Effect
from memquake.limits import LIMITS
from telemetry.histogram import lowest_us
from telemetry.window import SLICES_A_SECOND, Cell
from verdict.answers import held, inconclusive, not_applicable, percent
from verdict.breaker import MOST_WAITS, opened_by, probe_allowance, unavailable_targets
from verdict.compare import taken_back
from verdict.evidence import calls, disturbances, lacking
from verdict.model import CheckResult, Ruling
from verdict.phases import FaultSpan
from verdict.view import BATCHES, View

BATCHES_NEEDED = LIMITS["batches_fail_fast"].needed
SETTLE_S = 2  # for what a slow node still has on its way
WAIT_SHARE = 0.5
"""A batch that took this share of the op_timeout waited, where no other node is slow."""


def batches_fail_fast(view: View) -> CheckResult:
    """Let no batch wait for a cut-off node once it is left alone: at most 1 %, or the probes."""
    name = "batches_fail_fast"
    if not any(Effect.UNAVAILABLE in record.effects for record in view.facts.faults):
        return not_applicable(name, "no node was made unavailable")
    seconds, probes = _open_seconds(view)
    if not seconds:
        return not_applicable(name, "no second in which nothing but a node left alone was amiss")
    result = _judged(view, seconds, probes)
    if result.verdict is not Ruling.FAIL:
        return result
    clear = seconds - view.disturbed
    again = _judged(view, clear, probes) if clear else None
    if again is None or again.verdict is not Ruling.FAIL:
        reason = "the generator was saturated or other work in its way then"
        return taken_back(result, reason, *disturbances(view, seconds & view.disturbed))
    return again


def _judged(view: View, seconds: Set[int], probes: float) -> CheckResult:
    """Judge the batches of some seconds."""
    name = "batches_fail_fast"
    threshold_us = WAIT_SHARE * view.facts.op_timeout_s * 1e6
    count = waited = 0
    for second in seconds:
        for (op, node, _), cell in view.windows[second].cells.items():
            if node == BATCHES and op.endswith("_many"):
                count += cell.count
                waited += sum(n for b, n in cell.service.items() if lowest_us(b) >= threshold_us)
    if count < BATCHES_NEEDED:
        why = f"{count} batches while a node was cut off and left alone, {BATCHES_NEEDED} needed"
        few = lacking("batches", count, BATCHES_NEEDED, seconds=sorted(seconds))
        reason = view.because(why)
        return inconclusive(name, reason, limit=view.limit(name), evidence=lambda: few)
    share = waited / count
    allowed = max(view.limit(name), min(MOST_WAITS, probes / count))
    why = f"{waited} of {count:,} batches waited over {threshold_us / 1000:.0f} ms"
    why += f" ({percent(share)}), {probes:.0f} probes allowed"

    def waiting(_second: int, op: str, node: str, _outcome: str, cell: Cell) -> int:
        if node != BATCHES or not op.endswith("_many"):
            return 0
        return sum(n for bucket, n in cell.service.items() if lowest_us(bucket) >= threshold_us)

    return held(
        name,
        share <= allowed,
        why,
        observed=share,
        limit=allowed,
        evidence=lambda: calls(view, seconds, waiting, longest=True),
    )


def _open_seconds(view: View) -> tuple[set[int], float]:
    """Give the whole seconds in which every cut-off node should be left alone, and the probes.

    Where another node is slow at the same time, a batch rightly waits for that one.
    """
    seconds: set[int] = set()
    waiting: set[int] = set()
    probes = 0.0
    for span, node in unavailable_targets(view):
        if not span.record.confirmed:
            waiting |= _touched(span)
            continue
        begin = opened_by(view, span, node) + 1 / SLICES_A_SECOND
        waiting |= set(range(math.floor(span.injected), math.ceil(begin)))
        if begin < span.heal:
            seconds |= set(range(math.ceil(begin), math.floor(span.heal)))
            probes += probe_allowance(view, node, begin, span.heal)
    for span in view.phases.spans:
        if Effect.UNAVAILABLE not in span.record.effects and span.excuses:
            waiting |= _touched(span)
    return {second for second in seconds - waiting if second in view.windows}, probes


def _touched(span: FaultSpan) -> set[int]:
    """Give the seconds in which a fault may make a batch late, whatever the client does."""
    return set(range(math.floor(span.injected), math.ceil(span.healed) + SETTLE_S))
