"""Shares with their confidence: what `make steadiness` prints."""

from __future__ import annotations

import pytest

from tests.e2e.steadiness import interval, table


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [
        pytest.param(0, 60, 0.0, 0.0602, id="none of 60 may still be one of 17"),
        pytest.param(2, 60, 0.0092, 0.1136, id="two of 60"),
        pytest.param(5, 10, 0.2366, 0.7634, id="half of few"),
        pytest.param(10, 10, 0.7225, 1.0, id="all of few"),
        pytest.param(0, 0, 0.0, 1.0, id="nothing is known of nothing"),
    ],
)
def test_an_interval_is_wilsons(count: int, of: int, low: float, high: float) -> None:
    """Figures from the formula in Wilson (1927), by hand."""
    assert interval(count, of) == pytest.approx((low, high), abs=1e-4)


def test_a_table_has_each_verdict_and_the_checks_left_open() -> None:
    """Kinds apart, FAIL at 0 too: that none was seen is what is asked for."""
    open_one = {"scenario": "x", "name": "steady_baseline", "verdict": "INCONCLUSIVE", "why": ""}
    results = [
        {"kind": "single", "verdict": "PASS", "open": []},
        {"kind": "single", "verdict": "INCONCLUSIVE", "open": [open_one]},
        {"kind": "suite", "verdict": "exit code 2", "open": []},
    ]
    lines = table(results).splitlines()
    assert [line.split()[:2] for line in lines[:3]] == [
        ["single", "PASS"],
        ["single", "INCONCLUSIVE"],
        ["single", "FAIL"],
    ]
    assert "0 of 2" in lines[2]
    assert lines[3].split() == ["single", "1", "x", "steady_baseline", "INCONCLUSIVE"]
    assert any("exit code 2" in line and "1 of 1" in line for line in lines)
