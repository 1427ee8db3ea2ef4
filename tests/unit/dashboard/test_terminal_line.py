"""The live line: what it says, and that it fits."""

from __future__ import annotations

import re
from typing import Any

import pytest

from dashboard.terminal import active_faults, line


def state(**changes: Any) -> dict[str, Any]:
    base = {
        "t": 12.0,
        "planned_s": 48.0,
        "phase": "testing",
        "numbers": {
            "ops": 1998.4,
            "error_rate": 0.0312,
            "service_p50_ms": 0.31,
            "service_p99_ms": 2.14,
        },
        "nodes": [
            {"name": "node1", "breaker": "closed"},
            {"name": "node2", "breaker": "open"},
            {"name": "node3"},
        ],
        "faults": [{"kind": "down", "nodes": ["node2"], "state": "active"}],
    }
    return base | changes


def test_the_line_says_where_the_run_is() -> None:
    """Progress, phase, figures, nodes and the fault in force."""
    text = line(state(), active_faults(state()), color=False, width=200)
    assert text == (
        "[#####...............] 12/48 s testing  1,998 op/s  3.1 % errors  p50 0.31 p99 2.1 ms"
        "  FAULT down node2  node1+ node2x node3"
    )


@pytest.mark.parametrize("width", [20, 80, 120])
def test_the_line_fits_the_terminal(width: int) -> None:
    """Colours take no columns."""
    text = line(state(), "down node2", color=True, width=width)
    assert len(re.sub(r"\x1b\[[0-9;]*[mK]", "", text)) <= width


def test_healed_faults_are_not_in_force() -> None:
    """Only injected and confirmed faults count."""
    healed = [{"kind": "down", "nodes": ["node2"], "state": "healed"}]
    assert active_faults(state(faults=healed)) == ""


def test_nothing_measured_yet() -> None:
    """Before the first second there is no figure, and no zero that looks like one."""
    numbers = {"ops": 0.0, "error_rate": 0.0, "service_p50_ms": None, "service_p99_ms": None}
    text = line(state(numbers=numbers, planned_s=None), "", color=False, width=200)
    assert "p50 - p99 - ms" in text
