"""A whole run to a verdict: worst wins, a crash is no pass, the order is fixed."""

from __future__ import annotations

import pytest

from client.operation import Outcome
from memquake.limits import known_checks
from telemetry.window import Window
from tests.unit.verdict.made_up_runs import TIMED_OUT, MadeUpRun, run_with_outage
from verdict.answers import held, not_applicable
from verdict.model import CheckResult, Ruling
from verdict.verdict import judge, worst_of
from verdict.view import View

PARTIAL = (Outcome.PARTIAL, 300)


def test_steady_run_passes() -> None:
    """A run without faults passes, and every check about faults is not applicable."""
    verdict = judge(MadeUpRun(30).facts())
    assert [c for c in verdict.checks if c.verdict in (Ruling.FAIL, Ruling.INCONCLUSIVE)] == []
    assert verdict.ruling is Ruling.PASS
    assert verdict.exit_code == 0
    about_faults = {"fault_confirmed", "breaker_opens_within", "recovers_within", "no_second_dip"}
    rulings = {check.name: check.verdict for check in verdict.checks}
    assert {rulings[name] for name in about_faults} == {Ruling.NOT_APPLICABLE}


def test_outage_with_a_good_client_passes() -> None:
    """A client that opens its breaker and comes back passes every check that applies."""
    verdict = judge(run_with_outage().batches_all_along(PARTIAL).facts())
    assert [c for c in verdict.checks if c.verdict in (Ruling.FAIL, Ruling.INCONCLUSIVE)] == []
    assert verdict.ruling is Ruling.PASS


def test_time_scaled_outage_passes() -> None:
    """A fault of 4.5 s has too few windows of its own and borrows those after its heal."""
    run = MadeUpRun(32).fault("node2", at=10.0, to=14.5).outage("node2", 10.0, 14.5)
    verdict = judge(run.batches_all_along(PARTIAL).facts())
    assert [c for c in verdict.checks if c.verdict in (Ruling.FAIL, Ruling.INCONCLUSIVE)] == []


def test_every_check_is_listed_in_the_fixed_order_with_its_rule() -> None:
    """No check is dropped, whatever applies, and each says its rule in one line."""
    for facts in (MadeUpRun(3).facts(), run_with_outage().facts()):
        checks = judge(facts).checks
        assert tuple(check.name for check in checks) == known_checks()
        assert all(check.rule and "\n" not in check.rule for check in checks)
        assert all(check.why and "\n" not in check.why for check in checks)


@pytest.mark.parametrize("seconds", [0, 1, 2, 3])
def test_run_that_shows_nothing_is_inconclusive(seconds: int) -> None:
    """Too short a run is never a pass, and no check crashes on it."""
    verdict = judge(MadeUpRun(seconds).facts())
    assert verdict.ruling is Ruling.INCONCLUSIVE
    assert verdict.exit_code == 3
    assert not [check for check in verdict.checks if check.trace]
    assert verdict.trace == ""


@pytest.mark.parametrize(
    ("rulings", "worst"),
    [
        pytest.param(["PASS", "INCONCLUSIVE", "FAIL"], "FAIL", id="fail over all"),
        pytest.param(["PASS", "INCONCLUSIVE"], "INCONCLUSIVE", id="inconclusive over pass"),
        pytest.param(["PASS", "NOT_APPLICABLE"], "PASS", id="not applicable counts for nothing"),
        pytest.param(["NOT_APPLICABLE"], "INCONCLUSIVE", id="nothing applied proves nothing"),
        pytest.param([], "INCONCLUSIVE", id="nothing at all"),
    ],
)
def test_worst_wins(rulings: list[str], worst: str) -> None:
    """FAIL, then INCONCLUSIVE, then PASS."""
    assert worst_of([Ruling(ruling) for ruling in rulings]) is Ruling(worst)


def test_crashed_check_is_inconclusive_and_stops_no_other() -> None:
    """A crash is never a pass; its line is the reason, its traceback is kept."""

    def crashing(view: View) -> CheckResult:
        """Divide by nothing."""
        raise ZeroDivisionError(f"by {len(view.windows) * 0}\nand more")

    def passing(_view: View) -> CheckResult:
        """Hold."""
        return held("no_leaks", True, "fine", observed=0, limit=0)

    verdict = judge(MadeUpRun(30).facts(), {"error_budget": crashing, "no_leaks": passing})
    crashed, passed = verdict.checks
    assert (crashed.name, crashed.verdict) == ("error_budget", Ruling.INCONCLUSIVE)
    assert crashed.why == "the check crashed: ZeroDivisionError: by 0 and more"
    assert "Traceback" in crashed.trace
    assert passed.verdict is Ruling.PASS
    assert verdict.ruling is Ruling.INCONCLUSIVE


