"""Checks of misses that were none: the key was there all the time, on the node it lives on.

A miss for a key that the writer knows to be there is held against the server, which is asked at
once and directly. Where the key's node was seen to be left out, another one may rightly miss the
key: then only what no server gave convicts (verdict.moved_keys).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from faults.effect import Effect
from memquake.limits import LIMITS
from verdict.answers import held, inconclusive, not_applicable, percent, worst
from verdict.evidence import Triple, by_second, lacking, not_injected
from verdict.ledger import ledger_examples, ledgers_of, moved_keys
from verdict.model import CheckResult, Contributor
from verdict.moved_keys import MovedKeys
from verdict.phases import WARM_UP_S, FaultSpan
from verdict.view import View

CALLS_NEEDED = LIMITS["no_masked_misses"].needed
READS_NEEDED = LIMITS["no_false_misses"].needed

SERVED = 0.5
"""Servers that gave so many more misses than before, of those in question, may have given all."""

UNSEEN = "the servers gave as many more, so keys may have moved, but no write was seen to"
UNPROVEN = "miss that no server could be asked about"

LEAST_OUT_S = 1.0
"""A fault of less than a second gives no hundred calls at any usual load."""

MASKABLE = frozenset({Effect.UNAVAILABLE, Effect.DEGRADED})


def no_masked_misses(view: View) -> CheckResult:
    """Report no miss for a key that its node has, while the node is cut off or degraded."""
    name = "no_masked_misses"
    if not any(record.effects & MASKABLE for record in view.facts.faults):
        return not_applicable(name, "no node was made unavailable or degraded")
    moved = moved_keys(view)
    spans = [span for span in view.phases.spans if span.record.effects & MASKABLE]
    nodes = sorted({node for span in spans for node in span.record.nodes})
    if not nodes:
        why = view.because("no such fault was injected")
        none = not_injected(view)
        return inconclusive(name, why, limit=view.limit(name), evidence=lambda: none)
    parts = [_masked(view, moved, node, [s for s in spans if s.hits(node)]) for node in nodes]
    return worst(name, parts)


def _masked(view: View, moved: MovedKeys, node: str, spans: Sequence[FaultSpan]) -> CheckResult:
    name = "no_masked_misses"
    limit = view.limit(name)
    length_s = sum(span.length_s for span in spans)
    if length_s < LEAST_OUT_S:
        return not_applicable(name, f"{node} was out for {length_s:.2f} s only")
    calls = _calls(view, node, spans)
    if calls < CALLS_NEEDED:
        why = view.because(f"{node}: {calls} calls while it was out, {CALLS_NEEDED} needed")
        seconds = sorted(_seconds_of(spans))
        few = lacking("calls", calls, CALLS_NEEDED, node=node, seconds=seconds)
        return inconclusive(name, why, limit=limit, evidence=lambda: few)
    return _ruling(view, moved, node, _Misses.of(view, moved, node, spans), calls)


def _calls(view: View, node: str, spans: Sequence[FaultSpan]) -> int:
    """Count the calls to a node while it was out. A key of a batch is a call: each may be missed.

    Keys of batches are known by the second only, as misses are.
    """
    single = sum(
        part.calls for span in spans for _, part in view.slices(node, span.injected, span.heal)
    )
    windows = (view.windows.get(second) for second in _seconds_of(spans))
    return single + sum(w.batch_keys.get(node, 0) for w in windows if w is not None)


def _ruling(view: View, moved: MovedKeys, node: str, found: _Misses, calls: int) -> CheckResult:
    """Judge the misses of one node: those it had all the time, then those that nobody gave."""
    name = "no_masked_misses"
    limit = view.limit(name)
    masked, left_out, unproven = map(_total, (found.masked, found.left_out, found.unproven))
    share, invented = masked / calls, found.invented / calls
    why = f"{node}: {masked} misses of {calls:,} calls for keys that it has ({percent(share)})"
    if left_out:
        why += f"; {left_out} more while its keys were seen on other nodes"
    doubt, seen = "", _misses(view, [*found.masked, *found.left_out])
    if share > limit and found.may_be_served:
        doubt = UNSEEN
    elif share > limit:
        seen = _misses(view, found.masked)
    elif invented > limit:
        share = invented
        why += f"; {found.invented} misses in its time, keys of batches too, that no server gave"
    elif left_out / calls > limit and not moved.counts_misses:
        doubt = "the servers do not say how many misses they gave"
    elif unproven / calls > limit:
        doubt = f"{unproven} misses while nobody could ask it for the keys"
        seen = by_second(view, found.unproven, "get", UNPROVEN)
    if doubt:
        words = f"{why}; {doubt}"
        return inconclusive(name, words, observed=share, limit=limit, evidence=lambda: seen)
    return held(name, share <= limit, why, observed=share, limit=limit, evidence=lambda: seen)


@dataclass(frozen=True, kw_only=True)
class _Misses:
    """Misses of keys of one node that it had, while it was out."""

    masked: Sequence[Triple]  # while its keys were not seen elsewhere
    left_out: Sequence[Triple]  # while they were
    invented: int  # misses of that time that no server gave, where keys were seen elsewhere
    unproven: Sequence[Triple]  # while nobody could ask it
    may_be_served: bool  # by other nodes, though no write was seen to move

    @classmethod
    def of(cls, view: View, moved: MovedKeys, node: str, spans: Sequence[FaultSpan]) -> _Misses:
        ledgers, seconds = ledgers_of(view), _seconds_of(spans)
        # A key may be missing rightly in the second in which its node dies: nobody can tell then.
        inner = {s for span in spans for s in range(math.ceil(span.injected), int(span.heal))}
        comes_back_empty = any(Effect.COLD in span.record.effects for span in spans)
        masked, left_out = moved.split(item for ledger in ledgers for item in ledger.masked)
        open_ones, _ = moved.split(item for ledger in ledgers for item in ledger.unproven)
        left = _those(left_out, node, seconds)
        found = _those(masked, node, seconds)
        return cls(
            masked=found,
            left_out=left,
            invented=max(map(moved.uncounted, spans)) if left else 0,
            unproven=_those(open_ones, node, inner if inner or comes_back_empty else seconds),
            may_be_served=_may_be_served(moved, found, spans),
        )


def _may_be_served(moved: MovedKeys, found: Sequence[Triple], spans: Sequence[FaultSpan]) -> bool:
    """Tell whether other nodes may have given the misses, though no write was seen to move."""
    if any(moved.seen(node) for node, _, _ in found):
        return False
    return sum(moved.rise(span) for span in spans) >= SERVED * _total(found)


def _total(items: Iterable[Triple]) -> int:
    return sum(count for _, _, count in items)


def _seconds_of(spans: Sequence[FaultSpan]) -> set[int]:
    return {s for span in spans for s in range(int(span.injected), math.ceil(span.heal))}


def no_false_misses(view: View) -> CheckResult:
    """Report no miss for a key that its node has, outside the node's faults and its recovery."""
    name = "no_false_misses"
    limit = view.limit(name)
    ledgers, moved = ledgers_of(view), moved_keys(view)
    masked, left_out = moved.split(item for ledger in ledgers for item in ledger.masked)
    unproven, _ = moved.split(item for ledger in ledgers for item in ledger.unproven)
    false, open_ones = outside_faults(view, masked), outside_faults(view, unproven)
    count = _total(false)
    reads = sum(ledger.reads for ledger in ledgers) + count
    if reads < READS_NEEDED:
        why = view.because(f"{reads:,} checked reads, {READS_NEEDED:,} needed")
        few = lacking("checked reads", reads, READS_NEEDED)
        return inconclusive(name, why, limit=limit, evidence=lambda: few)
    share = count / reads
    why = f"{count} misses in {reads:,} checked reads for keys that their node has"
    if more := _total(outside_faults(view, left_out)):
        why += f"; {more} more while keys were seen on other nodes"
    if share > limit:
        seen = _misses(view, false)
        early = _total(item for item in false if item[1] < moved.since_s)
        if early / reads <= limit and _may_be_served(moved, false, view.phases.spans):
            words = f"{why}; {UNSEEN}"
            return inconclusive(name, words, observed=share, limit=limit, evidence=lambda: seen)
        why += f" ({percent(share)}), most on {seen[0].node}"
        return held(name, False, why, observed=share, limit=limit, evidence=lambda: seen)
    unknown = _total(open_ones)
    if unknown / (reads + unknown) > limit:
        why = f"{unknown} misses while no server could be asked for the keys"
        seen = by_second(view, open_ones, "get", UNPROVEN)
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


def outside_faults(view: View, items: Iterable[Triple]) -> list[Triple]:
    """Return what happened in seconds in which nothing excuses the node."""
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
