"""What was over before anybody could look is proved by the calls that felt it, or by none."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from client.operation import Outcome
from faults.journal import UNSEEN
from tests.unit.verdict.made_up_runs import MS, OK, TIMED_OUT, MadeUpRun
from verdict.checks import CHECKS
from verdict.short_faults import SHORT_CALLS, confirmed_by_calls
from verdict.view import View

HELD = (Outcome.HIT, 15 * MS)  # of 30 ms
HARDLY = (Outcome.HIT, 6 * MS)
LATE = (Outcome.HIT, 180 * MS)
REFUSED = (Outcome.REFUSED, 300)


def short(*nodes: str, **changes: object) -> MadeUpRun:
    """Give a run with a fault from 10.01 to 10.04 s that no probe saw."""
    told: dict[str, object] = {
        "injected_at_s": 10.01,
        "confirmed_at_s": None,
        "unseen_at_s": 10.012,
        "healed_at_s": 10.045,
        "why_not": UNSEEN,
    }
    effects = ("degraded",)
    return MadeUpRun(40).fault(
        *(nodes or ("node2",)), at=10.0, to=10.04, effects=effects, **(told | changes)
    )


def on_a_busy_machine() -> MadeUpRun:
    """Give one whose calls take as long now and then, fault or not."""
    run = short()
    for tenth in range(20, 400):
        run.some_calls("node2", tenth / 10, HELD, 4)
    return run


CASES: list[tuple[str, Callable[[], MadeUpRun], bool]] = [
    ("held calls", lambda: short().some_calls("node2", 10.0, HELD, SHORT_CALLS), True),
    ("failed calls", lambda: short().some_calls("node2", 10.0, REFUSED, SHORT_CALLS), True),
    ("too few", lambda: short().some_calls("node2", 10.0, HELD, SHORT_CALLS - 1), False),
    ("calls that waited less", lambda: short().some_calls("node2", 10.0, HARDLY, 9), False),
    ("nobody felt it", short, False),
    (
        "healed late, and no call was held for longer than the delay",
        lambda: short(adds_s=0.18, healed_at_s=12.0).some_calls("node2", 11.0, LATE, SHORT_CALLS),
        True,
    ),
    ("held calls elsewhere", lambda: short().some_calls("node1", 10.0, HELD, 9), False),
    ("held calls later", lambda: short().some_calls("node2", 10.3, HELD, 9), False),
    ("such calls are usual there", on_a_busy_machine, False),
    (
        "one of two nodes",
        lambda: short("node1", "node2").some_calls("node2", 10.0, HELD, 9),
        False,
    ),
    (
        "both nodes",
        lambda: (
            short("node1", "node2")
            .some_calls("node2", 10.0, HELD, 9)
            .some_calls("node1", 10.0, TIMED_OUT, 9)
        ),
        True,
    ),
    (
        "looked at in vain",
        lambda: short(unseen_at_s=None, why_not="answered").some_calls("node2", 10.0, HELD, 9),
        False,
    ),
    (
        "never seen to be over",
        lambda: short(healed_at_s=None).some_calls("node2", 10.0, HELD, 9),
        False,
    ),
]


@pytest.mark.parametrize(("what", "make", "is_proved"), CASES, ids=[row[0] for row in CASES])
def test_only_what_was_felt_counts(
    what: str, make: Callable[[], MadeUpRun], is_proved: bool
) -> None:
    """By more calls than chance brings, on every node of it, and only what was read back."""
    facts = confirmed_by_calls(make().facts())
    (record,) = facts.faults
    assert record.confirmed is is_proved
    result = CHECKS["fault_confirmed"](View(facts))
    assert str(result.verdict) == ("PASS" if is_proved else "INCONCLUSIVE"), result.why
    if is_proved:
        assert record.confirmed_at_s == 10.012
        assert "are usual" in record.evidence[-1]
        assert record.why_not == ""


def test_a_run_without_such_faults_is_left_alone() -> None:
    """What a probe has seen needs no other proof."""
    facts = MadeUpRun(40).fault("node2").all_calls("node2", 10, 20, OK).facts()
    assert confirmed_by_calls(facts) is facts


def test_a_short_delay_is_held_against_its_own_length() -> None:
    """A latency of 200 ms that lasts 150 ms holds no call for longer than that."""
    run = MadeUpRun(40).fault(
        "node2",
        at=10.0,
        to=10.3,
        effects=("degraded",),
        kind="latency",
        adds_s=2.0,
        confirmed_at_s=10.0,
    )
    run.all_calls("node2", 10.0, 10.3, (Outcome.HIT, 200 * MS))
    result = CHECKS["fault_confirmed"](View(run.facts()))
    assert str(result.verdict) == "PASS", result.why