def test_only_inapplicable_checks_prove_nothing() -> None:
    """A run in which nothing applied is INCONCLUSIVE."""

    def absent(_view: View) -> CheckResult:
        """Apply to nothing."""
        return not_applicable("no_second_dip", "no fault")

    verdict = judge(MadeUpRun(30).facts(), {"no_second_dip": absent})
    assert verdict.ruling is Ruling.INCONCLUSIVE


def test_totals_are_those_of_the_workers() -> None:
    """The operations of the verdict are the sum of the workers' operations."""
    run = run_with_outage()
    verdict = judge(run.facts())
    assert verdict.totals["operations"] == 40 * 600
    assert verdict.totals["errors"] == 20 * 108
    assert verdict.totals["wrong_values"] == 0


def test_budget_overrides_the_limit_of_its_check() -> None:
    """A budget of 10 ms for recovery convicts a client that took 0.7 s."""
    run = run_with_outage().but(budgets={"recovers_within": 0.01})
    verdict = judge(run.facts())
    failed = {c.name: c for c in verdict.checks if c.verdict is Ruling.FAIL}
    assert set(failed) == {"recovers_within"}
    assert failed["recovers_within"].limit == 0.01


def test_client_without_breaker_is_convicted() -> None:
    """A client that waits for a timeout on every call fails by fails_fast_while_open."""
    run = MadeUpRun().fault("node2").all_calls("node2", 10, 20, TIMED_OUT)
    failed = {c.name for c in judge(run.facts()).checks if c.verdict is Ruling.FAIL}
    assert failed == {"breaker_opens_within", "fails_fast_while_open"}


def test_figures_have_units_and_snake_case_names() -> None:
    """Every figure is named for a dictionary and carries a unit."""
    figures = judge(run_with_outage().facts()).figures
    assert all(name.replace("_", "a").isalnum() and name == name.lower() for name in figures)
    assert all(figure.unit for figure in figures.values())
    assert figures["throughput"].value == pytest.approx(600)
    assert figures["recovery_time_node2"].value == pytest.approx(0.6)
    assert figures["time_to_fail_fast_hole1"].value == pytest.approx(0.4)
    assert figures["throughput_dip"].value == pytest.approx(1 / 3, abs=0.01)


def test_growth_of_memory_is_a_figure_with_the_record_of_the_run() -> None:
    """What `no_leaks` leaves out of it, the harness's own record, is in the sum."""
    facts = MadeUpRun(10).but(timeline_growth=3e6).facts()
    (worker,) = facts.workers
    figures = judge(facts).figures
    assert figures["timeline_memory_growth"].value == 3e6
    assert figures["memory_growth"].value == worker.rss_end - worker.rss_baseline + 3e6 > 3e6


def test_servers_without_counts_are_judged_by_the_rest() -> None:
    """What needs the servers' counts does not apply where they have none, with the reason."""
    run = MadeUpRun(30).but(uncounted={"node1": "it does not answer `stats`"})

    def silent(windows: dict[int, Window]) -> None:
        for window in windows.values():
            window.server.clear()

    verdict = judge(run.poke(silent).facts())
    assert verdict.ruling is Ruling.PASS
    told = {check.name: check for check in verdict.checks}
    for name in ("retry_amplification", "connections_kept", "no_reconnect_storm"):
        assert told[name].verdict is Ruling.NOT_APPLICABLE
        assert "node1 does not count as memcached does" in told[name].why
    assert judge(MadeUpRun(30).poke(silent).facts()).ruling is Ruling.INCONCLUSIVE


def test_a_finding_without_contributors_says_so() -> None:
    """A reader is told that no part of the run is behind it more than another."""

    def bare(view: View) -> CheckResult:
        return held("error_budget", False, "why", observed=1.0, limit=0.0)

    (result,) = judge(MadeUpRun(20).facts(), {"error_budget": bare}).checks
    (found,) = result.evidence
    assert (found.outcome, found.to_s) == ("no operation, node or outcome stands out", 20.0)


def test_a_check_that_crashes_says_so_in_its_evidence() -> None:
    """Wherever only the evidence is read."""

    def crashing(view: View) -> CheckResult:
        raise ZeroDivisionError("no windows")

    (result,) = judge(MadeUpRun(20).facts(), {"error_budget": crashing}).checks
    assert [each.outcome for each in result.evidence] == [
        "the check crashed: ZeroDivisionError: no windows"
    ]
