"""Checks of what the answers said: wrong values, and errors that nobody could expect.

These hold in every second of a run, edges and warm-up included: no moment excuses a foreign value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from client.operation import Outcome
from memquake.limits import LIMITS
from verdict.answers import held, inconclusive
from verdict.evidence import kept_findings, lacking, outcomes
from verdict.model import CheckResult, Contributor, WorkerFacts
from verdict.view import View

VERIFIED_HITS_NEEDED = LIMITS["no_wrong_values"].needed

SNAPSHOT_FINDINGS = frozenset({"snapshot_broken", "snapshot_contradicts"})
"""What the client says of itself is no call: `snapshot_true` judges these findings."""


def evidence_line(evidence: Mapping[str, Any], limit: int = 160) -> str:
    """Write a piece of evidence on one line, cut to a readable length."""
    text = ", ".join(f"{key}={value}" for key, value in evidence.items())
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 3] + "..."


def no_wrong_values(view: View) -> CheckResult:
    """Serve no hit that fails verification: another key's value, a torn one, a stray reply."""
    name = "no_wrong_values"
    wrong = max(view.outcome_count(Outcome.WRONG_VALUE), len(view.facts.wrong_values))
    verified = sum(cell.hits for window in view.facts.windows for cell in window.cells.values())
    limit = view.limit(name)
    if wrong > limit:
        why = f"{wrong} wrong values beside {verified} verified hits"
        return held(
            name,
            False,
            why,
            observed=wrong,
            limit=limit,
            evidence=lambda: (
                outcomes(view, view.windows, {Outcome.WRONG_VALUE})
                or kept_findings(view.facts.wrong_values)
            ),
        )
    if verified + wrong < VERIFIED_HITS_NEEDED:
        why = view.because(f"{verified + wrong:,} verified hits, {VERIFIED_HITS_NEEDED:,} needed")
        few = lacking(
            "verified hits", verified + wrong, VERIFIED_HITS_NEEDED, seconds=tuple(view.windows)
        )
        return inconclusive(name, why, observed=wrong, limit=limit, evidence=lambda: few)
    return held(name, True, f"{verified:,} hits verified", observed=wrong, limit=limit)


def predictable_errors(view: View) -> CheckResult:
    """Raise no programming error, return nothing the contract does not allow, end no process."""
    name = "predictable_errors"
    if ends := [worker for worker in view.facts.workers if worker.ended]:
        return _ended(view, ends)
    counted = view.outcome_count(Outcome.BUG, Outcome.BAD_RESULT)
    findings = [item for item in view.facts.findings if item.get("kind") not in SNAPSHOT_FINDINGS]
    seen = max(counted, len(findings))
    limit = view.limit(name)
    if seen <= limit:
        return held(name, True, "no programming error", observed=seen, limit=limit)
    why = f"{seen} calls raised a programming error or broke the contract"
    return held(
        name,
        False,
        why,
        observed=seen,
        limit=limit,
        evidence=lambda: (
            outcomes(view, view.windows, {Outcome.BUG, Outcome.BAD_RESULT})
            or kept_findings(findings)
        ),
    )


def _ended(view: View, workers: Sequence[WorkerFacts]) -> CheckResult:
    """Convict a client that ended its process: there is no worse way to fail a call."""
    found = [
        Contributor(
            outcome=f"{worker.id}: the client {worker.ended}",
            from_s=worker.lost_at_s,
            count=1,
            example={"at_s": worker.lost_at_s, "worker": worker.id, "ended": worker.ended},
        )
        for worker in workers
    ]
    name, count = "predictable_errors", len(workers)
    why = f"{workers[0].id}: the client {workers[0].ended}"
    limit = view.limit(name)
    return held(name, False, why, observed=count, limit=limit, evidence=lambda: found)
