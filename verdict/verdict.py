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
from verdict.answers import SEVERITY, inconclusive, not_applicable, with_evidence
from verdict.checks import CHECKS, Check, rule_of
from verdict.compare import taken_back
from verdict.figures import figures
from verdict.model import CheckResult, Contributor, Figure, Ruling, RunFacts, Verdict
from verdict.node_events import (
    hid_faults,
    incidents,
    met_with_faults,
    notes,
    resets,
    without_disturbed,
    words_of,
)
from verdict.view import View

WHOLE_RUN = frozenset({"no_wrong_values", "predictable_errors", "enough_requests"})
"""Checks of single answers, which no node that goes away makes wrong, and of what was sent."""

RAISED_BY_ABSENCE = frozenset({"predictable_errors"})
"""Checks of the whole run whose findings may all come of a node that went away."""

LASTING = frozenset({"no_leaks", "no_false_misses"})
"""Checks of what a node that went away may leave behind for the rest of a run: connections that a
library forgets to close, keys that it has moved."""

OF_PROCESSES = frozenset({"predictable_errors", "hub_not_blocked"})
"""Checks that hold against a client what it did to a process that is gone."""

OF_COUNTS = frozenset({"retry_amplification", "connections_kept", "no_reconnect_storm"})
"""Checks of what the servers themselves have counted."""

OF_FAULTS = frozenset(
    {
        *("breaker_opens_within", "fails_fast_while_open", "batches_fail_fast"),
        *("breaker_spares_healthy_nodes", "unaffected_nodes_healthy", "no_masked_misses"),
        *("recovers_within", "after_recovery_as_before", "no_second_dip", "no_reconnect_storm"),
        *("retry_amplification", "batches_kept", "all_faults_healed"),
    }
)
"""Checks of how a client bears a fault: a node that goes away by itself in the middle of it makes
them fail for any client, or hides what would make them fail."""


def judge(facts: RunFacts, checks: Mapping[str, Check] = CHECKS) -> Verdict:
    """Judge a run. Never raises: whatever cannot be judged is INCONCLUSIVE."""
    if facts.broken_off:
        return _unjudged(facts, checks)
    view = View(facts)
    calm = without_disturbed(facts)
    judged = view if calm is facts else View(calm)
    found, trace = _figures(view)
    results = [_judged(name, check, view, judged) for name, check in checks.items()]
    return Verdict(
        ruling=worst_of([result.verdict for result in results]),
        checks=tuple(results),
        figures=found,
        totals=_totals(view),
        notes=notes(facts),
        trace=trace,
    )


def _unjudged(facts: RunFacts, checks: Mapping[str, Check]) -> Verdict:
    """Return the verdict of a run of which too little is left: every check INCONCLUSIVE.

    But for what the client did to its processes, which their last stacks say.
    """
    why, view = f"the run was {facts.stopped_early}", View(facts)
    results = []
    for name, check in checks.items():
        result = _run(name, check, view) if name in OF_PROCESSES else None
        if result is None or result.verdict is not Ruling.FAIL:
            result = dataclasses.replace(_stated(name, why), rule=rule_of(check))
        results.append(result)
    ruling = worst_of([result.verdict for result in results])
    return Verdict(ruling=ruling, checks=results, figures={}, totals=facts.totals)


def _stated(name: str, why: str) -> CheckResult:
    """Return INCONCLUSIVE for a reason that lies in no part of the run."""
    return inconclusive(name, why, evidence=lambda: [Contributor(outcome=why)])


def worst_of(rulings: Sequence[Ruling]) -> Ruling:
    """Give the ruling that wins; INCONCLUSIVE when nothing applied."""
    worst = max(rulings, key=SEVERITY.__getitem__, default=Ruling.NOT_APPLICABLE)
    return Ruling.INCONCLUSIVE if worst is Ruling.NOT_APPLICABLE else worst


def _judged(name: str, check: Check, view: View, calm: View) -> CheckResult:
    """Judge the whole run, or what is left of it without the seconds that decide nothing."""
    result = _run(name, check, view if name in WHOLE_RUN else calm)
    if result.verdict is not Ruling.FAIL:
        return result
    is_doubtful = name in LASTING or (
        name in RAISED_BY_ABSENCE and _run(name, check, calm).verdict is not Ruling.FAIL
    )
    if is_doubtful and (met := incidents(view.facts)):
        return taken_back(result, words_of(met), *(each.contributor for each in met))
    if is_doubtful and view.facts.is_void:
        return taken_back(result, view.facts.stopped_early)
    return result


def _run(name: str, check: Check, view: View) -> CheckResult:
    if name in OF_COUNTS and (uncounted := view.facts.uncounted):
        node, why = next(iter(uncounted.items()))
        result = not_applicable(name, f"{node} does not count as memcached does: {why}")
        return dataclasses.replace(result, rule=rule_of(check))
    try:
        result = check(view)
    except Exception as error:
        line = " ".join(f"{type(error).__name__}: {error}".split())
        result = dataclasses.replace(
            _stated(name, f"the check crashed: {line}"), trace=traceback.format_exc()
        )
    if name in OF_COUNTS and result.verdict is Ruling.PASS and (begun_anew := resets(view.facts)):
        first = begun_anew[0]
        why = f"{first.node}: its statistics were reset at {first.from_s:.0f} s, and counts with it"
        result = taken_back(result, why, Contributor(outcome=why, node=first.node))
    if name in OF_FAULTS and result.verdict in (Ruling.FAIL, Ruling.PASS):
        failed = result.verdict is Ruling.FAIL
        if met := met_with_faults(view.facts) if failed else hid_faults(view.facts):
            result = taken_back(result, words_of(met), *(each.contributor for each in met))
    result = with_evidence(result, lambda: () if result.evidence else _nothing_stands_out(view))
    return dataclasses.replace(result, rule=rule_of(check))


def _nothing_stands_out(view: View) -> Sequence[Contributor]:
    """Return what stands for a finding that no group of calls is behind more than another."""
    end = view.facts.duration_s
    return [Contributor(outcome="no operation, node or outcome stands out", from_s=0.0, to_s=end)]


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
