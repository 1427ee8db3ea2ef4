"""Folding changes no verdict: long runs judged second by second, and from what is left of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from telemetry import window_store
from telemetry.histogram import bucket_of
from telemetry.window import Window
from telemetry.window_store import WindowStore
from tests.unit.verdict.connection_cases import churning
from tests.unit.verdict.ledger_cases import happened
from tests.unit.verdict.made_up_runs import MISSED, TIMED_OUT, MadeUpRun
from verdict.model import CheckResult, NodeChange, Ruling, RunFacts
from verdict.verdict import judge

SECONDS = 420
Change = Callable[[MadeUpRun], object]


def folded(facts: RunFacts) -> RunFacts:
    """Send the windows of a run through the store, as the timeline does."""
    store = WindowStore()
    for window in facts.windows:
        held = store.at(window.second)
        for field in dataclasses.fields(Window):
            setattr(held, field.name, getattr(window, field.name))
        store.settle(window.second)
    windows = list(store.windows(facts.windows[-1].second))
    assert len(windows) < 0.6 * len(facts.windows)
    return dataclasses.replace(facts, windows=windows)


def words(check: CheckResult) -> tuple[str, str]:
    return check.name, str(check.verdict)


def late_hub(run: MadeUpRun, *seconds: int) -> None:
    """Let the generator be late, and calls time out by that alone."""
    run.pokes.append(
        lambda windows: [windows[second].lag.update({bucket_of(60_000): 50}) for second in seconds]
    )
    for second in seconds:
        run.some_calls("node1", second + 0.5, TIMED_OUT, 12)


def failing(run: MadeUpRun, *, each: int, calls: int) -> None:
    for second in range(80, SECONDS, each):
        run.some_calls("node2", second + 0.3, TIMED_OUT, calls)


CASES: dict[str, Change] = {
    "steady": lambda run: None,
    "errors within the budget": lambda run: failing(run, each=60, calls=2),
    "errors over the budget": lambda run: failing(run, each=20, calls=12),
    "an outage of three seconds": lambda run: run.all_calls("node1", 200, 203, TIMED_OUT),
    "misses all along": lambda run: [
        run.all_calls("node3", s, s + 0.1, MISSED) for s in range(60, SECONDS)
    ],
    "no load for a while": lambda run: [run.no_calls(node, 150, 190) for node in run.names],
    "a connection for each call": lambda run: run.poke(churning(200, end=SECONDS)),
    "a connection for 100 calls": lambda run: run.poke(churning(2, end=SECONDS)),
    "a late generator": lambda run: late_hub(run, *range(100, SECONDS, 30)),
}


@pytest.mark.parametrize("case", CASES)
def test_a_folded_run_is_judged_as_the_whole(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every check says the same, and counts the same operations."""
    monkeypatch.setattr(window_store, "RECENT_S", 40)
    monkeypatch.setattr(window_store, "START_S", 20)
    run = MadeUpRun(SECONDS)
    CASES[case](run)
    whole = judge(run.facts())
    part = judge(folded(run.facts()))
    assert [words(check) for check in part.checks] == [words(check) for check in whole.checks]
    assert part.totals == whole.totals
    for name in ("error_budget", "deadline_kept", "no_wrong_values"):
        observed = [next(c.observed for c in v.checks if c.name == name) for v in (whole, part)]
        assert observed[0] == pytest.approx(observed[1])
    for name in ("throughput", "error_rate_baseline", "hit_ratio_baseline", "service_p99"):
        assert part.figures[name].value == pytest.approx(whole.figures[name].value, rel=0.02)


def test_what_others_did_to_a_node_leaves_no_calls_beside_all_commands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Calls of a folded window that decides nothing are left out with what servers counted then."""
    monkeypatch.setattr(window_store, "RECENT_S", 40)
    monkeypatch.setattr(window_store, "START_S", 20)
    run = MadeUpRun(SECONDS)
    for at in range(105, 340, 40):  # and 7 s to recover: inside one window of 20 s
        run = happened(run, NodeChange.AWAY, at, at + 1.0, "node1")
    verdict = judge(folded(run.facts()))
    found = {check.name: check for check in verdict.checks}
    assert found["retry_amplification"].verdict is Ruling.PASS, found["retry_amplification"].why
