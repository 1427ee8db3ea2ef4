"""Clients whose answers are wrong with every node up, and honest ones that name things anew."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from memquake.paths import CHECKOUT
from tests.e2e.controls import ANSWERS, CUT, WATCHED, Control, convicted, parameters

OF_ANSWERS = {
    "no_lost_writes", "no_lost_updates", "no_stale_reads", "ttl_kept", "no_false_misses",
    "batches_fail_fast",
}  # fmt: skip


@pytest.mark.parametrize("control", parameters(ANSWERS))
def test_a_wrong_answer_is_convicted(judge: Callable, control: Control) -> None:
    """Each FAILs by the check that is about its fault."""
    result = judge(control.arguments, timeout_s=150, cwd=CHECKOUT)
    assert result.exit_code == 1, str(result)
    assert control.checks <= convicted(result.verdict), str(result)


@pytest.mark.prove
@pytest.mark.parametrize("client", ["prefixed", "packing"])
@pytest.mark.parametrize("load", [WATCHED, CUT], ids=["nothing wrong", "a node cut off"])
def test_names_and_forms_of_its_own_convict_nobody(
    judge: Callable, client: str, load: tuple[str, ...]
) -> None:
    """Keys with a prefix and packed values are found on the servers, and nothing is lost."""
    arguments = [*load, "--client", f"tests.e2e.honest_client:{client}"]
    result = judge(arguments, timeout_s=150, cwd=CHECKOUT)
    assert not convicted(result.verdict), str(result)
    found = {name: result.check(name)["verdict"] for name in OF_ANSWERS}
    assert set(found.values()) <= {"PASS", "NOT_APPLICABLE"}, str(result)
    assert found["no_lost_writes"] == "PASS", str(result)
