"""Clients broken in their pools and their time: each is convicted, and the honest one is not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from memquake.paths import CHECKOUT
from tests.e2e.controls import CALM, POOLS, SCALED, Control, convicted, parameters

STRANGERS = ["node-blackhole", "single-node-failure", "node-crash"]


@pytest.mark.parametrize("control", parameters(POOLS))
def test_a_broken_pool_is_convicted(judge: Callable, control: Control) -> None:
    """Each FAILs, by a check that is about its fault."""
    result = judge(control.arguments, timeout_s=200, cwd=CHECKOUT)
    assert result.exit_code == 1, str(result)
    assert convicted(result.verdict) & control.checks, str(result)


@pytest.mark.alone
@pytest.mark.prove
@pytest.mark.parametrize("scenario", STRANGERS)
def test_an_honest_stranger_passes(judge: Callable, scenario: str) -> None:
    """A small client without snapshot() and node_for() is judged by its behaviour and passes."""
    arguments = ["--scenario", scenario, *SCALED, *CALM[-4:]]
    client = ["--client", "tests.e2e.honest_client:build"]
    result = judge([*arguments, *client], timeout_s=120, cwd=CHECKOUT)
    assert result.exit_code == 0, str(result)
