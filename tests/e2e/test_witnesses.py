"""Clients convicted by a witness: the hub, the servers' own counts, or their own words.

The default client under the same load passes in test_runs_and_verdicts; here only the check that is
about the fault is looked at, so a busy machine changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent.parent
SHORT = ["--scenario", "none", "-t", "7s", "-u", "20", "--target-rate", "600"]
OUTAGE = ["--scenario", "node-blackhole", "--time-scale", "0.3", "--target-rate", "800"]

prove = pytest.mark.prove

CONTROLS = [
    pytest.param("sleeps_hard", SHORT, "hub_not_blocked", id="sleeps past gevent"),
    pytest.param("says_open", SHORT, "snapshot_true", id="says that its breakers are open"),
    pytest.param("computes_long", SHORT, "hub_not_blocked", marks=prove, id="computes for long"),
    pytest.param("keeps_the_lock", SHORT, "hub_not_blocked", marks=prove, id="keeps the lock"),
    pytest.param("retries_always", SHORT, "retry_amplification", marks=prove, id="asks thrice"),
    pytest.param(
        "retries_elsewhere", OUTAGE, "retry_amplification", marks=prove, id="asks all the others"
    ),
    pytest.param(
        "reconnects_for_every_call", OUTAGE, "no_reconnect_storm", marks=prove, id="reconnects"
    ),
    pytest.param("storms_on_heal", OUTAGE, "no_reconnect_storm", marks=prove, id="storms"),
    pytest.param("says_closed", OUTAGE, "snapshot_true", marks=prove, id="says that all is well"),
    pytest.param("says_too_many", SHORT, "snapshot_true", marks=prove, id="says too many"),
    pytest.param("leaks", SHORT, "no_leaks", marks=prove, id="leaks sockets"),
    pytest.param(
        "probes_without_limit", OUTAGE, "fails_fast_while_open", marks=prove, id="probes at will"
    ),
]
WITNESSES = ("hub_not_blocked", "no_reconnect_storm", "retry_amplification", "snapshot_true")


@pytest.mark.parametrize(("client", "load", "check"), CONTROLS)
def test_a_witness_convicts(judge: Callable, client: str, load: list[str], check: str) -> None:
    """Each fault FAILs by the check that is about it, and by no other witness."""
    spec = f"tests.e2e.broken_witness:{client}"
    result = judge([*load, "--client", spec], timeout_s=150, cwd=CHECKOUT)
    assert result.exit_code == 1, str(result)
    assert result.check(check)["verdict"] == "FAIL", str(result)
    convicted = {name for name in WITNESSES if result.check(name)["verdict"] == "FAIL"}
    assert convicted <= {check}, str(result)


@prove
@pytest.mark.parametrize("load", [SHORT, OUTAGE], ids=["nothing wrong", "a black hole"])
def test_no_witness_speaks_against_the_default_client(
    run_locust: Callable, load: list[str]
) -> None:
    """Whatever else a busy machine makes of the run, these four do not convict."""
    result = run_locust(load, timeout_s=150)
    for name in WITNESSES:
        assert result.check(name)["verdict"] in {"PASS", "NOT_APPLICABLE"}, str(result)
