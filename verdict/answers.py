"""How a check puts its answer: the four rulings, and the worst of several parts.

A check with several parts (three nodes, errors and latency) answers with the part that decides:
the worst ruling, and within it the one furthest over its limit. The rule of a check is the first
line of its docstring; `verdict.verdict` writes it in.
"""

from __future__ import annotations

from collections.abc import Sequence

from verdict.budgets import LIMITS
from verdict.model import CheckResult, Ruling

SEVERITY = {
    Ruling.FAIL: 3,
    Ruling.INCONCLUSIVE: 2,
    Ruling.PASS: 1,
    Ruling.NOT_APPLICABLE: 0,
}
_EVIDENCE_SHOWN = 3


def answer(
    name: str,
    ruling: Ruling,
    why: str,
    *,
    observed: float | None = None,
    limit: float | None = None,
    unit: str | None = None,
) -> CheckResult:
    """Build a result; the unit is that of the check's limit unless told otherwise."""
    return CheckResult(
        name=name,
        verdict=ruling,
        observed=observed,
        limit=limit,
        unit=LIMITS[name].kind.value if unit is None else unit,
        why=why,
    )


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
) -> CheckResult:
    """Say that the run cannot tell."""
    return answer(name, Ruling.INCONCLUSIVE, why, observed=observed, limit=limit, unit=unit)


def held(
    name: str, is_held: bool, why: str, *, observed: float, limit: float, unit: str | None = None
) -> CheckResult:
    """Say PASS or FAIL by whether the rule was held."""
    ruling = Ruling.PASS if is_held else Ruling.FAIL
    return answer(name, ruling, why, observed=observed, limit=limit, unit=unit)


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
    shown = "; ".join(reasons[:_EVIDENCE_SHOWN])
    if len(reasons) > _EVIDENCE_SHOWN:
        shown += f"; and {len(reasons) - _EVIDENCE_SHOWN} more"
    return answer(
        name,
        chosen.verdict,
        shown,
        observed=chosen.observed,
        limit=chosen.limit,
        unit=chosen.unit,
    )


def percent(share: float) -> str:
    """Write a share as a percentage with as many digits as it needs."""
    value = share * 100
    if value and value < 0.1:
        return f"{value:.2g} %"
    return f"{value:.3g} %" if value < 10 else f"{value:.1f} %"
