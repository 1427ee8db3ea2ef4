"""client-abort convicts clients that do not survive a cut, each for what it really did."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.conftest import CHECKOUT, Result

SHORT = ("--scenario", "client-abort", "--time-scale", "0.3")

pytestmark = pytest.mark.prove


def failed(found: Result) -> set[str]:
    """Give the names of the checks that failed."""
    checks = found.verdict["checks"] if found.verdict else []
    return {check["name"] for check in checks if check["verdict"] == "FAIL"}


@pytest.mark.parametrize("client", ["desyncs", "returns_dirty"])
def test_a_reply_left_on_the_connection_is_found_out(
    judge: Callable[..., Result], client: str
) -> None:
    """The next caller reads what the one before it was owed: a wrong value, or no reply at all."""
    found = judge(
        [*SHORT, "--client", f"tests.e2e.broken_cutoff:{client}"], timeout_s=120, cwd=CHECKOUT
    )
    assert found.exit_code == 1, found
    assert failed(found) & {"no_wrong_values", "predictable_errors", "error_budget"}, found


def test_a_slot_that_is_never_given_back_empties_the_pool(judge: Callable[..., Result]) -> None:
    """Pymemcache's own pool loses a connection with each cut, and never recovers."""
    # More connections than users: only what is lost can run out.
    few = ("-u", "15", "--pool-size", "20", "--target-rate", "500")
    found = judge([*SHORT, *few, "--client", "pymemcache-pooled"], timeout_s=120)
    assert found.exit_code == 1, found
    assert failed(found) & {"predictable_errors", "recovers_within"}, found


def test_the_default_client_survives_every_cut(run_locust: Callable[..., Result]) -> None:
    """Nothing but noise of the machine may keep it from passing."""
    found = run_locust(SHORT, timeout_s=120)
    assert found.exit_code in {0, 3}, found
    assert found.check("no_wrong_values")["verdict"] == "PASS", found
    assert found.check("error_budget")["verdict"] == "PASS", found
    assert found.check("fault_confirmed")["verdict"] == "PASS", found
