"""Checks of versions that single writers know: lost and doubled updates, stale reads.

What a left-out node still holds, where keys were seen to move (verdict.moved_keys), is a figure and
no finding, for every client alike.
"""

from __future__ import annotations

from collections.abc import Sequence

from memquake.limits import LIMITS
from verdict.answers import held, inconclusive
from verdict.compare import taken_back
from verdict.evidence import lacking
from verdict.ledger import cases_of, ledger_examples, ledgers_of, moved_keys, stale_reads_of
from verdict.misses import outside_faults
from verdict.model import CheckResult, Contributor, LedgerFacts
from verdict.moved_keys import MovedKeys
from verdict.node_events import incidents, words_of
from verdict.view import View

UPDATES_NEEDED = LIMITS["no_lost_updates"].needed
READS_NEEDED = LIMITS["no_stale_reads"].needed

DENIED = 20, 0.05
"""So many steps, and such a share of all, that find no counter where one is are no accident."""

FEW_STALE, FEW_SHARE = 2, 0.05
"""Beside reads of what left-out nodes hold: a copy may be gone by the time its node is asked."""


def no_lost_updates(view: View) -> CheckResult:
    """Lose and double no update: counters and cas chains stay within what was acknowledged.

    A step that finds no counter where an add finds one is lost as well, again and again and outside
    its node's faults: during them it is a failure by another name, and changes nothing.
    """
    ledgers, moved = ledgers_of(view), moved_keys(view)
    updates = sum(ledger.updates for ledger in ledgers)
    older = [item for ledger in ledgers for item in ledger.older_counters]
    left_out = sum(n for node, at, n in older if moved.leaves_copies(node, at))
    early = sum(n for _, at, n in older if at < moved.since_s)
    open_ones = sum(n for _, _, n in older) - left_out - early
    denied = _denied(view, moved, ledgers)
    wrong = sum(ledger.wrong_updates for ledger in ledgers) + early + denied
    why = f"{wrong} of {updates:,} updates lost or doubled"
    if denied:
        why += f", {denied} of them steps that found no counter where one is"
    if left_out:
        why += f"; {left_out} answers of counters that left-out nodes still hold"
    doubt = ""
    if open_ones and wrong <= view.limit("no_lost_updates"):
        doubt = f"{open_ones} of counters that had begun again, and no write was seen to move"
    kinds = ("lost_update", "older_counter", "denied_step")
    of = "updates", updates, UPDATES_NEEDED
    return _judged(view, "no_lost_updates", wrong, why, kinds=kinds, doubt=doubt, of=of)


def _denied(view: View, moved: MovedKeys, ledgers: Sequence[LedgerFacts]) -> int:
    """Count the steps that found no counter where one is, 0 for as few as may be an accident.

    The step may have asked one node and the add another, where keys were seen to move.
    """
    denied, _ = moved.split(item for ledger in ledgers for item in ledger.denied)
    found = sum(count for _, _, count in outside_faults(view, denied))
    least, share = DENIED
    done = sum(ledger.steps for ledger in ledgers)
    return found if found >= max(least, share * (found + done)) else 0


def no_stale_reads(view: View) -> CheckResult:
    """Read nothing older than the writer's last acknowledged version.

    What a left-out node still holds, where keys were seen to move, is a figure unless a limit was
    asked for.
    """
    name = "no_stale_reads"
    ledgers, moved = ledgers_of(view), moved_keys(view)
    reads = sum(ledger.reads for ledger in ledgers)
    left_out = 0 if name in view.facts.budgets else _left_out(moved, ledgers)
    stale = sum(map(stale_reads_of, ledgers)) - left_out
    why = f"{stale} stale reads of {reads:,} checked"
    if left_out:
        why += f"; {left_out} more of what left-out nodes still hold, a figure without limit"
    doubt = _doubt(moved, ledgers, stale, left_out) if stale > view.limit(name) else ""
    kinds = ("stale_read", "left_over")
    of = "checked reads", reads, READS_NEEDED
    return _judged(view, name, stale, why, kinds=kinds, doubt=doubt, of=of)


def _left_out(moved: MovedKeys, ledgers: Sequence[LedgerFacts]) -> int:
    """Count the stale reads that moved keys explain: another node holds what was read.

    Where keys of a node were seen elsewhere, so it may be with reads that nobody could look into.
    """
    held_elsewhere = (item for ledger in ledgers for item in ledger.left_over)
    unsure = (item for ledger in ledgers for item in ledger.stale_unsure)
    found = sum(n for node, at, n in held_elsewhere if moved.leaves_copies(node, at))
    return found + sum(n for node, at, n in unsure if moved.seen(node) and at >= moved.since_s)


def _doubt(moved: MovedKeys, ledgers: Sequence[LedgerFacts], stale: int, left_out: int) -> str:
    """Say why stale reads that moved keys do not explain convict nobody, "" when they do."""
    exact = sum(ledger.stale for ledger in ledgers)
    if moved.is_seen and exact == stale <= max(FEW_STALE, FEW_SHARE * left_out):
        return "a copy may have expired before its node was asked"
    unsure = [item for ledger in ledgers for item in ledger.stale_unsure]
    late = sum(n for _, at, n in unsure if at >= moved.since_s)
    if moved.is_declared and late == stale:
        return "the client says that it moves keys, and no server could be asked for them"
    return ""


def _unless_keys_moved(view: View, result: CheckResult, kind: str) -> CheckResult:
    """Take a conviction back when a node went away without a plan before all that was found.

    Keys may have moved to other nodes meanwhile, and back to what a node still had.
    """
    if view.facts.is_void:
        return taken_back(result, "a server died by itself, and keys may have moved")
    for node, why in view.facts.uncounted.items():
        words = f"{node} may stand for several servers, between which it moves keys ({why})"
        return taken_back(result, words)
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


def _judged(
    view: View,
    name: str,
    found: int,
    why: str,
    *,
    kinds: Sequence[str],
    doubt: str,
    of: tuple[str, int, int],
) -> CheckResult:
    """Judge a count of findings.

    `of` is what they were looked for in, how many of those, and how many are needed; `kinds` are
    those of the ledgers' cases, and the first that has some is shown.
    """
    limit = view.limit(name)
    kind = next((each for each in kinds if ledger_examples(view, each)), kinds[0])

    def shown() -> Sequence[Contributor]:
        return cases_of(view, kind, found)

    if doubt:
        words = f"{why}; {doubt}"
        return inconclusive(name, words, observed=found, limit=limit, evidence=shown)
    if found > limit:
        result = held(name, False, why, observed=found, limit=limit, evidence=shown)
        return _unless_keys_moved(view, result, kind)
    what, count, needed = of
    if count < needed:
        few = lacking(what, count, needed)
        reason = view.because(f"{count:,} {what}, {needed:,} needed")
        return inconclusive(name, reason, observed=found, limit=limit, evidence=lambda: few)
    return held(name, True, why, observed=found, limit=limit)
