"""What the ledger finds in whole runs: each lie by the check that is about it, and no other one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from memquake.paths import CHECKOUT
from tests.e2e.controls import CUT, LIARS, STILL, Control, convicted, parameters

CHECKS = {"no_lost_writes", "no_lost_updates", "no_stale_reads", "no_masked_misses"}


@pytest.mark.parametrize("control", parameters(LIARS))
def test_a_liar_is_convicted_by_its_own_check(judge: Callable, control: Control) -> None:
    """Each FAILs by the check about its fault, with evidence that names a key and a node."""
    result = judge(control.arguments, timeout_s=120, cwd=CHECKOUT)
    assert result.exit_code == 1, str(result)
    assert convicted(result.verdict) & CHECKS == control.checks, str(result)
    (check,) = control.checks
    shown = result.check(check)["evidence"][0]["example"]
    assert shown["key"], shown
    assert shown["node"].startswith("node"), shown
    assert "ledger   incr" in result.stderr, str(result)  # Locust's own table has its rows


@pytest.mark.prove
@pytest.mark.parametrize(
    "arguments", [pytest.param(CUT, id="cut off"), pytest.param(STILL, id="still")]
)
def test_the_default_client_is_honest(run_locust: Callable, arguments: tuple[str, ...]) -> None:
    """The client that ships is judged by the same checks, on enough evidence, and acquitted.

    Whatever else the run proves on a busy machine: these checks know no time.
    """
    result = run_locust(arguments, timeout_s=120)
    applied = {result.check(name)["verdict"] for name in CHECKS}
    assert applied <= {"PASS", "NOT_APPLICABLE"}, str(result)
    assert result.check("no_lost_writes")["verdict"] == "PASS", str(result)
