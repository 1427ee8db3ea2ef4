"""Checks of what single writers remember: lost writes and updates, stale reads.

The load processes bring what they found, with node and second; this module applies the excuses that
only the whole run shows. A node that restarted, evicted or was flushed may lose what it was given
before; where keys move between nodes, an older value or a counter of long ago is no surprise.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from verdict.answers import held, inconclusive, not_applicable
from verdict.compare import taken_back
from verdict.correctness import evidence_line
from verdict.evidence import Triple, by_second, kept_findings, lacking
from verdict.model import CheckResult, Contributor, Figure, LedgerFacts, Ruling
from verdict.node_events import (
    incidents,
    is_away_at_the_end,
    last_loss_s,
    lost_before_the_run,
    was_flushed_by_others,
    words_of,
)
from verdict.view import View

WRITES_NEEDED = 100
UPDATES_NEEDED = 100
READS_NEEDED = 1_000
EXPIRIES_NEEDED = 5

_EVIDENCE_CHARACTERS = 200


def ledgers_of(view: View) -> list[LedgerFacts]:
    """Give what the load processes told; one that was lost tells nothing."""
    return [worker.ledger for worker in view.facts.workers if worker.ledger is not None]


def evidence_of(view: View, kind: str, **wanted: Any) -> str:
    """Give the first piece of evidence of a kind, as a tail for a sentence."""
    for ledger in ledgers_of(view):
        for item in ledger.evidence:
            if item.get("kind") == kind and all(item.get(k) == v for k, v in wanted.items()):
                shown = {name: value for name, value in item.items() if name != "kind"}
                return f", first: {evidence_line(shown, _EVIDENCE_CHARACTERS)}"
    return ""


def keys_moved(view: View) -> bool:
    """Tell whether keys may have been on other nodes than usual."""
    return view.facts.moves_keys and bool(view.phases.spans)


def ledger_figures(view: View) -> dict[str, Figure]:
    """Give how much was held against acknowledgements, and what reads showed, limit or not."""
    ledgers = ledgers_of(view)
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
    writes = sum(ledger.writes for ledger in ledgers_of(view))
    losses = {node: last_loss_s(view.facts, node) for node in view.facts.nodes}
    doubts = {node: doubt for node in view.facts.nodes if (doubt := _doubt(view, node))}
    excused = 0
    lost_where: list[Triple] = []
    unsure_where: list[Triple] = []
    if lost_before_the_run(view.facts):
        losses[""] = math.inf  # keys of before the run, which were found on no node
    for node, since, count in (item for ledger in ledgers_of(view) for item in ledger.lost):
        if since <= losses.get(node, -math.inf) or _moved_then(view, since):
            excused += count
        elif node in doubts:
            unsure_where.append((node, since, count))
        else:
            lost_where.append((node, since, count))
    lost = sum(count for _, _, count in lost_where)
    unsure = sum(count for _, _, count in unsure_where)
    limit = view.limit(name)
    if any(ledger.hides_keys for ledger in ledgers_of(view)):
        why = "the client gives its keys names that nobody can tell: no server can be asked"
        few = lacking("writes under names that can be told", 0, WRITES_NEEDED)
        return inconclusive(name, why, observed=lost, limit=limit, evidence=lambda: few)
    seen = f"{lost} of {writes:,} acknowledged writes lost"
    if excused:
        seen += f"; {excused} gone with a node that restarted, evicted, was flushed or left out"
    examples = ledger_examples(view, "lost_write", at="acknowledged_s")
    if lost > limit:
        node, since, _ = lost_where[0]
        shown = evidence_of(view, "lost_write", node=node, acknowledged_s=since)
        result = held(
            name,
            False,
            seen + shown,
            observed=lost,
            limit=limit,
            evidence=lambda: by_second(view, lost_where, "", "acknowledged write lost", examples),
        )
        if view.facts.is_void:
            reason = "a server died by itself, and what it had with it"
            return dataclasses.replace(
                result, verdict=Ruling.INCONCLUSIVE, why=f"{seen}, but {reason}"
            )
        return result
    unasked = sum(ledger.unasked for ledger in ledgers_of(view))
    if unsure:
        nodes = sorted({node for node, _, _ in unsure_where})
        why = f"{unsure} more lost on " + "; ".join(f"{node}, {doubts[node]}" for node in nodes)
        return inconclusive(
            name,
            f"{seen}; {why}",
            observed=lost,
            limit=limit,
            evidence=lambda: by_second(view, unsure_where, "", "write lost or node gone", examples),
        )
    if writes - min(writes, unasked) < WRITES_NEEDED:
        why = view.because(f"{writes} acknowledged writes, {WRITES_NEEDED} needed")
        if unasked:
            why += f"; of {unasked} the servers could not be asked"
        asked = writes - min(writes, unasked)
        few = lacking("acknowledged writes that a server was asked for", asked, WRITES_NEEDED)
        return inconclusive(name, why, observed=lost, limit=limit, evidence=lambda: few)
    return held(name, True, seen, observed=lost, limit=limit)


def _doubt(view: View, node: str) -> str:
    """Say why nobody can tell what a node lost by itself, "" where its statistics tell."""
    if is_away_at_the_end(view.facts, node):
        return "which did not answer at the end"
    if was_flushed_by_others(view.facts, node):
        return "which was flushed, not by memquake: that may take effect later"
    return ""


def _moved_then(view: View, second: int) -> bool:
    """Tell whether keys were moving while a write of this second was acknowledged."""
    return keys_moved(view) and any(
        span.injected - 1 <= second <= view.phases.blamed_until(span, view.recovery_s)
        for span in view.phases.spans
    )


def no_lost_updates(view: View) -> CheckResult:
    """Lose and double no update: counters and cas chains stay within what was acknowledged."""
    name = "no_lost_updates"
    updates = sum(ledger.updates for ledger in ledgers_of(view))
    wrong = sum(ledger.wrong_updates for ledger in ledgers_of(view))
    why = f"{wrong} of {updates:,} updates lost or doubled"
    of = "updates", updates, UPDATES_NEEDED
    return _where_keys_stay(view, name, wrong, why, evidence="lost_update", of=of)


def no_stale_reads(view: View) -> CheckResult:
    """Read nothing older than the writer's last acknowledged version."""
    name = "no_stale_reads"
    reads = sum(ledger.reads for ledger in ledgers_of(view))
    stale = sum(ledger.stale for ledger in ledgers_of(view))
    why = f"{stale} stale reads of {reads:,} checked"
    of = "checked reads", reads, READS_NEEDED
    return _where_keys_stay(view, name, stale, why, evidence="stale_read", of=of)


