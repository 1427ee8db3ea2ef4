"""Rows for what a saturated generator excuses: failures by time, in its own seconds only."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from client.operation import Outcome
from telemetry.histogram import bucket_of
from telemetry.window import MachineLoad, Window
from tests.unit.verdict.made_up_runs import (
    MS,
    REJECTED,
    TIMED_OUT,
    MadeUpRun,
    run_with_outage,
)

ALWAYS = range(2, 40)

Row = tuple[str, str, Callable[[], MadeUpRun], str]


def late_hub(*seconds: int) -> Callable[[dict[int, Window]], None]:
    """Let the hub be 30 ms late in these seconds."""

    def poke(windows: dict[int, Window]) -> None:
        for second in seconds:
            windows[second].lag = {bucket_of(30 * MS): 100}

    return poke


def still_hub(*seconds: int) -> Callable[[dict[int, Window]], None]:
    """Let the hub be on time but in these seconds, in which it does not tick at all."""

    def poke(windows: dict[int, Window]) -> None:
        for second, window in windows.items():
            window.lag = {} if second in seconds else {bucket_of(MS): 100}

    return poke


def busy_machine(
    *seconds: int, waited: float = 0.9, own: float = 0.5
) -> Callable[[dict[int, Window]], None]:
    """Let the run's processes queue for `waited` cores in these seconds, 0.2 in all others."""

    def poke(windows: dict[int, Window]) -> None:
        for second, window in windows.items():
            window.machine = MachineLoad(own=0.5, others=0.1, waited=0.2)
            if second in seconds:
                window.machine = MachineLoad(own=own, others=1.2, waited=waited)

    return poke


def slow_in_part(robbed: Iterable[int], slow: Iterable[int]) -> MadeUpRun:
    """Give a run whose calls take 15 ms in some seconds, and 0.3 cores are stolen in some."""
    run = run_with_outage()
    for node in run.names[:1] + run.names[2:]:
        for second in slow:
            run.all_calls(node, second, second + 1, (Outcome.HIT, 15 * MS))

    def poke(windows: dict[int, Window]) -> None:
        for second, window in windows.items():
            stolen = 0.3 if second in robbed else 0.0
            window.machine = MachineLoad(own=0.5, others=stolen, waited=0.2, stolen=stolen)

    return run.poke(poke)


def unknown_before(begin: int) -> Callable[[dict[int, Window]], None]:
    def poke(windows: dict[int, Window]) -> None:
        for second in range(begin):
            windows[second].machine = None

    return poke


def slow_on_a_machine(busy: Iterable[int], **load: float) -> MadeUpRun:
    """Give a run whose calls take 15 ms from second 24 on, the machine being busy in some."""
    run = run_with_outage()
    for node in run.names:
        run.all_calls(node, 24.0, 40.0, (Outcome.HIT, 15 * MS))
    return run.poke(busy_machine(*busy, **load))


def nobody_served() -> MadeUpRun:
    """Give an outage after which no call to any node is served."""
    run = run_with_outage()
    for node in run.names:
        run.all_calls(node, 20, 40, TIMED_OUT)
    return run


def waits_while_open(ms: int) -> MadeUpRun:
    """Give an outage in which every second call to the dead node takes so long."""
    run = run_with_outage()
    for tenth in range(120, 200):
        run.some_calls("node2", tenth / 10, (Outcome.BREAKER_OPEN, ms * MS), 10)
    return run


def stands_still(*seconds: int) -> Callable[[dict[int, Window]], None]:
    """Let the hub stand still for 0.8 s in each of these seconds."""

    def poke(windows: dict[int, Window]) -> None:
        for second in seconds:
            windows[second].lag = {bucket_of(800 * MS): 1, bucket_of(MS): 10}

    return poke


def refused_after_a_disturbance(begin: float, end: float) -> MadeUpRun:
    """Give a run whose hub is late in second 5, and whose breaker refuses calls in a span."""
    run = (
        MadeUpRun(20)
        .some_calls("node1", 5.0, TIMED_OUT, 11)
        .all_calls("node1", begin, end, REJECTED)
    )
    return run.poke(late_hub(5))


def short_fault() -> MadeUpRun:
    """Give a fault of 2.2 s whose breaker opens in a tenth in which two calls still wait."""
    run = MadeUpRun().fault("node2", to=12.2).outage("node2", end=12.2)
    run.some_calls("node2", 10.6, TIMED_OUT, 2)
    return run.some_calls("node2", 11.4, TIMED_OUT, 2)


AFTERMATH_CASES: list[Row] = [
    (
        "error_budget",
        "refused by a breaker that a late hub has tripped",
        lambda: refused_after_a_disturbance(5.2, 7.0),
        "INCONCLUSIVE",
    ),
    (
        "error_budget",
        "refused long after the hub was late",
        lambda: refused_after_a_disturbance(9.0, 11.0),
        "FAIL",
    ),
    (
        "error_budget",
        "a stranger's errors that took as long as a timeout while the hub was late",
        lambda: (
            MadeUpRun(20)
            .some_calls("node1", 5.0, (Outcome.OTHER_ERROR, 500 * MS), 11)
            .poke(late_hub(5))
        ),
        "INCONCLUSIVE",
    ),
    ("fails_fast_while_open", "waits of the tenth in which it opens", short_fault, "PASS"),
]


