"""A fault that touches no node excuses nothing but what the harness itself did to calls."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from client.operation import Outcome
from telemetry.histogram import bucket_of
from telemetry.window import Window
from tests.unit.verdict.made_up_runs import MS, OK, MadeUpRun, run_with_outage
from verdict.checks import CHECKS
from verdict.model import CheckResult
from verdict.view import View

NODES = ("node1", "node2", "node3")
CUT = (Outcome.ABORTED, 100)
BROKEN = (Outcome.PROTOCOL_ERROR, 200)
REFUSED = (Outcome.BREAKER_OPEN, 3)
SLOWER = (Outcome.HIT, 9 * MS)


def judged(name: str, run: MadeUpRun) -> CheckResult:
    return CHECKS[name](View(run.facts()))


def cutting(share_a_tenth: int = 2) -> MadeUpRun:
    """Give a run in which so many of 20 calls a tenth of a second are cut off, 10 s to 20 s."""
    run = MadeUpRun(40).fault(*NODES, effects=("interrupted",), kind="abort")
    for node in NODES:
        for tenth in range(100, 200):
            run.some_calls(node, tenth / 10, CUT, share_a_tenth)
    return run


def some(run: MadeUpRun, fate: tuple[str, int], begin: int, end: int, count: int = 1) -> MadeUpRun:
    """Let some calls to node1 in each tenth of a span meet a fate."""
    for tenth in range(begin * 10, end * 10):
        run.some_calls("node1", tenth / 10, fate, count)
    return run


def stepped() -> MadeUpRun:
    return MadeUpRun(40).fault(*NODES, effects=(), kind="clock_step")


def half_as_many(node: str) -> MadeUpRun:
    """Give a run whose node gets every second tenth's calls after the outage."""
    run = run_with_outage()
    for tenth in range(210, 400, 2):
        run.no_calls(node, tenth / 10, (tenth + 1) / 10)
    return run


def saturated(run: MadeUpRun, begin: int) -> MadeUpRun:
    """Let the hub be 60 ms late from a second on."""

    def late(windows: dict[int, Window]) -> None:
        for second, window in windows.items():
            if second >= begin:
                window.lag = {bucket_of(60 * MS): 100}

    return run.poke(late)


CASES: list[tuple[str, str, Callable[[], MadeUpRun], str]] = [
    ("error_budget", "calls cut off are nobody's errors", cutting, "PASS"),
    (
        "error_budget",
        "a cut call spoils the next one",
        lambda: some(cutting(), BROKEN, 11, 19),
        "FAIL",
    ),
    ("error_budget", "the clock steps", stepped, "PASS"),
    ("error_budget", "errors while it is off", lambda: some(stepped(), BROKEN, 11, 19), "FAIL"),
    (
        "error_budget",
        "the same errors where the node itself was hit",
        lambda: some(MadeUpRun(40).fault(*NODES, effects=("degraded",)), BROKEN, 11, 19),
        "PASS",
    ),
    ("unaffected_nodes_healthy", "one call in ten cut off", cutting, "PASS"),
    (
        "unaffected_nodes_healthy",
        "reconnecting costs the calls after a cut",
        lambda: some(cutting(), SLOWER, 10, 20, 3),
        "PASS",
    ),
    (
        "unaffected_nodes_healthy",
        "slower because the clock stepped",
        lambda: some(stepped(), SLOWER, 10, 20, 3),
        "FAIL",
    ),
    (
        "unaffected_nodes_healthy",
        "calls that never come back are missing",
        lambda: cutting().no_calls("node1", 12, 20),
        "FAIL",
    ),
    ("breaker_spares_healthy_nodes", "cut calls", cutting, "PASS"),
    (
        "breaker_spares_healthy_nodes",
        "a breaker that takes a cut for a dead node",
        lambda: some(cutting(), REFUSED, 12, 14),
        "FAIL",
    ),
    ("recovers_within", "cut calls", cutting, "PASS"),
    (
        "recovers_within",
        "slots lost to cuts: no call ever after",
        lambda: cutting().all_calls("node1", 15, 40, (Outcome.POOL_TIMEOUT, 500 * MS)),
        "FAIL",
    ),
    ("breaker_opens_within", "no node is gone", cutting, "NOT_APPLICABLE"),
    (
        "recovers_within",
        "no traffic, and a generator that kept up",
        lambda: run_with_outage().no_calls("node2", 21, 40),
        "FAIL",
    ),
    (
        "recovers_within",
        "half its traffic, from a generator that fell behind",
        lambda: saturated(half_as_many("node2"), 21),
        "INCONCLUSIVE",
    ),
    (
        "recovers_within",
        "half its traffic, from a generator that kept up",
        lambda: half_as_many("node2"),
        "FAIL",
    ),
    (
        "recovers_within",
        "no traffic, from a generator that fell behind and sent the others theirs",
        lambda: saturated(run_with_outage().no_calls("node2", 21, 40), 21),
        "FAIL",
    ),
    (
        "recovers_within",
        "no traffic to any node, from a generator that fell behind",
        lambda: saturated(
            run_with_outage()
            .no_calls("node1", 21, 40)
            .no_calls("node2", 21, 40)
            .no_calls("node3", 21, 40),
            21,
        ),
        "INCONCLUSIVE",
    ),
]


@pytest.mark.parametrize(
    ("name", "run", "ruling"),
    [pytest.param(name, run, ruling, id=f"{name}: {what}") for name, what, run, ruling in CASES],
)
def test_what_such_a_fault_excuses(name: str, run: Callable[[], MadeUpRun], ruling: str) -> None:
    """Cut calls are left out, latencies beside them are not compared, all else counts."""
    assert judged(name, run()).verdict == ruling


def test_every_group_of_users_has_a_client_of_its_own() -> None:
    """What a client may do once, each of the groups' clients may do once in every process."""
    run = MadeUpRun(20)
    workers = [run.worker(), run.worker()]
    assert View(run.but(workers=workers).facts()).processes == 2
    assert View(run.but(workers=workers, groups=3).facts()).processes == 6


def test_the_made_up_calls_are_as_many_as_before() -> None:
    """Fates are changed, never added: otherwise the tables would prove something else."""
    assert sum(cutting().tenths[150, "node1"].values()) == 20
    assert cutting().tenths[150, "node1"][CUT] == 2
    assert cutting().tenths[150, "node1"][OK] == 16
