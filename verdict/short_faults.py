"""Faults that were over before anybody could look: proved by the users' own calls, or by nothing.

The harness reads every fault back, and then looks with a probe. A fault of 30 ms is gone before a
probe on a busy machine has had its answer. Then the calls are asked that were sent to its nodes in
that tenth of a second: a fault that they did not feel stays unconfirmed.
"""

from __future__ import annotations

from dataclasses import replace

from faults.journal import UNSEEN, FaultRecord
from telemetry.window import WAITING_FROM_US
from verdict.model import RunFacts
from verdict.phases import FaultSpan
from verdict.sums import waiting_calls, waiting_failures
from verdict.view import View

CHANCE = 2.0  # bad calls beyond this multiple of the baseline's share are no chance

FELT_OF_SHORT = 1 / 3
"""A call sent at any moment of a fault that holds it to the end is held for half of it on average:
two in three are for this part of it."""

SHORT_CALLS = 4
"""So many disturbed calls beyond what is usual prove a fault too short to be looked at. It takes
that many because chance brings one or two."""

AROUND_S = 0.1
"""Calls are counted by tenths of a second: those that the fault begins and ends in are its own."""


def confirmed_by_calls(facts: RunFacts) -> RunFacts:
    """Give the facts with those faults confirmed that were read back and felt by the calls."""
    if all(record.unseen_at_s is None for record in facts.faults):
        return facts
    view = View(facts)
    proved = {id(span.record): _felt(view, span) for span in view.phases.spans}
    records = [
        _confirmed(record, words) if (words := proved.get(id(record), "")) else record
        for record in facts.faults
    ]
    return replace(facts, faults=records)


def _confirmed(record: FaultRecord, words: str) -> FaultRecord:
    return replace(
        record,
        confirmed_at_s=record.unseen_at_s,
        why_not="" if record.why_not == UNSEEN else record.why_not,
        evidence=[*record.evidence, words],
    )


def _felt(view: View, span: FaultSpan) -> str:
    """Say how the calls to every node of a fault felt it, "" where one node's did not."""
    if span.record.unseen_at_s is None or span.record.healed_at_s is None:
        return ""
    words = [_disturbed(view, node, span) for node in span.record.nodes]
    return "; ".join(words) if all(words) else ""


def _disturbed(view: View, node: str, span: FaultSpan) -> str:
    baseline = view.phases.baseline
    if not baseline:
        return ""
    # On a machine that heals late it may last longer than it holds any call.
    longest_s = min(span.healed - span.injected, view.facts.op_timeout_s)
    longest_s = min(longest_s, span.record.adds_s or longest_s)
    held_us = max(WAITING_FROM_US, 1e6 * FELT_OF_SHORT * longest_s)
    before = (float(baseline[0]), float(baseline[-1] + 1))
    usual_calls, usual = _bad_calls(view, node, *before, held_us)
    begin, end = span.injected - AROUND_S, span.healed + AROUND_S
    calls, bad = _bad_calls(view, node, begin, end, held_us)
    chance = usual / usual_calls * calls if usual_calls else 0.0
    if bad < CHANCE * chance + SHORT_CALLS:
        return ""
    return (
        f"{bad} of {calls} calls to {node} failed or took {held_us / 1000:.0f} ms or more, "
        f"where {chance:.1f} are usual"
    )


def _bad_calls(view: View, node: str, begin: float, end: float, held_us: float) -> tuple[int, int]:
    """Count the calls sent to a node between two moments, and those that failed or took so long."""
    calls = bad = 0
    for _, part in view.slices(node, begin, end):
        calls += part.calls
        failed_late = waiting_failures(part, held_us)
        bad += part.failed + waiting_calls(part, held_us) - failed_late
    return calls, bad
