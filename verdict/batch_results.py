"""What a batch gives while a node is cut off: what the other nodes have, or nothing at all.

A batch asks several nodes, so one that raises blames none of them. But a page that needs forty
items is lost when the client throws away the thirty that the healthy nodes have. A good client
gives those and names the rest in `.failed`.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from client.operation import FAILURES, Outcome
from faults.effect import Effect
from memquake.limits import LIMITS
from telemetry.window import EMPTY, RAISED, Cell, Window
from verdict.answers import held, inconclusive, not_applicable, percent
from verdict.breaker import unavailable_targets
from verdict.compare import taken_back
from verdict.evidence import (
    calls,
    disturbances,
    lacking,
    not_injected,
    stretches,
    unconfirmed,
)
from verdict.model import CheckResult, Contributor
from verdict.node_events import may_lack_items
from verdict.tallies import Tallies
from verdict.view import BATCHES, View

NAME = "batches_kept"
BATCHES_NEEDED = LIMITS[NAME].needed
NAMES_NOTHING = "empty, and no failed key named"


def batches_kept(view: View) -> CheckResult:
    """Give what healthy nodes have of a batch while others are away: at most 1 % give nothing."""
    limit = view.limit(NAME)
    if not any(Effect.UNAVAILABLE in record.effects for record in view.facts.faults):
        return not_applicable(NAME, "no node was made unavailable")
    targets = unavailable_targets(view)
    if not any(span.record.confirmed for span, _ in targets):
        why = view.because("no fault that makes a node unavailable was confirmed")
        seen = [each for span, node in targets for each in unconfirmed(span, node)]
        return inconclusive(NAME, why, limit=limit, evidence=lambda: seen or not_injected(view))
    away = _away(view)
    if not away:
        return not_applicable(NAME, "no node was away for long while another one was healthy")
    return _judged(view, away)


def _away(view: View) -> dict[int, set[str]]:
    """Give the nodes that are cut off in each second that decides.

    From breaker_opens_within after the confirmed injection to the heal, with a healthy node beside.
    """
    found: dict[int, set[str]] = {}
    for span, node in unavailable_targets(view):
        if span.record.confirmed:
            begin = math.ceil(span.begins + view.limit("breaker_opens_within"))
            for second in view.phases.inside(begin, span.heal):
                if second in view.windows and view.unaffected(second):
                    found.setdefault(second, set()).add(node)
    return found


def _judged(view: View, away: Mapping[int, Collection[str]]) -> CheckResult:
    limit = view.limit(NAME)
    batches = raised = empty = excusable = unsure = 0
    for second, nodes_away in away.items():
        window, healthy = view.windows[second], view.unaffected(second)
        batches += _with_keys_on(window, healthy)
        lost = {RAISED: 0, EMPTY: 0}
        for (how, nodes), count in window.batch_nothing.items():
            if _is_loss(how, nodes, healthy, nodes_away):
                lost[how] += count
                unsure += count if how == EMPTY and _may_miss_all(view, second, nodes) else 0
        raised, empty = raised + lost[RAISED], empty + lost[EMPTY]
        if second in view.disturbed:
            excusable += min(lost[RAISED], _timed_out(view, window))
    nothing = raised + empty
    if batches < BATCHES_NEEDED:
        why = f"{batches} batches while a node was away, {BATCHES_NEEDED} needed"
        few = lacking("batches", batches, BATCHES_NEEDED, span=(min(away), max(away) + 1))
        return inconclusive(NAME, view.because(why), limit=limit, evidence=lambda: few)
    share = nothing / batches
    why = f"{nothing:,} of {batches:,} batches gave nothing of what healthy nodes have"
    why += f" ({percent(share)})"
    if nothing:
        why += f": {raised:,} raised, {empty:,} were empty and named no failed key"
    result = held(
        NAME,
        share <= limit,
        why,
        observed=share,
        limit=limit,
        evidence=lambda: _losses(view, away),
    )
    if share > limit >= (nothing - excusable) / batches:
        reason = f"{excusable:,} took a whole op_timeout while the generator was saturated"
        return taken_back(result, reason, *disturbances(view, away.keys() & view.disturbed))
    if share > limit >= (nothing - excusable - unsure) / batches:
        reason = f"{unsure:,} had keys of healthy nodes only that have lost items before"
        return taken_back(result, reason)
    return result


def _may_miss_all(view: View, second: int, nodes: Collection[str]) -> bool:
    """Return whether every healthy node of an empty batch may rightly have missed its keys."""
    healthy = set(view.unaffected(second)).intersection(nodes)
    return all(may_lack_items(view.facts, node, second) for node in healthy)


def _losses(view: View, away: Mapping[int, Collection[str]]) -> Sequence[Contributor]:
    """Give the batches that raised, by outcome, and those that were empty."""

    def raised(_second: int, op: str, node: str, outcome: str, cell: Cell) -> int:
        return cell.count if _is_batch(op, node) and outcome in FAILURES else 0

    empty = Tallies()
    for stretch, second in stretches(view, away):
        for (how, nodes), count in view.windows[second].batch_nothing.items():
            if how == EMPTY and _is_loss(how, nodes, view.unaffected(second), away[second]):
                empty.add("get_many", BATCHES, NAMES_NOTHING, count, second, second + 1, stretch)
    return [*calls(view, away, raised), *empty.largest()]


def _timed_out(view: View, window: Window) -> int:
    """Count the failed batches of a window that took a whole op_timeout.

    A late hub may make any node time out; it makes no client raise, or find nothing, at once.
    """
    return sum(
        view.as_long_as_a_timeout(cell)
        for (op, node, outcome), cell in window.cells.items()
        if _is_batch(op, node) and outcome in FAILURES
    )


def _with_keys_on(window: Window, healthy: Collection[str]) -> int:
    """Count the batches of a window that asked some healthy node, at the least."""
    batches = sum(
        cell.count
        for (op, node, outcome), cell in window.cells.items()
        if _is_batch(op, node) and outcome != Outcome.ABORTED
    )
    elsewhere = (count for node, count in window.batch_alone.items() if node not in healthy)
    return max(0, batches - sum(elsewhere))


def _is_batch(op: str, node: str) -> bool:
    return node == BATCHES and op.endswith("_many")


def _is_loss(
    how: str, nodes: Collection[str], healthy: Collection[str], away: Collection[str]
) -> bool:
    """Tell whether a batch that gave nothing should have given something.

    One that raised may do so for a node that is only slow; then no other is to blame. One that is
    empty may have missed everywhere; but with keys on a node that is away it had to name them.
    """
    if not any(node in healthy for node in nodes):
        return False
    if any(node in away for node in nodes):
        return True
    return how == RAISED and all(node in healthy for node in nodes)