def _unless_keys_moved(view: View, result: CheckResult, kind: str) -> CheckResult:
    """Take a conviction back when a node went away without a plan before all that was found.

    Keys may have moved to other nodes meanwhile, and back to what a node still had.
    """
    if view.facts.is_void:
        return taken_back(result, "a server died by itself, and keys may have moved")
    met = incidents(view.facts)
    found = [
        at
        for ledger in ledgers_of(view)
        for item in ledger.evidence
        if item.get("kind") == kind and isinstance(at := item.get("at_s"), int)
    ]
    if not met or any(0 <= at < met[0].begin - 1 for at in found):
        return result
    return taken_back(result, words_of(met), *(incident.contributor for incident in met))


def ttl_kept(view: View) -> CheckResult:
    """Give no value 5.5 s after it was stored with a TTL of one second."""
    name = "ttl_kept"
    gone = sum(ledger.expired for ledger in ledgers_of(view))
    outlived = sum(ledger.outlived for ledger in ledgers_of(view))
    if gone + outlived < EXPIRIES_NEEDED:
        return not_applicable(name, f"{gone + outlived} keys were looked for after their time")
    why = f"{outlived} of {gone + outlived} keys were still there after their time"
    limit = view.limit(name)
    shown = evidence_of(view, "outlived") if outlived > limit else ""
    return held(
        name,
        outlived <= limit,
        why + shown,
        observed=outlived,
        limit=limit,
        evidence=lambda: _found(view, "outlived", outlived),
    )


def ledger_examples(view: View, kind: str, *, at: str = "at_s") -> list[Mapping[str, Any]]:
    """Give the ledgers' cases of a kind, each at the time that the field `at` names."""
    return [
        {**item, "found_at_s": item.get("at_s"), "at_s": item[at]}
        for ledger in ledgers_of(view)
        for item in ledger.evidence
        if item.get("kind") == kind and item.get(at) is not None
    ]


def _found(view: View, kind: str, count: int) -> Sequence[Contributor]:
    """Give where the ledgers' cases of a kind were; of a kind without cases only the count."""
    found = kept_findings(ledger_examples(view, kind))
    return found or [Contributor(outcome=kind.replace("_", " "), count=count)]


def _where_keys_stay(
    view: View, name: str, found: int, why: str, *, evidence: str, of: tuple[str, int, int]
) -> CheckResult:
    """Judge a count of findings that means something only as long as keys keep their node."""
    limit = view.limit(name)
    if _is_figure_only(view, name):
        return not_applicable(name, f"keys move between nodes, a figure without limit: {why}")
    if found > limit:
        shown = evidence_of(view, evidence)
        result = held(
            name,
            False,
            why + shown,
            observed=found,
            limit=limit,
            evidence=lambda: _found(view, evidence, found),
        )
        return _unless_keys_moved(view, result, evidence)
    what, count, needed = of
    if count < needed:
        few = lacking(what, count, needed)
        reason = view.because(f"{count:,} {what}, {needed:,} needed")
        return inconclusive(name, reason, observed=found, limit=limit, evidence=lambda: few)
    return held(name, True, why, observed=found, limit=limit)
