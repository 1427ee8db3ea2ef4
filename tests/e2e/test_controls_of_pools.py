"""Clients broken in their pools and their time: each is convicted, and the honest one is not.

With those of the ledger, the witnesses, cut-off calls and the first four this makes the table of
negative controls. For `make prove`, but for the honest client, who must always pass.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent.parent
SCALED = ["--time-scale", "0.3", "-u", "40", "--target-rate", "1000"]
HOLE = ["--scenario", "node-blackhole", *SCALED]
# Closed loop, and enough hits for three wrong ones.
MANY_HITS = ["--scenario", "none", "--target-rate", "0", "-t", "90s", "HotKeyUser"]
CONTROLS = [
    pytest.param("slot_leak", HOLE, {"recovers_within", "load_kept"}, id="never gives slots back"),
    pytest.param("late_heal", HOLE, {"recovers_within"}, id="a breaker open for 20 s"),
    pytest.param("stale_after_heal", HOLE, {"recovers_within"}, id="hands out dead connections"),
    pytest.param("rare_wrong_value", MANY_HITS, {"no_wrong_values"}, id="every 100,000th hit"),
]


@pytest.mark.prove
@pytest.mark.parametrize(("name", "arguments", "checks"), CONTROLS)
def test_a_broken_pool_is_convicted(
    judge: Callable, name: str, arguments: list[str], checks: set[str]
) -> None:
    """Each FAILs, by a check that is about its fault."""
    client = ["--client", f"tests.e2e.broken_pools:{name}"]
    result = judge([*arguments, *client], timeout_s=200, cwd=CHECKOUT)
    assert result.exit_code == 1, str(result)
    failed = {check["name"] for check in result.verdict["checks"] if check["verdict"] == "FAIL"}
    assert failed & checks, str(result)


@pytest.mark.prove
@pytest.mark.parametrize("scenario", ["node-blackhole", "single-node-failure", "node-crash"])
def test_an_honest_stranger_passes(judge: Callable, scenario: str) -> None:
    """A small client without snapshot() and node_for() is judged by its behaviour and passes."""
    client = ["--client", "tests.e2e.honest_client:build"]
    result = judge(["--scenario", scenario, *SCALED, *client], timeout_s=120, cwd=CHECKOUT)
    assert result.exit_code == 0, str(result)
