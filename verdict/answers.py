"""How a check puts its answer: the four rulings, and the worst of several parts.

A check with several parts (three nodes, errors and latency) answers with the part that decides:
the worst ruling, and within it the one furthest over its limit. The rule of a check is the first
line of its docstring; `verdict.verdict` writes it in.
"""

from __future__ import annotations

import dataclasses
import traceback
from collections.abc import Callable, Sequence

from memquake.limits import LIMITS
from verdict.model import CheckResult, Contributor, Ruling

SEVERITY = {
    Ruling.FAIL: 3,
    Ruling.INCONCLUSIVE: 2,
    Ruling.PASS: 1,
    Ruling.NOT_APPLICABLE: 0,
}
_REASONS_SHOWN = 3
MOST_CONTRIBUTORS = 3

Evidence = Callable[[], Sequence[Contributor]]
"""Finds the largest contributors; called only for a result that needs them."""

NEEDS_EVIDENCE = frozenset({Ruling.FAIL, Ruling.INCONCLUSIVE})


def answer(
    name: str,
    ruling: Ruling,
    why: str,
    *,
    observed: float | None = None,
    limit: float | None = None,
    unit: str | None = None,
    evidence: Evidence | None = None,
) -> CheckResult:
    """Build a result; the unit is that of the check's limit unless told otherwise."""
    result = CheckResult(
        name=name,
        verdict=ruling,
        observed=observed,
        limit=limit,
        unit=LIMITS[name].kind.value if unit is None else unit,
        why=why,
    )
    return result if evidence is None else with_evidence(result, evidence)


def with_evidence(result: CheckResult, evidence: Evidence) -> CheckResult:
    """Add the contributors to a FAIL or INCONCLUSIVE that has fewer than it may name."""
    room = MOST_CONTRIBUTORS - len(result.evidence)
    if result.verdict not in NEEDS_EVIDENCE or room <= 0:
        return result
    try:
        found = evidence()
    except Exception:
        # Evidence decides nothing, so a crash in it must not cost the ruling.
        return dataclasses.replace(result, trace=traceback.format_exc())
    new = [each for each in found if each not in result.evidence]
    return dataclasses.replace(result, evidence=(*result.evidence, *new[:room]))


def not_applicable(name: str, why: str) -> CheckResult:
    """Say that the check has nothing to do with this run."""
    return answer(name, Ruling.NOT_APPLICABLE, why)


def inconclusive(
    name: str,
    why: str,
    *,
    observed: float | None = None,
    limit: float | None = None,
    unit: str | None = None,
    evidence: Evidence | None = None,
) -> CheckResult:
    """Say that the run cannot tell."""
    ruling = Ruling.INCONCLUSIVE
    return answer(name, ruling, why, observed=observed, limit=limit, unit=unit, evidence=evidence)


def held(
    name: str,
    is_held: bool,
    why: str,
    *,
    observed: float,
    limit: float,
    unit: str | None = None,
    evidence: Evidence | None = None,
) -> CheckResult:
    """Say PASS or FAIL by whether the rule was held."""
    ruling = Ruling.PASS if is_held else Ruling.FAIL
    return answer(name, ruling, why, observed=observed, limit=limit, unit=unit, evidence=evidence)


def _excess(result: CheckResult) -> float:
    """Give how close to its limit, or how far over it, a part is; 1 is the limit itself.

    Some limits are ceilings and some are floors: the ruling tells which.
    """
    if result.observed is None or result.limit is None:
        return 0.0
    above, below = sorted((result.observed, result.limit), reverse=True)
    if result.verdict is Ruling.FAIL:
        return above / below if below else above + 1
    return below / above if above else 0.0


def worst(name: str, parts: Sequence[CheckResult]) -> CheckResult:
    """Give the part that decides, with the evidence of its equals beside it."""
    if not parts:
        return inconclusive(name, "nothing to judge by")
    top = max(SEVERITY[part.verdict] for part in parts)
    equals = sorted(
        (part for part in parts if SEVERITY[part.verdict] == top), key=_excess, reverse=True
    )
    chosen = equals[0]
    if chosen.verdict is Ruling.PASS or len(equals) == 1:
        return chosen
    reasons = list(dict.fromkeys(part.why for part in equals))
    shown = "; ".join(reasons[:_REASONS_SHOWN])
    if len(reasons) > _REASONS_SHOWN:
        shown += f"; and {len(reasons) - _REASONS_SHOWN} more"
    return dataclasses.replace(
        chosen, name=name, why=shown, evidence=_taken_in_turn([part.evidence for part in equals])
    )


def _taken_in_turn(found: Sequence[Sequence[Contributor]]) -> tuple[Contributor, ...]:
    """Give the largest contributor of each part, then the second of each, as many as are shown."""
    ranks = range(max(map(len, found), default=0))
    in_turn = [part[rank] for rank in ranks for part in found if rank < len(part)]
    kept: list[Contributor] = []
    for each in in_turn:
        if each not in kept:
            kept.append(each)
    return tuple(kept[:MOST_CONTRIBUTORS])


def percent(share: float) -> str:
    """Write a share as a percentage with as many digits as it needs."""
    value = share * 100
    if value and value < 0.1:
        return f"{value:.2g} %"
    return f"{value:.3g} %" if value < 10 else f"{value:.1f} %"
