"""Figures of made-up runs: each says what happened, to the resolution it can have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from client.operation import Outcome
from telemetry.window import Window
from tests.unit.verdict.made_up_runs import TIMED_OUT, MadeUpRun, run_with_outage
from tests.unit.verdict.test_check_tables import CASES
from tests.unit.verdict.witness_cases import amplified, connecting
from verdict.checks import CHECKS
from verdict.figures import figures
from verdict.view import View


def of(run: MadeUpRun) -> dict[str, float | None]:
    return {name: figure.value for name, figure in figures(View(run.facts())).items()}


def test_an_outage_is_told_from_its_beginning_to_its_end() -> None:
    """Noticed at once, left alone after 0.6 s, back 0.8 s after the heal began."""
    told = of(run_with_outage())
    assert told["detection_time_hole1"] == pytest.approx(0.0)
    assert told["time_to_fail_fast_hole1"] == pytest.approx(0.4)
    assert told["recovery_time_node2"] == pytest.approx(0.6)
    assert told["time_to_recover"] == pytest.approx(0.6)


def test_depth_and_area_are_what_the_dead_node_would_have_done() -> None:
    """A third of the operations, for the 10.8 s in which its calls failed."""
    told = of(run_with_outage())
    assert told["throughput_dip"] == pytest.approx(1 / 3)
    assert told["operations_missing"] == pytest.approx(200 * 10.8, rel=0.1)


def test_what_a_fault_spares_is_no_collateral_damage() -> None:
    """Errors of the dead node are its own."""
    told = of(run_with_outage())
    assert (told["collateral_errors"], told["collateral_operations_missing"]) == (0, 0)


def test_what_happens_to_other_nodes_meanwhile_is_collateral_damage() -> None:
    """Failed calls, and calls that were not made, on a node without a fault."""
    run = run_with_outage().some_calls("node1", 15.0, TIMED_OUT, 5).no_calls("node1", 16, 17)
    told = of(run)
    assert told["collateral_errors"] == 5
    assert told["collateral_operations_missing"] == 205


def test_reconnects_are_those_of_the_second_after_the_heal() -> None:
    """As the server counts them."""
    assert of(connecting(14))["reconnects_on_heal_node2"] == 14


def test_amplification_is_the_worst_that_was_seen() -> None:
    """Commands for each call, a quarter of a second granted for the moment of reading."""
    told = of(MadeUpRun(20).poke(amplified(2.0)))
    assert told["retry_amplification"] == pytest.approx(2.0, abs=0.1)


def test_a_run_without_faults_has_no_figures_of_faults() -> None:
    """Nothing was healed, so nothing reconnected or recovered."""
    told = of(MadeUpRun(20))
    assert not [name for name in told if name.startswith(("reconnects", "collateral", "time_to"))]


BURNS = [
    pytest.param(0, 0.0, 0.0, 0.0, id="no error"),
    pytest.param(6, 6 / 10_800 / 0.001, 10.0, 0.0, id="just below the page level in one second"),
    pytest.param(9, 9 / 10_800 / 0.001, 15.0, 1.0, id="one second that would page"),
]


@pytest.mark.parametrize(("errors", "burn", "peak", "paging"), BURNS)
def test_the_burn_is_the_error_rate_against_the_budget(
    errors: int, burn: float, peak: float, paging: float
) -> None:
    """600 operations a second against a budget of 0.1 %: 9 errors in a second burn 15 times it."""
    told: dict[str, Any] = of(MadeUpRun(20).some_calls("node1", 5.0, TIMED_OUT, errors))
    assert told["error_budget_burn"] == pytest.approx(burn)
    assert told["error_budget_burn_peak"] == pytest.approx(peak)
    assert told["error_budget_page_time"] == paging


def test_a_cold_cache_is_full_again_at_95_percent_of_its_hits() -> None:
    """The whole second in which it was, counted from the heal."""
    run = MadeUpRun().fault("node2", effects=("cold",))

    def cold(windows: dict[int, Window]) -> None:
        for second in range(20, 25):
            window = windows[second]
            hit = window.cells.pop(("get", "node2", Outcome.HIT))
            window.cells["get", "node2", Outcome.MISS].add(hit)
            window.cells["get", "node2", Outcome.MISS].hits = 0

    assert of(run.poke(cold))["refill_time_node2"] == pytest.approx(4.9)


RECOVERIES = [row for row in CASES if row[0] == "recovers_within"]


@pytest.mark.parametrize(
    ("make", "ruling"),
    [pytest.param(make, ruling, id=case) for _, case, make, ruling in RECOVERIES],
)
def test_figures_of_recovery_say_what_the_check_says(
    make: Callable[[], MadeUpRun], ruling: str
) -> None:
    """No figure is within the limit where the check convicts, and none beyond it where it holds."""
    view = View(make().facts())
    result, limit = CHECKS["recovers_within"](view), view.limit("recovers_within")
    told = {name: figure.value for name, figure in figures(view).items()}
    times = [value for name, value in told.items() if name.startswith("recovery_time_")]
    whole = told.get("time_to_recover")
    if ruling == "PASS":
        assert max(times) == result.observed
        assert whole is not None
        assert whole <= limit
    elif ruling == "FAIL":
        assert any(value is None or value > limit for value in times)
        assert whole is None or whole > limit
    else:
        assert all(value is None or value > limit for value in times)


def test_a_node_that_is_not_asked_any_more_has_no_time_of_recovery() -> None:
    """It fails no more, and it has not recovered: 0 s would praise the client."""
    told = of(run_with_outage().no_calls("node2", 21, 40))
    assert told["recovery_time_node2"] is None
    assert told["time_to_recover"] is None


def test_a_late_failure_counts_in_full() -> None:
    """The time to recover has no ceiling at the limit of the check."""
    told = of(run_with_outage().some_calls("node2", 35.0, TIMED_OUT, 3))
    assert told["recovery_time_node2"] == pytest.approx(35.0 - 20.1)
    assert told["time_to_recover"] == pytest.approx(35.0 - 20.1)
