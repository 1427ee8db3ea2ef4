"""Clients that waste connections, nodes or answers, or lie: convicted by the check for it alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from memquake.paths import CHECKOUT
from tests.e2e.controls import HOLE, OUTAGE, QUIET, WATCHED, Control, convicted, parameters

PAST = "goes past the proxy"
LIGHT_HOLE = (*HOLE, "-u", "10", "--target-rate", "300")
OF_QUIET_FAULTS = frozenset().union(*(control.checks for control in QUIET))


@pytest.mark.parametrize("control", parameters(QUIET))
def test_a_quiet_fault_is_convicted(judge: Callable, control: Control) -> None:
    """Each FAILs by the check that is about its fault, and by no other of these."""
    result = judge(control.arguments, timeout_s=150, cwd=CHECKOUT)
    assert result.exit_code == 1, str(result)
    assert convicted(result.verdict) & OF_QUIET_FAULTS == control.checks, str(result)


@pytest.mark.prove
@pytest.mark.parametrize(
    ("client", "is_said"),
    [
        pytest.param("broken_quietly:goes_past_the_proxies", True, id="goes past the proxies"),
        pytest.param("broken_ledger:calls_errors_misses", False, id="a timeout is a miss"),
    ],
)
def test_past_the_proxy_is_said_of_connections_past_it(
    judge: Callable, client: str, is_said: bool
) -> None:
    """A hole that holds replies lets requests through: commands prove nothing."""
    arguments = [*LIGHT_HOLE, "--client", f"tests.e2e.{client}"]
    result = judge(arguments, timeout_s=150, cwd=CHECKOUT)
    confirmed = result.check("fault_confirmed")
    assert (PAST in confirmed["why"]) == is_said, str(result)
    assert confirmed["verdict"] == ("INCONCLUSIVE" if is_said else "PASS"), str(result)


@pytest.mark.prove
@pytest.mark.parametrize("client", ["memquake", "tests.e2e.honest_client:build"])
@pytest.mark.parametrize("load", [WATCHED, OUTAGE], ids=["nothing wrong", "a black hole"])
def test_none_of_these_checks_speaks_against_an_honest_client(
    judge: Callable, client: str, load: tuple[str, ...]
) -> None:
    """Whatever else a busy machine makes of the run, these do not convict."""
    result = judge([*load, "--client", client], timeout_s=150, cwd=CHECKOUT)
    assert not convicted(result.verdict) & OF_QUIET_FAULTS, str(result)
