"""What the ledger finds in whole runs: each lie by the check that is about it, and no other one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent.parent
CHECKS = {"no_lost_writes", "no_lost_updates", "no_stale_reads", "no_masked_misses"}
STILL = ["-u", "10", "--target-rate", "400", "-t", "8s"]
SHORT = ["-u", "10", "--target-rate", "400", "-t", "5s"]  # enough to convict, not to acquit
CUT_OFF = ["--scenario", "single-node-failure", "--time-scale", "0.3", "-u", "20"]
prove = pytest.mark.prove


def failed(result) -> set[str]:
    """Give which of the ledger's checks convicted."""
    return {c["name"] for c in result.verdict["checks"] if c["verdict"] == "FAIL"} & CHECKS


LIARS = [
    pytest.param("counts_twice", SHORT, "no_lost_updates", id="counts twice on a retry"),
    pytest.param(
        "remembers_too_long",
        [*SHORT, "HotKeyUser"],  # no choice of users leaves a run without its ledger
        "no_stale_reads",
        id="caches what others write",
    ),
    pytest.param("acknowledges_nothing", STILL, "no_lost_writes", id="stores nothing", marks=prove),
    pytest.param(
        "stores_blindly", STILL, "no_lost_updates", id="cas ignores its token", marks=prove
    ),
    pytest.param("keeps_the_old_ring", STILL, "no_stale_reads", id="stale ring", marks=prove),
    pytest.param("fires_and_forgets", CUT_OFF, "no_lost_writes", id="noreply", marks=prove),
    pytest.param(
        "calls_errors_misses", CUT_OFF, "no_masked_misses", id="masks errors", marks=prove
    ),
]


@pytest.mark.parametrize(("name", "arguments", "check"), LIARS)
def test_a_liar_is_convicted_by_its_own_check(
    judge: Callable, name: str, arguments: list[str], check: str
) -> None:
    """Each FAILs by the check about its fault, with evidence that names a key and a node."""
    client = ["--client", f"tests.e2e.broken_ledger:{name}"]
    result = judge([*arguments, *client], timeout_s=120, cwd=CHECKOUT)
    assert result.exit_code == 1, str(result)
    assert failed(result) == {check}, str(result)
    why = result.check(check)["why"]
    assert "key=" in why, why
    assert "node=node" in why, why
    assert "ledger   incr" in result.stderr, str(result)  # Locust's own table has its rows


@prove
@pytest.mark.parametrize(
    "arguments", [pytest.param(CUT_OFF, id="cut off"), pytest.param(STILL, id="still")]
)
def test_the_default_client_is_honest(run_locust: Callable, arguments: list[str]) -> None:
    """The client that ships is judged by the same checks, on enough evidence, and acquitted.

    Whatever else the run proves on a busy machine: these checks know no time.
    """
    result = run_locust(arguments, timeout_s=120)
    applied = {result.check(name)["verdict"] for name in CHECKS}
    assert applied <= {"PASS", "NOT_APPLICABLE"}, str(result)
    assert result.check("no_lost_writes")["verdict"] == "PASS", str(result)
