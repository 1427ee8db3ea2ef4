"""From the facts of a run to its verdict: every check, then the worst of them.

FAIL over INCONCLUSIVE over PASS; what does not apply counts for nothing, and a run in which nothing
applied has proved nothing. A check that crashes is INCONCLUSIVE, never a pass, and takes no other
check down with it.
"""

from __future__ import annotations

import dataclasses
import traceback
from collections.abc import Mapping, Sequence

from client.operation import Outcome
from verdict.answers import SEVERITY, inconclusive
from verdict.checks import CHECKS, Check, rule_of
from verdict.figures import figures
from verdict.model import CheckResult, Figure, Ruling, RunFacts, Verdict
from verdict.view import View


def judge(facts: RunFacts, checks: Mapping[str, Check] = CHECKS) -> Verdict:
    """Judge a run. Never raises: whatever cannot be judged is INCONCLUSIVE."""
    view = View(facts)
    found, trace = _figures(view)
    results = [_run(name, check, view) for name, check in checks.items()]
    return Verdict(
        ruling=worst_of([result.verdict for result in results]),
        checks=tuple(results),
        figures=found,
        totals=_totals(view),
        trace=trace,
    )


def unjudged(why: str, totals: Mapping[str, int], checks: Mapping[str, Check] = CHECKS) -> Verdict:
    """Give the verdict of a run of which too little is left: every check INCONCLUSIVE."""
    results = [
        dataclasses.replace(inconclusive(name, f"the run was {why}"), rule=rule_of(check))
        for name, check in checks.items()
    ]
    return Verdict(ruling=Ruling.INCONCLUSIVE, checks=results, figures={}, totals=totals)


def worst_of(rulings: Sequence[Ruling]) -> Ruling:
    """Give the ruling that wins; INCONCLUSIVE when nothing applied."""
    worst = max(rulings, key=SEVERITY.__getitem__, default=Ruling.NOT_APPLICABLE)
    return Ruling.INCONCLUSIVE if worst is Ruling.NOT_APPLICABLE else worst


def _run(name: str, check: Check, view: View) -> CheckResult:
    try:
        result = check(view)
    except Exception as error:
        line = " ".join(f"{type(error).__name__}: {error}".split())
        result = dataclasses.replace(
            inconclusive(name, f"the check crashed: {line}"), trace=traceback.format_exc()
        )
    return dataclasses.replace(result, rule=rule_of(check))


def _figures(view: View) -> tuple[Mapping[str, Figure], str]:
    try:
        return figures(view), ""
    except Exception:
        # Figures decide nothing, so a crash in one of them must not cost the verdict.
        return {}, traceback.format_exc()


def _totals(view: View) -> dict[str, int]:
    everything = view.total(view.windows)
    told = sum(worker.operations for worker in view.facts.workers)
    return {
        "operations": told if view.facts.workers else everything.operations,
        "keys": everything.keys,
        "errors": everything.failed,
        "wrong_values": view.outcome_count(Outcome.WRONG_VALUE),
    }
