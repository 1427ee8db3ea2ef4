"""Checks of what single writers remember: lost writes, and keys that outlive their time.

The load processes bring what they found, with node and second; this module applies the excuses that
only the whole run shows. A node that restarted, evicted or was flushed may lose what it was given
before; where keys were seen to move (verdict.moved_keys), another node may have had it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from memquake.limits import LIMITS
from verdict.answers import Evidence, held, inconclusive
from verdict.evidence import Triple, by_second, kept_findings, lacking
from verdict.model import CheckResult, Contributor, Figure, LedgerFacts, Ruling
from verdict.moved_keys import MovedKeys
from verdict.node_events import (
    is_away_at_the_end,
    last_loss_s,
    last_sure_loss_s,
    lost_before_the_run,
    was_flushed_by_others,
)
from verdict.view import View

WRITES_NEEDED = LIMITS["no_lost_writes"].needed
EXPIRIES_NEEDED = LIMITS["ttl_kept"].needed
COMMANDED = ", which somebody flushed or made count anew, perhaps the client under test"


def ledgers_of(view: View) -> list[LedgerFacts]:
    """Give what the load processes told; one that was lost tells nothing."""
    return [worker.ledger for worker in view.facts.workers if worker.ledger is not None]


def moved_keys(view: View) -> MovedKeys:
    """Return where keys were on other nodes than usual, as the ledgers saw it."""
    return MovedKeys(view, ledgers_of(view))


def stale_reads_of(ledger: LedgerFacts) -> int:
    """Count the reads of older versions, whatever explains them."""
    return ledger.stale + sum(n for _, _, n in (*ledger.left_over, *ledger.stale_unsure))


def ledger_figures(view: View) -> dict[str, Figure]:
    """Give how much was held against acknowledgements, and what reads showed, limit or not."""
    ledgers = ledgers_of(view)
    return {
        "checked_reads": Figure(value=float(sum(x.reads for x in ledgers)), unit="reads"),
        "stale_reads": Figure(value=float(sum(map(stale_reads_of, ledgers))), unit="reads"),
        "acknowledged_writes": Figure(value=float(sum(x.writes for x in ledgers)), unit="writes"),
        "moved_writes": Figure(
            value=float(sum(count for x in ledgers for _, _, count in x.moved)), unit="writes"
        ),
    }


def no_lost_writes(view: View) -> CheckResult:
    """Keep acknowledged writes: a direct read finds each on a node that lost nothing by itself."""
    name = "no_lost_writes"
    writes = sum(ledger.writes for ledger in ledgers_of(view))
    doubts = _doubts(view)
    losses = _losses(view, doubts)
    lost = sum(count for _, _, count in losses.lost)
    limit = view.limit(name)
    if any(ledger.hides_keys for ledger in ledgers_of(view)):
        why = "the client gives its keys names that nobody can tell: no server can be asked"
        few = lacking("writes under names that can be told", 0, WRITES_NEEDED)
        return inconclusive(name, why, observed=lost, limit=limit, evidence=lambda: few)
    seen = f"{lost} of {writes:,} acknowledged writes lost"
    if losses.excused:
        seen += f"; {losses.excused} gone with a node that restarted, evicted, was flushed"
        seen += " or left out"
    if lost > limit:
        return _lost_writes(view, losses.lost, seen)
    if losses.unsure:
        unsure = sum(count for _, _, count in losses.unsure)
        nodes = sorted({node for node, _, _ in losses.unsure})
        why = f"{seen}; {unsure} more lost on " + "; ".join(
            doubts.get(node, f"{node}{COMMANDED}") for node in nodes
        )
        gone = _shown_losses(view, losses.unsure, "write lost or node gone")
        return inconclusive(name, why, observed=lost, limit=limit, evidence=gone)
    unasked = sum(ledger.unasked for ledger in ledgers_of(view))
    asked = writes - min(writes, unasked)
    if asked < WRITES_NEEDED:
        why = view.because(f"{writes} acknowledged writes, {WRITES_NEEDED} needed")
        if unasked:
            why += f"; of {unasked} the servers could not be asked"
        few = lacking("acknowledged writes that a server was asked for", asked, WRITES_NEEDED)
        return inconclusive(name, why, observed=lost, limit=limit, evidence=lambda: few)
    return held(name, True, seen, observed=lost, limit=limit)


@dataclass(slots=True)
class _Losses:
    """Acknowledged writes that no server has: by the client, perhaps by it, with their node."""

    lost: list[Triple] = field(default_factory=list)
    unsure: list[Triple] = field(default_factory=list)
    excused: int = 0


def _losses(view: View, doubts: Mapping[str, str]) -> _Losses:
    """Return the writes that were lost, by what their node did meanwhile."""
    found = _Losses()
    until = {node: last_loss_s(view.facts, node) for node in view.facts.nodes}
    sure = {node: last_sure_loss_s(view.facts, node) for node in view.facts.nodes}
    moved = moved_keys(view)
    if lost_before_the_run(view.facts):
        sure[""] = math.inf  # keys of before the run, which were found on no node
    for node, since, count in (item for ledger in ledgers_of(view) for item in ledger.lost):
        if since <= sure.get(node, -math.inf) or moved.covers(node, since):
            found.excused += count
        elif node in doubts or since <= until.get(node, -math.inf):
            found.unsure.append((node, since, count))
        else:
            found.lost.append((node, since, count))
    return found


def _lost_writes(view: View, lost: Sequence[Triple], seen: str) -> CheckResult:
    """Convict of lost writes, unless a server died with them."""
    result = held(
        "no_lost_writes",
        False,
        seen,
        observed=sum(count for _, _, count in lost),
        limit=view.limit("no_lost_writes"),
        evidence=_shown_losses(view, lost, "acknowledged write lost"),
    )
    if not view.facts.is_void:
        return result
    why = f"{seen}, but a server died by itself, and what it had with it"
    return dataclasses.replace(result, verdict=Ruling.INCONCLUSIVE, why=why)


def _shown_losses(view: View, found: Sequence[Triple], what: str) -> Evidence:
    examples = ledger_examples(view, "lost_write", at="acknowledged_s")
    return lambda: by_second(view, found, "", what, examples)


def _doubts(view: View) -> dict[str, str]:
    """Return the nodes of which nobody can tell what they lost by themselves -> the node and why.

    "" stands for keys that were stored before the run and found on no node.
    """
    found: dict[str, str] = {}
    for node in view.facts.nodes:
        if is_away_at_the_end(view.facts, node):
            found[node] = f"{node}, which did not answer at the end"
        elif why := view.facts.uncounted.get(node):
            found[node] = f"{node}, which does not tell what it lost by itself ({why})"
            found[""] = f"a node such as {found[node]}"
        elif was_flushed_by_others(view.facts, node):
            found[node] = f"{node}, which others flushed: that may take effect later"
    return found


def ttl_kept(view: View) -> CheckResult:
    """Give no value 5.5 s after it was stored with a TTL of one second."""
    name = "ttl_kept"
    gone = sum(ledger.expired for ledger in ledgers_of(view))
    outlived = sum(ledger.outlived for ledger in ledgers_of(view))
    limit, looked_for = view.limit(name), gone + outlived
    if outlived <= limit and looked_for < EXPIRIES_NEEDED:
        why = f"{looked_for} keys were looked for after their time, {EXPIRIES_NEEDED} needed"
        few = lacking("keys that were looked for after their time", looked_for, EXPIRIES_NEEDED)
        reason = view.because(why)
        return inconclusive(name, reason, observed=outlived, limit=limit, evidence=lambda: few)
    why = f"{outlived} of {looked_for} keys were still there after their time"
    return held(
        name,
        outlived <= limit,
        why,
        observed=outlived,
        limit=limit,
        evidence=lambda: cases_of(view, "outlived", outlived),
    )


def ledger_examples(view: View, kind: str, *, at: str = "at_s") -> list[Mapping[str, Any]]:
    """Give the ledgers' cases of a kind, each at the time that the field `at` names."""
    return [
        item if at == "at_s" else {**item, "found_at_s": item.get("at_s"), "at_s": item[at]}
        for ledger in ledgers_of(view)
        for item in ledger.evidence
        if item.get("kind") == kind and item.get(at) is not None
    ]


def cases_of(view: View, kind: str, count: int) -> Sequence[Contributor]:
    """Return where and when the ledgers found a kind of case; only the count where none says."""
    places = [
        (node, second, number)
        for ledger in ledgers_of(view)
        for of, node, second, number in ledger.places
        if of == kind
    ]
    what = kind.replace("_", " ")
    examples = ledger_examples(view, kind)
    found = by_second(view, places, "", what, examples) or kept_findings(examples)
    return found or [Contributor(outcome=what, count=count)]
