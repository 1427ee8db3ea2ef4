"""client-abort convicts clients that do not survive a cut, each for what it really did."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.conftest import Result

SHORT = ("--scenario", "client-abort", "--time-scale", "0.3")

pytestmark = pytest.mark.prove


def test_a_reply_left_on_the_connection_is_a_wrong_value(judge: Callable[..., Result]) -> None:
    """The next caller reads what the one before it was owed."""
    found = judge([*SHORT, "--client", "tests.e2e.broken_cutoff:desyncs"])
    assert found.exit_code == 1, found
    assert found.check("no_wrong_values")["verdict"] == "FAIL", found


def test_a_slot_that_is_never_given_back_empties_the_pool(judge: Callable[..., Result]) -> None:
    """Pymemcache's own pool loses a connection with each cut, and never recovers."""
    found = judge([*SHORT, "--client", "pymemcache-pooled"])
    assert found.exit_code == 1, found
    failed = {c["name"] for c in (found.verdict or {})["checks"] if c["verdict"] == "FAIL"}
    assert failed & {"predictable_errors", "recovers_within"}, found


def test_the_default_client_survives_every_cut(judge: Callable[..., Result]) -> None:
    """Nothing but noise of the machine may keep it from passing."""
    found = judge(SHORT)
    assert found.exit_code in {0, 3}, found
    assert found.check("no_wrong_values")["verdict"] == "PASS", found
    assert found.check("error_budget")["verdict"] == "PASS", found
    assert found.check("fault_confirmed")["verdict"] == "PASS", found
