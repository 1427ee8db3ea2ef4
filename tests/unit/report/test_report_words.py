"""Numbers and axes as people read them."""

from __future__ import annotations

import math

import pytest

from report.scales import linear_scale, log_scale, time_scale, time_ticks
from report.words import headline, limit_text, plain, quantity, tally
from verdict.model import CheckResult, Ruling, Verdict


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "s", "-"),
        (0.001, "share", "0.1 %"),
        (0.95, "share", "95 %"),
        (0.00012, "share", "0.01 %"),
        (0.0123, "s", "12.3 ms"),
        (1.5, "s", "1.5 s"),
        (10.0, "s", "10 s"),
        (0, "s", "0 s"),
        (1234567, "count", "1,234,567"),
        (0.2134, "ms", "0.21 ms"),
        (1999.6, "ops/s", "2,000 ops/s"),
        (1.2, "x", "1.2 x"),
        (math.inf, "s", "inf s"),
        (math.nan, "count", "nan count"),
    ],
)
def test_quantity(value: float | None, unit: str, text: str) -> None:
    """A number carries its unit and no more digits than it has."""
    assert quantity(value, unit) == text


def result(name: str, verdict: Ruling, observed: float, limit: float, unit: str) -> CheckResult:
    return CheckResult(
        name=name, verdict=verdict, observed=observed, limit=limit, unit=unit, why="because"
    )


@pytest.mark.parametrize(
    ("check", "text"),
    [
        pytest.param(result("x", Ruling.PASS, 1, 2, "s"), "<= 2 s", id="held ceiling"),
        pytest.param(
            result("steady_baseline", Ruling.PASS, 0.31, 0.30, "share"),
            "<= 30 %",
            id="ceiling that a slack beside it was held by",
        ),
        pytest.param(
            result("no_false_misses", Ruling.INCONCLUSIVE, 0, 0.001, "share"),
            "<= 0.1 %",
            id="ceiling of a share that nothing was counted of",
        ),
        pytest.param(result("x", Ruling.FAIL, 3, 2, "s"), "<= 2 s", id="broken ceiling"),
        pytest.param(result("x", Ruling.PASS, 0.99, 0.95, "share"), ">= 95 %", id="held floor"),
        pytest.param(result("x", Ruling.FAIL, 0.5, 0.95, "share"), ">= 95 %", id="broken floor"),
        pytest.param(result("x", Ruling.PASS, 0, 0, "count"), "<= 0", id="nothing of nothing"),
        pytest.param(
            result("load_kept", Ruling.INCONCLUSIVE, 0.5, 0.95, "share"), ">= 95 %", id="by name"
        ),
        pytest.param(
            result("x", Ruling.INCONCLUSIVE, 0.5, 0.95, "share"), ">= 95 %", id="excused floor"
        ),
        pytest.param(
            result("x", Ruling.INCONCLUSIVE, 0.97, 0.9, "share"), "<= 90 %", id="excused ceiling"
        ),
    ],
)
def test_limit_says_its_direction(check: CheckResult, text: str) -> None:
    """A limit is a ceiling or a floor, and says which."""
    assert limit_text(check) == text


def test_headline_is_the_first_deciding_check() -> None:
    """One sentence says why: the first check of the winning ruling."""
    checks = [result("a", Ruling.PASS, 0, 0, "s"), result("b", Ruling.FAIL, 3, 2, "s")]
    failed = Verdict(ruling=Ruling.FAIL, checks=checks, figures={}, totals={})
    assert headline(failed) == "b: because"
    nothing = Verdict(ruling=Ruling.INCONCLUSIVE, checks=[], figures={}, totals={})
    assert headline(nothing) == "No check applied to this run, so it proves nothing."
    assert tally(checks) == "1 failed, 1 passed"


def test_plain_text_holds_nothing_that_moves_a_terminal() -> None:
    """Control characters and lone surrogates are replaced, everything else stays."""
    assert plain("a\x1b[2J\n\x9b\ud800\uffffé") == "a?[2J????é"


@pytest.mark.parametrize("highest", [0.0, 0.3, 1.0, 7.0, 99.9, 100.0, 123456.0])
def test_linear_axis_covers_its_values_with_few_ticks(highest: float) -> None:
    """The axis begins at 0 and ends at a round number not below the highest value."""
    scale = linear_scale(highest, "ops/s")
    ticks = scale.ticks()
    assert scale.high >= highest
    assert 2 <= len(ticks) <= 7
    assert (ticks[0].at, ticks[-1].at) == (0.0, 100.0)
    assert len({tick.label for tick in ticks}) == len(ticks)


@pytest.mark.parametrize(("low", "high"), [(0.2, 500.0), (1.0, 1.0), (0.0001, 60000.0)])
def test_log_axis_covers_its_values(low: float, high: float) -> None:
    """Whole decades, at least one."""
    scale = log_scale(low, high, "ms")
    assert scale.high >= high
    assert scale.high >= 10 * scale.low
    assert 2 <= len(scale.ticks()) <= 7


@pytest.mark.parametrize("end", [1.0, 10.0, 32.0, 150.0, 3600.0, 90000.0, 1e6])
def test_time_axis_has_few_round_moments(end: float) -> None:
    """At most seven labels, from the beginning of the run."""
    ticks = time_ticks(time_scale(0.0, end))
    assert 2 <= len(ticks) <= 13
    assert ticks[0].at == 0.0
    assert len({tick.label for tick in ticks}) == len(ticks)
