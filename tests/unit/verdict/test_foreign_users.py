"""What users of the user's own leave in a process is not held against the client."""

from __future__ import annotations

import pytest

from tests.unit.verdict.made_up_runs import MadeUpRun
from verdict.model import CheckResult, Ruling
from verdict.verdict import judge


def no_leaks(foreign: tuple[str, ...], **changes: object) -> CheckResult:
    run = MadeUpRun(10)
    operations = sum(sum(fates.values()) for fates in run.tenths.values())
    run.but(workers=[run.worker(operations, **changes)], foreign_users=foreign)
    return next(check for check in judge(run.facts()).checks if check.name == "no_leaks")


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"after": {"fds": 40, "greenlets": 10}}, id="sockets"),
        pytest.param({"after": {"fds": 20, "greenlets": 30}}, id="greenlets"),
        pytest.param({"rss_end": 160e6}, id="memory"),
    ],
)
def test_what_they_may_have_left_convicts_nobody(changes: dict[str, object]) -> None:
    """The process is shared, so whose it is cannot be told; alone it is the client's."""
    assert no_leaks((), **changes).verdict is Ruling.FAIL
    shared = no_leaks(("Shop",), **changes)
    assert shared.verdict is Ruling.INCONCLUSIVE
    assert "Shop of your own ran in the same process" in shared.why


def test_slots_of_the_clients_pool_are_the_clients() -> None:
    """No other user can hold one."""
    assert no_leaks(("Shop",), slots_in_use=1).verdict is Ruling.FAIL


def test_a_tidy_run_passes_with_them() -> None:
    """They are no reason for doubt where nothing is left."""
    assert no_leaks(("Shop",)).verdict is Ruling.PASS
