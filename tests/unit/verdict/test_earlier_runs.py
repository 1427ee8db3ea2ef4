"""baseline_kept: what a run may lose against an earlier one, and what the machine excuses."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from telemetry.histogram import bucket_of
from telemetry.window import Window
from tests.unit.verdict.made_up_runs import MS, MadeUpRun, earlier, run_with_outage
from verdict.checks import CHECKS
from verdict.earlier import steady_figures
from verdict.model import CheckResult, EarlierRun
from verdict.verdict import judge
from verdict.view import View

Poke = Callable[[dict[int, Window]], None]


def judged(run: MadeUpRun, then: EarlierRun) -> CheckResult:
    return CHECKS["baseline_kept"](View(run.but(earlier=then).facts()))


def every(change: Callable[[Window], None]) -> MadeUpRun:
    """Give a run of 20 s in which every window is changed."""

    def poke(windows: dict[int, Window]) -> None:
        for window in windows.values():
            change(window)

    return MadeUpRun(20).poke(poke)


def takes(us: int) -> Callable[[Window], None]:
    def change(window: Window) -> None:
        for cell in window.cells.values():
            cell.service = {bucket_of(us): cell.count}

    return change


def late(window: Window) -> None:
    takes(9000)(window)
    window.lag = {bucket_of(12 * MS): 100}


def late_and_busy(window: Window) -> None:
    late(window)
    window.cpu = {"w1": 0.8}


def closed_loop(seconds: int = 20) -> MadeUpRun:
    return MadeUpRun(seconds, paced=False)


CASES: list[tuple[str, Callable[[], MadeUpRun], dict[str, float | None], str, str]] = [
    ("p50 just within", lambda: every(takes(680)), {}, "PASS", ""),
    ("p50 just over", lambda: every(takes(750)), {}, "FAIL", "p50 0.7"),
    (
        "p50 within 1.5 x",
        lambda: every(takes(2900)),
        {"steady_p50": 2.0, "steady_p99": 2.0},
        "PASS",
        "",
    ),
    (
        "p50 over 1.5 x",
        lambda: every(takes(3100)),
        {"steady_p50": 2.0, "steady_p99": 2.0},
        "FAIL",
        "allowed",
    ),
    ("p99 just within", lambda: every(takes(3300)), {"steady_p50": 3.3}, "PASS", ""),
    ("p99 just over", lambda: every(takes(3700)), {"steady_p50": 3.7}, "FAIL", "p99 3.7"),
    ("faster", lambda: every(takes(50)), {}, "PASS", ""),
    (
        "throughput within the scatter",
        lambda: MadeUpRun(20),
        {"steady_throughput": 640.0},
        "PASS",
        "",
    ),
    ("throughput lost", lambda: MadeUpRun(20), {"steady_throughput": 680.0}, "FAIL", "completed/s"),
    ("hits kept", lambda: MadeUpRun(20), {"hit_ratio_baseline": 0.97}, "PASS", ""),
    (
        "a twentieth of the hits lost",
        lambda: MadeUpRun(20),
        {"hit_ratio_baseline": 1.0},
        "PASS",
        "",
    ),
    ("late by the machine", lambda: every(late), {}, "INCONCLUSIVE", "ticker was"),
    ("late by itself", lambda: every(late_and_busy), {}, "FAIL", "p50"),
    (
        "another target rate",
        lambda: MadeUpRun(20),
        {"target_rate": 900.0},
        "INCONCLUSIVE",
        "target rate of 900",
    ),
    (
        "closed loop then",
        lambda: MadeUpRun(20),
        {"target_rate": None},
        "INCONCLUSIVE",
        "target rate of 0",
    ),
    ("closed loop, as then", closed_loop, {"target_rate": None}, "PASS", ""),
    (
        "closed loop, two thirds",
        closed_loop,
        {"target_rate": None, "steady_throughput": 890.0},
        "PASS",
        "",
    ),
    (
        "closed loop, half",
        closed_loop,
        {"target_rate": None, "steady_throughput": 1200.0},
        "FAIL",
        "completed/s",
    ),
    (
        "closed loop, other users",
        closed_loop,
        {"target_rate": None, "users": 80.0},
        "INCONCLUSIVE",
        "80 users",
    ),
    ("paced, other users", lambda: MadeUpRun(20), {"users": 80.0}, "PASS", ""),
    (
        "made before this was kept",
        lambda: MadeUpRun(20),
        {"steady_p99": None},
        "INCONCLUSIVE",
        "new baseline",
    ),
    ("too short", lambda: MadeUpRun(6), {}, "INCONCLUSIVE", "5 needed"),
    ("the fault itself counts for nothing", run_with_outage, {}, "PASS", ""),
]


@pytest.mark.parametrize(
    ("make", "then", "ruling", "said"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_what_may_differ(
    make: Callable[[], MadeUpRun], then: dict[str, float | None], ruling: str, said: str
) -> None:
    """Medians within 1.5 x or a slack, 95 % of the throughput; a busier machine convicts nobody."""
    result = judged(make(), earlier(**then))
    assert result.verdict.value == ruling, result
    assert said in result.why


def test_hits_lost_beyond_the_allowance_fail() -> None:
    """The hit ratio may fall by a twentieth, and not by more."""

    def colder(windows: dict[int, Window]) -> None:
        for window in windows.values():
            for cell in window.cells.values():
                cell.hits = cell.hits * 9 // 10

    result = judged(MadeUpRun(20).poke(colder), earlier())
    assert result.verdict.value == "FAIL"
    assert "hit ratio" in result.why


def test_a_run_holds_its_own_figures() -> None:
    """Whatever run is taken as baseline, the same run again keeps it."""
    for run in (MadeUpRun(20), closed_loop(), run_with_outage()):
        facts = run.facts()
        figures = {n: f.value for n, f in judge(facts).figures.items() if f.value is not None}
        then = EarlierRun(scenario="x", client="memquake", name="then", figures=figures)
        assert judged(run, then).verdict.value == "PASS"


def test_a_budget_allows_more() -> None:
    """--budget baseline_kept=3 allows three times the latency."""
    run = every(takes(5900)).but(budgets={"baseline_kept": 3.0})
    assert judged(run, earlier(steady_p50=2.0, steady_p99=2.0)).verdict.value == "PASS"


def test_figures_of_an_empty_run() -> None:
    """A run without windows has the figures, without values."""
    figures = steady_figures(View(MadeUpRun(0).facts()))
    assert {name for name, figure in figures.items() if figure.value is not None} == {"users"}
