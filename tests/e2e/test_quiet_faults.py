"""Clients that waste connections, nodes or answers, or lie: convicted by the check for it alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.controls import OUTAGE, QUIET, WATCHED, Control, convicted, parameters

CHECKOUT = Path(__file__).resolve().parent.parent.parent
OF_QUIET_FAULTS = frozenset().union(*(control.checks for control in QUIET))


@pytest.mark.parametrize("control", parameters(QUIET))
def test_a_quiet_fault_is_convicted(judge: Callable, control: Control) -> None:
    """Each FAILs by the check that is about its fault, and by no other of these."""
    result = judge(control.arguments, timeout_s=150, cwd=CHECKOUT)
    assert result.exit_code == 1, str(result)
    assert convicted(result.verdict) & OF_QUIET_FAULTS == control.checks, str(result)


@pytest.mark.prove
@pytest.mark.parametrize("client", ["memquake", "tests.e2e.honest_client:build"])
@pytest.mark.parametrize("load", [WATCHED, OUTAGE], ids=["nothing wrong", "a black hole"])
def test_none_of_these_checks_speaks_against_an_honest_client(
    judge: Callable, client: str, load: tuple[str, ...]
) -> None:
    """Whatever else a busy machine makes of the run, these do not convict."""
    result = judge([*load, "--client", client], timeout_s=150, cwd=CHECKOUT)
    assert not convicted(result.verdict) & OF_QUIET_FAULTS, str(result)