CROWDED_CASES: list[Row] = [
    (
        "deadline_kept",
        "7.5 s, of which the hub stood still for 7.2 s in many stretches",
        lambda: (
            MadeUpRun(20)
            .some_calls("node1", 5.0, (Outcome.TIMEOUT, 7500 * MS), 1)
            .poke(stands_still(*range(5, 14)))
        ),
        "INCONCLUSIVE",
    ),
    (
        "deadline_kept",
        "9 s, of which the hub stood still for 1.6 s: no lag explains the rest",
        lambda: (
            MadeUpRun(20)
            .some_calls("node1", 5.0, (Outcome.TIMEOUT, 9000 * MS), 1)
            .poke(stands_still(5, 7))
        ),
        "FAIL",
    ),
    (
        "after_recovery_as_before",
        "slow while the machine was busy with something else",
        lambda: slow_on_a_machine(range(24, 40)),
        "INCONCLUSIVE",
    ),
    (
        "after_recovery_as_before",
        "slow while the machine was busy, and fewer than five seconds when it was not",
        lambda: slow_on_a_machine(range(24, 38)),
        "INCONCLUSIVE",
    ),
    (
        "after_recovery_as_before",
        "as slow in the seconds when nobody was in the way",
        lambda: slow_on_a_machine(range(24, 30)),
        "FAIL",
    ),
    (
        "after_recovery_as_before",
        "slow, and it is the run's own processes that keep the machine busy",
        lambda: slow_on_a_machine(range(24, 40), own=0.9),
        "FAIL",
    ),
    (
        "after_recovery_as_before",
        "slow, and the processes queue hardly longer than before",
        lambda: slow_on_a_machine(range(24, 40), waited=0.235),
        "FAIL",
    ),
    (
        "after_recovery_as_before",
        "slow where the hypervisor took its part, and nowhere else",
        lambda: slow_in_part(robbed=range(24, 34), slow=range(24, 34)),
        "PASS",
    ),
    (
        "after_recovery_as_before",
        "slow where the hypervisor took nothing as well",
        lambda: slow_in_part(robbed=range(24, 34), slow=range(24, 40)),
        "FAIL",
    ),
    (
        "after_recovery_as_before",
        "slow, and too few seconds without the hypervisor",
        lambda: slow_in_part(robbed=range(20, 39), slow=range(24, 40)),
        "INCONCLUSIVE",
    ),
    (
        "after_recovery_as_before",
        "slow, and nothing is known of the machine before",
        lambda: slow_in_part(robbed=range(20, 39), slow=range(24, 40)).poke(unknown_before(20)),
        "INCONCLUSIVE",
    ),
    (
        "unaffected_nodes_healthy",
        "slow while the hypervisor took its part all the time",
        lambda: slow_in_part(robbed=range(10, 20), slow=range(10, 20)),
        "INCONCLUSIVE",
    ),
    (
        "unaffected_nodes_healthy",
        "slow while the hypervisor took nothing",
        lambda: slow_in_part(robbed=(), slow=range(10, 20)),
        "FAIL",
    ),
    (
        "steady_baseline",
        "unsteady where the hypervisor took its part, and nowhere else",
        lambda: slow_in_part(robbed=range(2, 5), slow=range(2, 5)),
        "PASS",
    ),
    (
        "steady_baseline",
        "unsteady, and the hypervisor took nothing",
        lambda: slow_in_part(robbed=(), slow=range(2, 5)),
        "INCONCLUSIVE",
    ),
    (
        "steady_baseline",
        "unsteady where other work crowded the machine, and nowhere else",
        lambda: slow_in_part(robbed=(), slow=range(2, 5)).poke(busy_machine(2, 3, 4, waited=1.0)),
        "PASS",
    ),
    (
        "steady_baseline",
        "unsteady in one second more than was crowded",
        lambda: slow_in_part(robbed=(), slow=range(2, 5)).poke(busy_machine(2, waited=1.0)),
        "INCONCLUSIVE",
    ),
    (
        "steady_baseline",
        "unsteady while its own process took the core",
        lambda: slow_in_part(robbed=(), slow=range(2, 5)).poke(
            busy_machine(2, 3, 4, waited=1.0, own=1.2)
        ),
        "INCONCLUSIVE",
    ),
    (
        "steady_baseline",
        "crowded in most of the baseline",
        lambda: slow_in_part(robbed=(), slow=range(2, 5)).poke(
            busy_machine(*range(2, 9), waited=1.0)
        ),
        "INCONCLUSIVE",
    ),
    (
        "error_budget",
        "timeouts while the run's processes starved",
        lambda: (
            MadeUpRun(20).some_calls("node1", 5.0, TIMED_OUT, 11).poke(busy_machine(5, waited=1.5))
        ),
        "INCONCLUSIVE",
    ),
    (
        "error_budget",
        "timeouts while the run's processes queued a little",
        lambda: (
            MadeUpRun(20).some_calls("node1", 5.0, TIMED_OUT, 11).poke(busy_machine(5, waited=0.6))
        ),
        "FAIL",
    ),
]


