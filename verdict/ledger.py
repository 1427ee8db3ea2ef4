"""Checks of what single writers remember: lost writes and updates, stale reads, masked misses.

The load processes bring what they found, with node and second; this module applies the excuses that
only the whole run shows. A node that restarted, evicted or was flushed may lose what it was given
before; where keys move between nodes, an older value or a counter of long ago is no surprise.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from telemetry.window import Window
from verdict.answers import held, inconclusive, not_applicable, percent, worst
from verdict.correctness import evidence_line
from verdict.model import CheckResult, Figure, LedgerFacts
from verdict.phases import FaultSpan
from verdict.view import View

WRITES_NEEDED = 100
UPDATES_NEEDED = 100
READS_NEEDED = 1_000
CALLS_NEEDED = 100

LOSING = ("pid", "evictions", "cmd_flush", "slab_reassign_evictions_nomem")
"""What a server counts when it loses items by itself; a new process has another pid."""

SAME_START_S = 1
"""Both of the numbers that give a server's start are whole seconds."""

LEAST_OUT_S = 1.0
"""A fault of less than a second gives no hundred calls at any usual load."""

MASKABLE = frozenset({"unavailable", "degraded"})
_EVIDENCE_CHARACTERS = 200


def _ledgers(view: View) -> list[LedgerFacts]:
    return [worker.ledger for worker in view.facts.workers if worker.ledger is not None]


def _evidence(view: View, kind: str, **wanted: Any) -> str:
    """Give the first piece of evidence of a kind, as a tail for a sentence."""
    for ledger in _ledgers(view):
        for item in ledger.evidence:
            if item.get("kind") == kind and all(item.get(k) == v for k, v in wanted.items()):
                shown = {name: value for name, value in item.items() if name != "kind"}
                return f", first: {evidence_line(shown, _EVIDENCE_CHARACTERS)}"
    return ""


def last_loss_s(windows: Sequence[Window], node: str) -> float:
    """Give the end of the last second in which a server lost items by itself; -inf for never.

    Restarts, evictions and flushes, as the server's own statistics show them from look to look.
    """
    latest, before = -math.inf, None
    for window in windows:
        stats = window.server.get(node)
        if not stats:
            continue
        # In a container every process is the first one, its pid is always 1: its start tells.
        now = (
            [stats.get(name, 0) for name in LOSING],
            stats.get("time", 0) - stats.get("uptime", 0),
        )
        if before is not None and (now[0] != before[0] or abs(now[1] - before[1]) > SAME_START_S):
            latest = float(window.end)
        before = now
    return latest


def keys_moved(view: View) -> bool:
    """Tell whether keys may have been on other nodes than usual."""
    return view.facts.moves_keys and bool(view.phases.spans)


def ledger_figures(view: View) -> dict[str, Figure]:
    """Give how much was held against acknowledgements, and what reads showed, limit or not."""
    ledgers = _ledgers(view)
    return {
        "checked_reads": Figure(value=float(sum(x.reads for x in ledgers)), unit="reads"),
        "stale_reads": Figure(value=float(sum(x.stale for x in ledgers)), unit="reads"),
        "acknowledged_writes": Figure(value=float(sum(x.writes for x in ledgers)), unit="writes"),
    }


def _is_figure_only(view: View, name: str) -> bool:
    """Tell whether a limit has no say: keys moved, and nobody asked for a limit."""
    return keys_moved(view) and name not in view.facts.budgets


