"""client-abort convicts clients that do not survive a cut, each for what it really did."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from memquake.paths import CHECKOUT
from tests.e2e.conftest import Result
from tests.e2e.controls import ABORT, CUT_OFF, LOSES_SLOTS, Control, convicted, parameters


@pytest.mark.parametrize("control", parameters([*CUT_OFF, LOSES_SLOTS]))
def test_what_a_cut_leaves_behind_is_found_out(
    judge: Callable[..., Result], control: Control
) -> None:
    """The next caller reads what was owed to another, finds no connection, or opens a new one."""
    found = judge(control.arguments, timeout_s=120, cwd=CHECKOUT)
    assert found.exit_code == 1, found
    assert convicted(found.verdict) & control.checks, found


@pytest.mark.prove
def test_the_default_client_survives_every_cut(run_locust: Callable[..., Result]) -> None:
    """Nothing but noise of the machine may keep it from passing."""
    found = run_locust(ABORT, timeout_s=120)
    assert found.exit_code in {0, 3}, found
    assert found.check("no_wrong_values")["verdict"] == "PASS", found
    assert found.check("error_budget")["verdict"] == "PASS", found
    assert found.check("fault_confirmed")["verdict"] == "PASS", found
