"""Checks of misses that were none: the key was there all the time, on the node it lives on.

A miss for a key that the writer knows to be there is held against the server, which is asked at
once and directly. Keys that may move between nodes are left out: another node may rightly miss
them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from verdict.answers import held, inconclusive, not_applicable, percent, worst
from verdict.ledger import evidence_of, keys_moved, ledgers_of
from verdict.model import CheckResult
from verdict.phases import WARM_UP_S, FaultSpan
from verdict.view import View

CALLS_NEEDED = 100
READS_NEEDED = 100

LEAST_OUT_S = 1.0
"""A fault of less than a second gives no hundred calls at any usual load."""

MASKABLE = frozenset({"unavailable", "degraded"})


def no_masked_misses(view: View) -> CheckResult:
    """Report no miss for a key that its node has, while the node is cut off or degraded."""
    name = "no_masked_misses"
    if not any(record.effects & MASKABLE for record in view.facts.faults):
        return not_applicable(name, "no node was made unavailable or degraded")
    if keys_moved(view):
        return not_applicable(name, "keys move between nodes: another one may rightly miss them")
    spans = [span for span in view.phases.spans if span.record.effects & MASKABLE]
    nodes = sorted({node for span in spans for node in span.record.nodes})
    if not nodes:
        why = view.because("no such fault was injected")
        return inconclusive(name, why, limit=view.limit(name))
    return worst(name, [_masked(view, node, [s for s in spans if s.hits(node)]) for node in nodes])


def _masked(view: View, node: str, spans: Sequence[FaultSpan]) -> CheckResult:
    name = "no_masked_misses"
    limit = view.limit(name)
    length_s = sum(span.length_s for span in spans)
    if length_s < LEAST_OUT_S:
        return not_applicable(name, f"{node} was out for {length_s:.2f} s only")
    seconds = {s for span in spans for s in range(int(span.injected), math.ceil(span.heal))}
    # A key may be missing rightly in the second in which its node dies, and then nobody can tell.
    inner = {s for span in spans for s in range(math.ceil(span.injected), int(span.heal))}
    calls = sum(
        part.calls for span in spans for _, part in view.slices(node, span.injected, span.heal)
    )
    masked = _count((item for ledger in ledgers_of(view) for item in ledger.masked), node, seconds)
    open_ones = (item for ledger in ledgers_of(view) for item in ledger.unproven)
    comes_back_empty = any("cold" in span.record.effects for span in spans)
    unproven = _count(open_ones, node, inner if inner or comes_back_empty else seconds)
    if calls < CALLS_NEEDED:
        why = view.because(f"{node}: {calls} calls while it was out, {CALLS_NEEDED} needed")
        return inconclusive(name, why, limit=limit)
    share = masked / calls
    why = f"{node}: {masked} misses of {calls:,} calls for keys that it has ({percent(share)})"
    if share > limit:
        shown = evidence_of(view, "masked_miss", node=node)
        return held(name, False, why + shown, observed=share, limit=limit)
    if unproven / calls > limit:
        why = f"{node}: {unproven} misses of {calls:,} calls while nobody could ask it for the keys"
        return inconclusive(name, why, observed=share, limit=limit)
    return held(name, True, why, observed=share, limit=limit)


def no_false_misses(view: View) -> CheckResult:
    """Report no miss for a key that its node has, outside the node's faults and its recovery."""
    name = "no_false_misses"
    limit = view.limit(name)
    if keys_moved(view):
        return not_applicable(name, "keys move between nodes: another one may rightly miss them")
    ledgers = ledgers_of(view)
    false = _outside_faults(view, (item for ledger in ledgers for item in ledger.masked))
    open_ones = _outside_faults(view, (item for ledger in ledgers for item in ledger.unproven))
    reads = sum(ledger.reads for ledger in ledgers) + sum(false.values())
    if reads < READS_NEEDED:
        why = view.because(f"{reads} checked reads, {READS_NEEDED} needed")
        return inconclusive(name, why, limit=limit)
    count = sum(false.values())
    share = count / reads
    why = f"{count} misses in {reads:,} checked reads for keys that their node has"
    if share > limit:
        node = max(false, key=lambda each: false[each])
        why += f" ({percent(share)}), most on {node}"
        shown = evidence_of(view, "masked_miss", node=node)
        return held(name, False, why + shown, observed=share, limit=limit)
    unknown = sum(open_ones.values())
    if unknown / (reads + unknown) > limit:
        why = f"{unknown} misses while no server could be asked for the keys"
        return inconclusive(name, why, observed=share, limit=limit)
    return held(name, True, why, observed=share, limit=limit)


def _outside_faults(view: View, items: Iterable[tuple[str, int, int]]) -> Counter[str]:
    """Add up by node what happened in seconds in which nothing excuses the node."""
    found: Counter[str] = Counter()
    for node, second, count in items:
        if second >= WARM_UP_S and not view.phases.is_affected(
            node, second - 1, second + 1, view.recovery_s
        ):
            found[node] += count
    return found


def _count(items: Iterable[tuple[str, int, int]], node: str, seconds: set[int]) -> int:
    return sum(count for owner, second, count in items if owner == node and second in seconds)