SATURATED_CASES: list[Row] = [
    (
        "error_budget",
        "timeouts while the hub was late",
        lambda: MadeUpRun(20).some_calls("node1", 5.0, TIMED_OUT, 11).poke(late_hub(5)),
        "INCONCLUSIVE",
    ),
    (
        "error_budget",
        "timeouts in the second before the hub was seen to be late",
        lambda: MadeUpRun(20).some_calls("node1", 5.0, TIMED_OUT, 11).poke(late_hub(6)),
        "INCONCLUSIVE",
    ),
    (
        "error_budget",
        "timeouts while the hub ran well again",
        lambda: MadeUpRun(20).some_calls("node1", 5.0, TIMED_OUT, 11).poke(late_hub(8)),
        "FAIL",
    ),
    (
        "error_budget",
        "errors that no late hub brings about",
        lambda: (
            MadeUpRun(20).some_calls("node1", 5.0, (Outcome.SERVER_ERROR, MS), 11).poke(late_hub(5))
        ),
        "FAIL",
    ),
    (
        "breaker_spares_healthy_nodes",
        "one call refused while the hub was late",
        lambda: run_with_outage().some_calls("node1", 15, REJECTED, 1).poke(late_hub(15)),
        "INCONCLUSIVE",
    ),
    (
        "no_second_dip",
        "a dip while the hub was late",
        lambda: run_with_outage().some_calls("node1", 30, TIMED_OUT, 7).poke(late_hub(30)),
        "INCONCLUSIVE",
    ),
    (
        "recovers_within",
        "a last failure 15 s after the heal while the hub was late",
        lambda: run_with_outage().some_calls("node2", 35.0, TIMED_OUT, 3).poke(late_hub(35)),
        "INCONCLUSIVE",
    ),
    (
        "recovers_within",
        "a last failure 15 s after the heal in a second in which the hub stood still",
        lambda: run_with_outage().some_calls("node2", 35.0, TIMED_OUT, 3).poke(still_hub(35)),
        "INCONCLUSIVE",
    ),
    (
        "recovers_within",
        "a node that serves nobody any more, while the hub was late",
        lambda: run_with_outage().all_calls("node2", 20, 40, TIMED_OUT).poke(late_hub(*ALWAYS)),
        "FAIL",
    ),
    (
        "recovers_within",
        "a node that serves few, while the hub was late",
        lambda: (
            run_with_outage()
            .all_calls("node2", 20, 33, TIMED_OUT)
            .all_calls("node2", 33.1, 40, TIMED_OUT)
            .poke(late_hub(*ALWAYS))
        ),
        "INCONCLUSIVE",
    ),
    (
        "recovers_within",
        "nodes that serve nobody any more, while the hub was late",
        lambda: nobody_served().poke(late_hub(*ALWAYS)),
        "INCONCLUSIVE",
    ),
    (
        "unaffected_nodes_healthy",
        "timeouts on a healthy node while the hub was late",
        lambda: run_with_outage().some_calls("node1", 15.0, TIMED_OUT, 9).poke(late_hub(15)),
        "INCONCLUSIVE",
    ),
    (
        "unaffected_nodes_healthy",
        "timeouts on a healthy node on a hub that ran well",
        lambda: run_with_outage().some_calls("node1", 15.0, TIMED_OUT, 9),
        "FAIL",
    ),
    (
        "fails_fast_while_open",
        "calls that take as long as three turns of a late hub",
        lambda: waits_while_open(80).poke(late_hub(*range(12, 20))),
        "INCONCLUSIVE",
    ),
    (
        "fails_fast_while_open",
        "calls that wait a whole timeout, whatever the hub",
        lambda: waits_while_open(500).poke(late_hub(*range(12, 20))),
        "FAIL",
    ),
    (
        "fails_fast_while_open",
        "calls that wait longer than three turns of a late hub",
        lambda: waits_while_open(150).poke(late_hub(*range(12, 20))),
        "FAIL",
    ),
    (
        "fails_fast_while_open",
        "calls that wait while the hub was late for another half of the time",
        lambda: waits_while_open(80).poke(late_hub(12, 13)),
        "FAIL",
    ),
    (
        "fails_fast_while_open",
        "a few calls that wait for a late hub beside the probes",
        lambda: (
            run_with_outage()
            .some_calls("node2", 14.0, (Outcome.BREAKER_OPEN, 60 * MS), 15)
            .some_calls("node2", 14.1, (Outcome.BREAKER_OPEN, 60 * MS), 15)
            .poke(late_hub(14))
        ),
        "INCONCLUSIVE",
    ),
    (
        "fails_fast_while_open",
        "a fault too short for a breaker to open",
        lambda: MadeUpRun().fault("node2", to=11.0).outage("node2", end=11.0),
        "NOT_APPLICABLE",
    ),
    (
        "no_masked_misses",
        "a fault of half a second",
        lambda: MadeUpRun().fault("node2", to=10.5),
        "NOT_APPLICABLE",
    ),
]
