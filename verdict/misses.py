"""Checks of misses that were none: the key was there all the time, on the node it lives on.

A miss for a key that the writer knows to be there is held against the server, which is asked at
once and directly. Keys that may move between nodes are left out: another node may rightly miss
them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from verdict.answers import held, inconclusive, not_applicable, percent, worst
from verdict.correctness import evidence_line
from verdict.evidence import Triple, by_second, lacking, not_injected
from verdict.ledger import keys_moved, ledger_examples, ledgers_of
from verdict.model import CheckResult, Contributor
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
        none = not_injected(view)
        return inconclusive(name, why, limit=view.limit(name), evidence=lambda: none)
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
    found = _those((item for ledger in ledgers_of(view) for item in ledger.masked), node, seconds)
    masked = sum(count for _, _, count in found)
    open_ones = (item for ledger in ledgers_of(view) for item in ledger.unproven)
    comes_back_empty = any("cold" in span.record.effects for span in spans)
    unknown = _those(open_ones, node, inner if inner or comes_back_empty else seconds)
    unproven = sum(count for _, _, count in unknown)
    if calls < CALLS_NEEDED:
        why = view.because(f"{node}: {calls} calls while it was out, {CALLS_NEEDED} needed")
        few = lacking("calls", calls, CALLS_NEEDED, node=node, seconds=sorted(seconds))
        return inconclusive(name, why, limit=limit, evidence=lambda: few)
    share = masked / calls
    why = f"{node}: {masked} misses of {calls:,} calls for keys that it has ({percent(share)})"
    if share > limit:
        seen = _misses(view, found)
        shown = _first_of(seen)
        return held(name, False, why + shown, observed=share, limit=limit, evidence=lambda: seen)
    if unproven / calls > limit:
        why = f"{node}: {unproven} misses of {calls:,} calls while nobody could ask it for the keys"
        seen = by_second(view, unknown, "get", "miss that no server could be asked about")
        return inconclusive(name, why, observed=share, limit=limit, evidence=lambda: seen)
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
    count = sum(number for _, _, number in false)
    reads = sum(ledger.reads for ledger in ledgers) + count
    if reads < READS_NEEDED:
        why = view.because(f"{reads} checked reads, {READS_NEEDED} needed")
        few = lacking("checked reads", reads, READS_NEEDED)
        return inconclusive(name, why, limit=limit, evidence=lambda: few)
    share = count / reads
    why = f"{count} misses in {reads:,} checked reads for keys that their node has"
    if share > limit:
        seen = _misses(view, false)
        why += f" ({percent(share)}), most on {seen[0].node}{_first_of(seen)}"
        return held(name, False, why, observed=share, limit=limit, evidence=lambda: seen)
    unknown = sum(number for _, _, number in open_ones)
    if unknown / (reads + unknown) > limit:
        why = f"{unknown} misses while no server could be asked for the keys"
        seen = by_second(view, open_ones, "get", "miss that no server could be asked about")
        return inconclusive(name, why, observed=share, limit=limit, evidence=lambda: seen)
    return held(name, True, why, observed=share, limit=limit)


def _misses(view: View, found: Sequence[Triple]) -> Sequence[Contributor]:
    """Give the nodes with most misses, each with one that was read in just those seconds."""
    seconds = {(node, second) for node, second, _ in found}
    examples = [
        each
        for each in ledger_examples(view, "masked_miss", at="read_s")
        if (each.get("node"), each["read_s"]) in seconds
    ]
    return by_second(view, found, "get", "miss for a key that the node has", examples)


def _first_of(found: Sequence[Contributor]) -> str:
    """Give the example of the largest contributor as a tail for a sentence, "" without one."""
    shown = {k: v for k, v in found[0].example.items() if k not in ("kind", "found_at_s")}
    return f", first: {evidence_line(shown)}" if shown else ""


def _outside_faults(view: View, items: Iterable[Triple]) -> list[Triple]:
    """Give what happened in seconds in which nothing excuses the node."""
    return [
        (node, second, count)
        for node, second, count in items
        if second >= WARM_UP_S
        and second not in view.phases.disturbed
        and not view.phases.is_affected(node, second - 1, second + 1, view.recovery_s)
    ]


def _those(items: Iterable[Triple], node: str, seconds: set[int]) -> list[Triple]:
    """Give what happened on a node in some seconds."""
    return [item for item in items if item[0] == node and item[1] in seconds]