def no_lost_writes(view: View) -> CheckResult:
    """Keep acknowledged writes: a direct read finds each on a node that lost nothing by itself."""
    name = "no_lost_writes"
    writes = sum(ledger.writes for ledger in _ledgers(view))
    losses = {node: last_loss_s(view.facts.windows, node) for node in view.facts.nodes}
    lost = excused = 0
    culprit: tuple[str, int] | None = None
    for node, since, count in (item for ledger in _ledgers(view) for item in ledger.lost):
        if since <= losses.get(node, -math.inf) or _moved_then(view, since):
            excused += count
        else:
            lost += count
            culprit = culprit or (node, since)
    limit = view.limit(name)
    seen = f"{lost} of {writes:,} acknowledged writes lost"
    if excused:
        seen += f"; {excused} gone with a node that restarted, evicted, was flushed or left out"
    if lost > limit and culprit is not None:
        shown = _evidence(view, "lost_write", node=culprit[0], acknowledged_s=culprit[1])
        return held(name, False, seen + shown, observed=lost, limit=limit)
    unasked = sum(ledger.unasked for ledger in _ledgers(view))
    if writes - min(writes, unasked) < WRITES_NEEDED:
        why = view.because(f"{writes} acknowledged writes, {WRITES_NEEDED} needed")
        if unasked:
            why += f"; of {unasked} the servers could not be asked"
        return inconclusive(name, why, observed=lost, limit=limit)
    return held(name, True, seen, observed=lost, limit=limit)


def _moved_then(view: View, second: int) -> bool:
    """Tell whether keys were moving while a write of this second was acknowledged."""
    return keys_moved(view) and any(
        span.injected - 1 <= second <= view.phases.blamed_until(span, view.recovery_s)
        for span in view.phases.spans
    )


def no_lost_updates(view: View) -> CheckResult:
    """Lose and double no update: counters and cas chains stay within what was acknowledged."""
    name = "no_lost_updates"
    updates = sum(ledger.updates for ledger in _ledgers(view))
    wrong = sum(ledger.wrong_updates for ledger in _ledgers(view))
    why = f"{wrong} of {updates:,} updates lost or doubled"
    lacking = f"{updates} updates, {UPDATES_NEEDED} needed" if updates < UPDATES_NEEDED else ""
    return _where_keys_stay(view, name, wrong, why, evidence="lost_update", lacking=lacking)


def no_stale_reads(view: View) -> CheckResult:
    """Read nothing older than the writer's last acknowledged version."""
    name = "no_stale_reads"
    reads = sum(ledger.reads for ledger in _ledgers(view))
    stale = sum(ledger.stale for ledger in _ledgers(view))
    why = f"{stale} stale reads of {reads:,} checked"
    lacking = f"{reads:,} checked reads, {READS_NEEDED:,} needed" if reads < READS_NEEDED else ""
    return _where_keys_stay(view, name, stale, why, evidence="stale_read", lacking=lacking)


def _where_keys_stay(
    view: View, name: str, found: int, why: str, *, evidence: str, lacking: str
) -> CheckResult:
    """Judge a count of findings that means something only as long as keys keep their node."""
    limit = view.limit(name)
    if _is_figure_only(view, name):
        return not_applicable(name, f"keys move between nodes, a figure without limit: {why}")
    if found > limit:
        shown = _evidence(view, evidence)
        return held(name, False, why + shown, observed=found, limit=limit)
    if lacking:
        return inconclusive(name, view.because(lacking), observed=found, limit=limit)
    return held(name, True, why, observed=found, limit=limit)


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
    masked = _count((item for ledger in _ledgers(view) for item in ledger.masked), node, seconds)
    open_ones = (item for ledger in _ledgers(view) for item in ledger.unproven)
    comes_back_empty = any("cold" in span.record.effects for span in spans)
    unproven = _count(open_ones, node, inner if inner or comes_back_empty else seconds)
    if calls < CALLS_NEEDED:
        why = view.because(f"{node}: {calls} calls while it was out, {CALLS_NEEDED} needed")
        return inconclusive(name, why, limit=limit)
    share = masked / calls
    why = f"{node}: {masked} misses of {calls:,} calls for keys that it has ({percent(share)})"
    if share > limit:
        shown = _evidence(view, "masked_miss", node=node)
        return held(name, False, why + shown, observed=share, limit=limit)
    if unproven / calls > limit:
        why = f"{node}: {unproven} misses of {calls:,} calls while nobody could ask it for the keys"
        return inconclusive(name, why, observed=share, limit=limit)
    return held(name, True, why, observed=share, limit=limit)


def _count(items: Iterable[tuple[str, int, int]], node: str, seconds: set[int]) -> int:
    return sum(count for owner, second, count in items if owner == node and second in seconds)
