"""Clients convicted by a witness: the hub, the servers' own counts, or their own words.

The default client under the same load passes in test_runs_and_verdicts; here only the check that is
about the fault is looked at, so a busy machine changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from memquake.paths import CHECKOUT
from tests.e2e.controls import OUTAGE, WATCHED, WITNESSED, Control, convicted, parameters

WITNESSES = ("hub_not_blocked", "no_reconnect_storm", "retry_amplification", "snapshot_true")


@pytest.mark.parametrize("control", parameters(WITNESSED))
def test_a_witness_convicts(judge: Callable, control: Control) -> None:
    """Each fault FAILs by the check that is about it, and by no other witness."""
    result = judge(control.arguments, timeout_s=150, cwd=CHECKOUT)
    assert result.exit_code == 1, str(result)
    failed = convicted(result.verdict)
    assert control.checks <= failed, str(result)
    assert failed & set(WITNESSES) <= control.checks, str(result)


@pytest.mark.prove
@pytest.mark.parametrize("load", [WATCHED, OUTAGE], ids=["nothing wrong", "a black hole"])
def test_no_witness_speaks_against_the_default_client(
    run_locust: Callable, load: tuple[str, ...]
) -> None:
    """Whatever else a busy machine makes of the run, these four do not convict."""
    result = run_locust(load, timeout_s=150)
    for name in WITNESSES:
        assert result.check(name)["verdict"] in {"PASS", "NOT_APPLICABLE"}, str(result)
