"""Every check shows what it found, in just the seconds that it speaks of, row by row."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from memquake.limits import known_checks
from tests.unit.verdict.made_up_runs import MadeUpRun, run_with_outage
from tests.unit.verdict.test_check_tables import CASES
from verdict.checks import CHECKS
from verdict.model import CheckResult, Contributor, Ruling, RunFacts
from verdict.view import View

Spans = Sequence[tuple[float, float]]
Make = Callable[[], MadeUpRun]


def whole_run(view: View) -> Spans:
    """From the prefill on, which counts as the second before second 0."""
    return [(-1.0, max(view.facts.duration_s, 1.0))]


def baseline(view: View) -> Spans:
    seconds = view.phases.baseline
    return [(seconds[0], seconds[-1] + 1.0)] if seconds else []


def faults(view: View) -> Spans:
    """From injection to heal, to the ends of the seconds that they begin and end in."""
    return [
        (math.floor(record.injected_at_s), math.ceil(record.healed_at_s or view.phases.load_end))
        for record in view.facts.faults
        if record.injected_at_s is not None
    ] + [(record.planned_at_s, record.planned_end_s) for record in view.facts.faults]


def after_heals(view: View) -> Spans:
    end = view.facts.duration_s
    return [(math.floor(span.heal), end) for span in view.phases.spans] + [*faults(view)]


def heals(view: View) -> Spans:
    return [(span.heal - 1, span.healed + 2) for span in view.phases.spans] + [*faults(view)]


def outside_faults(view: View) -> Spans:
    edges = [0.0, *(t for span in view.phases.spans for t in (span.injected, span.healed))]
    pairs = zip(edges[::2], [*edges[1::2], view.facts.duration_s], strict=True)
    return [(math.floor(begin), math.ceil(end)) for begin, end in pairs]


def steady(view: View) -> Spans:
    """Give the whole seconds that no fault touches, nor the ten seconds after one."""
    seconds = [
        second
        for second in view.phases.full
        if not any(view.phases.touches(s, second, second + 1, 10.0) for s in view.phases.spans)
    ]
    begins = [second for second in seconds if second - 1 not in seconds]
    ends = [second + 1 for second in seconds if second + 1 not in seconds]
    return list(zip(begins, ends, strict=True))


SPANS: dict[str, Callable[[View], Spans]] = {
    "steady_baseline": baseline,
    "baseline_kept": baseline,
    "fault_confirmed": faults,
    "no_masked_misses": faults,
    "breaker_opens_within": faults,
    "fails_fast_while_open": faults,
    "batches_fail_fast": faults,
    "batches_kept": faults,
    "connections_kept": steady,
    "load_spread": lambda view: [(-1.0, 0.0)],
    "load_kept": outside_faults,
    "recovers_within": after_heals,
    "after_recovery_as_before": lambda view: [*after_heals(view), *baseline(view)],
    "no_second_dip": after_heals,
    "no_reconnect_storm": heals,
    "unaffected_nodes_healthy": lambda view: [*after_heals(view), *faults(view), *baseline(view)],
}
"""Where the evidence of a check may lie; anywhere in the run for those not named."""

JUDGED_BY_NODE = ("error_budget", "no_false_misses", "breaker_spares_healthy_nodes")
"""Checks that a fault excuses its own nodes from."""

BAD = [
    pytest.param(name, make, id=f"{name}: {case}")
    for name, case, make, ruling in CASES
    if ruling in ("FAIL", "INCONCLUSIVE")
]


def sampled(facts: RunFacts) -> list[dict[str, object]]:
    """Give a sample of each kind of call in every second, so that a wrong choice would show."""
    return [
        {"at_s": window.second + 0.5, "op": op, "node": node, "outcome": str(outcome), "key": "k"}
        for window in facts.windows
        for op, node, outcome in window.cells
    ]


def judged(name: str, run: MadeUpRun) -> tuple[View, CheckResult]:
    view = View(run.but(samples=sampled(run.facts())).facts())
    return view, CHECKS[name](view)


def is_inside(each: Contributor, spans: Spans) -> bool:
    if each.from_s is None:
        return True
    end = each.from_s if each.to_s is None else each.to_s
    return any(begin <= each.from_s and end <= until for begin, until in spans)


@pytest.mark.parametrize(("name", "make"), BAD)
def test_what_was_found_is_shown_in_its_own_seconds(name: str, make: Make) -> None:
    """Each FAIL and INCONCLUSIVE names one to three contributors, none outside its windows."""
    view, result = judged(name, make())
    assert not result.trace, result.trace
    assert 1 <= len(result.evidence) <= 3, result.why
    assert "first: " not in result.why  # the evidence has the example
    spans = SPANS.get(name, whole_run)(view)
    for each in result.evidence:
        assert is_inside(each, spans), (each, spans)
        assert each.outcome
        assert each.share is None or 0 <= each.share <= 1
        at = each.example.get("at_s")
        if at is not None and each.from_s is not None and each.to_s is not None:
            assert each.from_s <= at <= each.to_s, each


@pytest.mark.parametrize(("name", "make"), [row for row in BAD if row.values[0] in JUDGED_BY_NODE])
def test_no_node_is_shown_in_seconds_that_excuse_it(name: str, make: Make) -> None:
    """A fault excuses its own nodes, so nothing of them is shown from its seconds."""
    view, result = judged(name, make())
    for each in result.evidence:
        if each.node and each.from_s is not None and each.to_s is not None:
            assert not view.phases.is_affected(
                each.node, each.from_s, each.to_s, view.recovery_s
            ), each


def test_every_check_has_shown_something() -> None:
    """No check is without a row that needs evidence."""
    assert {row.values[0] for row in BAD} == set(known_checks())


def test_false_misses_show_one_from_outside_the_fault() -> None:
    """A miss inside the fault, found first, is no evidence for misses after it."""
    run = run_with_outage(60)
    operations = sum(sum(fates.values()) for fates in run.tenths.values())
    usual = run.worker().ledger
    assert usual is not None
    kept = [
        {"kind": "masked_miss", "key": f"k{s}", "node": "node2", "read_s": s, "at_s": s}
        for s in (12, 40)
    ]
    ledger = dataclasses.replace(
        usual, masked=[("node2", 5, 2), ("node2", 12, 40), ("node2", 40, 30)], evidence=kept
    )
    result = CHECKS["no_false_misses"](
        View(run.but(workers=[run.worker(operations, ledger=ledger)]).facts())
    )
    assert result.verdict is Ruling.FAIL
    found, before = result.evidence
    assert (before.from_s, before.to_s, before.count, before.example) == (5, 6, 2, {})
    assert (found.node, found.from_s, found.to_s, found.count) == ("node2", 40, 41, 30)
    assert found.example["key"] == "k40"


WRONG = {"key": "k:7", "node": "node1", "what": "a value of k:8"}


@pytest.mark.parametrize(
    ("name", "facts", "ledger"),
    [
        pytest.param("no_wrong_values", {"wrong_values": [WRONG]}, {}, id="wrong value"),
        pytest.param(
            "predictable_errors", {"findings": [{"kind": "bad_result", **WRONG}]}, {}, id="result"
        ),
        pytest.param("no_lost_updates", {}, {"wrong_updates": 1}, id="lost_update"),
        pytest.param("no_stale_reads", {}, {"stale": 1}, id="stale_read"),
        pytest.param("no_lost_writes", {}, {"lost": [("node1", 7, 1)]}, id="lost_write"),
        pytest.param("ttl_kept", {}, {"outlived": 1}, id="outlived"),
        pytest.param("no_false_misses", {}, {"masked": [("node1", 7, 50)]}, id="masked_miss"),
    ],
)
def test_the_example_stands_in_the_evidence_alone(
    request: pytest.FixtureRequest, name: str, facts: dict[str, Any], ledger: dict[str, Any]
) -> None:
    """The sentence says how many; key, node and what was found are in the line below it."""
    run, kind = MadeUpRun(20), request.node.callspec.id
    usual = run.worker().ledger
    assert usual is not None
    case = {"kind": kind, "at_s": 7, "read_s": 7, "acknowledged_s": 7, **WRONG}
    told = dataclasses.replace(usual, evidence=[case], **ledger)
    worker = run.worker(12_000, ledger=told)
    result = CHECKS[name](View(run.but(workers=[worker], **facts).facts()))
    assert result.verdict is Ruling.FAIL
    assert result.evidence[0].example["key"] == "k:7"
    assert "k:7" not in result.why


def test_stale_reads_are_counted_where_they_were_found() -> None:
    """All of them, not only those that were kept, by node and before and after a fault."""
    run = run_with_outage(40)
    operations = sum(sum(fates.values()) for fates in run.tenths.values())
    usual = run.worker().ledger
    assert usual is not None
    ledger = dataclasses.replace(
        usual,
        stale=90,
        places=[("stale_read", "node1", 4, 60), ("stale_read", "node1", 30, 30)],
        evidence=[{"kind": "stale_read", "key": "k30", "node": "node1", "at_s": 30}],
    )
    view = View(run.but(workers=[run.worker(operations, ledger=ledger)]).facts())
    result = CHECKS["no_stale_reads"](view)
    assert result.verdict is Ruling.FAIL
    assert [(c.node, c.from_s, c.to_s, c.count) for c in result.evidence] == [
        ("node1", 4, 5, 60),
        ("node1", 30, 31, 30),
    ]
    assert [c.example.get("key") for c in result.evidence] == [None, "k30"]
