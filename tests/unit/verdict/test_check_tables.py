"""Every check on made-up runs: one that holds, one that just fails, one that cannot be judged."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from client.operation import Outcome
from memquake.limits import known_checks
from telemetry.histogram import bucket_of
from telemetry.window import Cell, Window
from tests.unit.verdict.batch_cases import BATCHES
from tests.unit.verdict.connection_cases import CONNECTIONS, LEFT_OPEN, SPREAD
from tests.unit.verdict.ledger_cases import LEDGER
from tests.unit.verdict.made_up_runs import (
    MISSED,
    MS,
    REJECTED,
    TIMED_OUT,
    TIMEOUT_US,
    MadeUpRun,
    earlier,
    run_with_outage,
)
from tests.unit.verdict.moved_keys_cases import MOVING
from tests.unit.verdict.saturated_cases import (
    AFTERMATH_CASES,
    CROWDED_CASES,
    SATURATED_CASES,
    late_hub,
)
from tests.unit.verdict.witness_cases import WITNESSES
from verdict.checks import CHECKS
from verdict.model import CheckResult
from verdict.view import View

Make = Callable[[], MadeUpRun]


def check(name: str, run: MadeUpRun) -> CheckResult:
    return CHECKS[name](View(run.facts()))


def every_window(change: Callable[[Window], None]) -> Callable[[dict[int, Window]], None]:
    def poke(windows: dict[int, Window]) -> None:
        for window in windows.values():
            change(window)

    return poke


def in_windows(
    *seconds: int, change: Callable[[Window], None]
) -> Callable[[dict[int, Window]], None]:
    def poke(windows: dict[int, Window]) -> None:
        for second in seconds:
            change(windows[second])

    return poke


def batches_in_an_outage(waiting: int) -> MadeUpRun:
    """Let ten batches a second meet a dead node, and of those from 12 s on so many wait for it."""
    run = run_with_outage()
    for second in range(10, 20):
        run.batch(second, (Outcome.PARTIAL, 300), 10)
    for number in range(waiting):
        second = 12 + number % 8
        run.batch(second, (Outcome.PARTIAL, 300), -1).batch(second, (Outcome.PARTIAL, TIMEOUT_US))
    return run


def unplaced_failures(window: Window) -> None:
    window.cells["get", "", Outcome.TIMEOUT] = Cell(count=100, service={bucket_of(TIMEOUT_US): 100})


def delayed(window: Window) -> None:
    window.lag = {bucket_of(10 * MS): 100}


def a_little_delayed(window: Window) -> None:
    window.lag = {bucket_of(2500): 100}


def hardly_delayed(window: Window) -> None:
    window.lag = {bucket_of(1100): 100}


def toiling(window: Window) -> None:
    window.cpu = {"w1": 0.8}


def lagging(window: Window) -> None:
    window.lag = {bucket_of(30 * MS): 100}


def busy_users(window: Window) -> None:
    window.pacing.sent = window.pacing.planned * 9 // 10
    window.pacing.busy_samples = 5


def late_generator(window: Window) -> None:
    window.pacing.sent = window.pacing.planned * 9 // 10
    window.pacing.late_samples = 5


def unmeasured(window: Window) -> None:
    window.lag = {}


def slower(window: Window) -> None:
    """Shift everything on the healthy nodes by 3 ms."""
    for (_, node, _), cell in window.cells.items():
        if node != "node2":
            cell.service = {bucket_of(4600): cell.count}


def with_steps(windows: dict[int, Window]) -> None:
    """Let the median alternate between 0.2 and 1.2 ms."""
    for window in windows.values():
        for cell in window.cells.values():
            cell.service = {bucket_of(1200 if window.second % 2 else 200): cell.count}


def slow_in(*seconds: int) -> Callable[[dict[int, Window]], None]:
    """Let the median of these seconds be ten times that of the others."""

    def poke(windows: dict[int, Window]) -> None:
        for window in windows.values():
            for cell in window.cells.values():
                cell.service = {bucket_of(5000 if window.second in seconds else 500): cell.count}

    return poke


def with_tiny_steps(windows: dict[int, Window]) -> None:
    """Let the median alternate between 0.1 and 0.25 ms: noise, whatever its ratio."""
    for window in windows.values():
        for cell in window.cells.values():
            cell.service = {bucket_of(250 if window.second % 2 else 100): cell.count}


def lost(run: MadeUpRun, at: float, users_left: int, **changes: object) -> MadeUpRun:
    def fewer(windows: dict[int, Window]) -> None:
        for window in windows.values():
            window.users = 40 if window.second < at else users_left

    gone = {"id": "w2", "lost_at_s": at, "before": {}, "after": {}, **changes}
    workers = [run.worker(12000), run.worker(9000, **gone)]
    return run.poke(fewer).but(workers=workers)


def hung(run: MadeUpRun, **changes: object) -> MadeUpRun:
    operations = sum(sum(fates.values()) for fates in run.tenths.values())
    return run.but(workers=[run.worker(operations, **changes)])


def bypassing() -> MadeUpRun:
    """Give a client that goes on as if node2 were not cut off."""
    return MadeUpRun().fault("node2")


def silent_after_heal() -> MadeUpRun:
    """Give a client that answers misses for a healed node without asking it."""
    run = run_with_outage().all_calls("node2", 20.8, 40, MISSED)

    def unasked(windows: dict[int, Window]) -> None:
        for second, window in windows.items():
            if second >= 10:
                window.server["node2"] = dict(windows[9].server["node2"])

    return run.poke(unasked)


def unused_after_heal() -> MadeUpRun:
    return run_with_outage().no_calls("node2", 21, 40)


def restless(seconds: int = 40) -> MadeUpRun:
    """Give a client whose breaker never closes again."""
    return MadeUpRun(seconds).fault("node2").outage("node2").all_calls("node2", 20, 60, REJECTED)


def quiet(node: str = "node2") -> MadeUpRun:
    """Give a run with hardly a call to the node while it is cut off."""
    return MadeUpRun().fault(node).no_calls(node, 10, 20)


def wrong(count: int, seconds: int = 20) -> MadeUpRun:
    return MadeUpRun(seconds).some_calls("node1", 5.0, (Outcome.WRONG_VALUE, 200), count)


def unhealed() -> MadeUpRun:
    return MadeUpRun().fault("node2", heal_started_s=None, healed_at_s=None).outage("node2")


def told_openings(opened: int, probes: int, waits: int) -> MadeUpRun:
    """Give a client whose calls wait now and then, and that tells of openings and probes."""
    run = run_with_outage()
    for index in range(waits):
        run.some_calls("node2", 12.0 + index * 0.1, TIMED_OUT, 1)
    run.tell("node2", 0, 11, breaker={"closed": 1})
    return run.tell("node2", 11, 40, breaker={"open": 1}, opened_total=opened, probes_total=probes)


CASES: list[tuple[str, str, Make, str]] = [
    *LEDGER,
    *MOVING,
    *SATURATED_CASES,
    *CROWDED_CASES,
    *AFTERMATH_CASES,
    *WITNESSES,
    *BATCHES,
    *CONNECTIONS,
    *SPREAD,
    *LEFT_OPEN,
    # no_wrong_values
    ("no_wrong_values", "every hit verified", lambda: MadeUpRun(20), "PASS"),
    ("no_wrong_values", "one wrong value", lambda: wrong(1), "FAIL"),
    ("no_wrong_values", "one wrong value of few", lambda: wrong(1, 6), "FAIL"),
    ("no_wrong_values", "too few hits", lambda: MadeUpRun(10, calls=3), "INCONCLUSIVE"),
    (
        "no_wrong_values",
        "evidence without a cell",
        lambda: MadeUpRun(20).but(wrong_values=[{"key": "k"}]),
        "FAIL",
    ),
    # predictable_errors
    ("predictable_errors", "none", lambda: MadeUpRun(10), "PASS"),
    (
        "predictable_errors",
        "one TypeError in the first second",
        lambda: MadeUpRun(10).some_calls("node1", 0.5, (Outcome.BUG, 100), 1),
        "FAIL",
    ),
    (
        "predictable_errors",
        "a finding without a call",
        lambda: MadeUpRun(10).but(findings=[{"kind": "bad_result", "detail": "int"}]),
        "FAIL",
    ),
    # enough_requests
    ("enough_requests", "plenty", lambda: MadeUpRun(10), "PASS"),
    ("enough_requests", "5 steady seconds", lambda: MadeUpRun(7), "PASS"),
    ("enough_requests", "4 steady seconds", lambda: MadeUpRun(6), "INCONCLUSIVE"),
    ("enough_requests", "990 operations", lambda: MadeUpRun(11, calls=3), "INCONCLUSIVE"),
    (
        "enough_requests",
        "a worker's reports are missing",
        lambda: hung(MadeUpRun(20), unaccounted=3),
        "INCONCLUSIVE",
    ),
    (
        "enough_requests",
        "timeline and workers disagree",
        lambda: MadeUpRun(20).but(workers=[MadeUpRun().worker(11_999)]),
        "INCONCLUSIVE",
    ),
    ("enough_requests", "worker lost, load kept", lambda: lost(MadeUpRun(20), 8, 40), "PASS"),
    ("enough_requests", "half the users left", lambda: lost(MadeUpRun(20), 8, 20), "PASS"),
    ("enough_requests", "a third left", lambda: lost(MadeUpRun(20), 8, 13), "INCONCLUSIVE"),
    (
        "enough_requests",
        "every worker lost",
        lambda: MadeUpRun(20).but(workers=[MadeUpRun().worker(5, lost_at_s=3.0)]),
        "INCONCLUSIVE",
    ),
    # steady_baseline
    ("steady_baseline", "steady", lambda: MadeUpRun(20), "PASS"),
    ("steady_baseline", "steps of 1 ms", lambda: MadeUpRun(20).poke(with_steps), "INCONCLUSIVE"),
    ("steady_baseline", "one bad second", lambda: MadeUpRun(20).poke(slow_in(9)), "PASS"),
    (
        "steady_baseline",
        "two bad seconds",
        lambda: MadeUpRun(20).poke(slow_in(9, 14)),
        "INCONCLUSIVE",
    ),
    ("steady_baseline", "steps of 0.15 ms", lambda: MadeUpRun(20).poke(with_tiny_steps), "PASS"),
    (
        "steady_baseline",
        "errors before the fault",
        lambda: run_with_outage().some_calls("node1", 5.0, TIMED_OUT, 10),
        "INCONCLUSIVE",
    ),
    ("steady_baseline", "no second left", lambda: MadeUpRun(2), "INCONCLUSIVE"),
    # fault_confirmed
    ("fault_confirmed", "confirmed", run_with_outage, "PASS"),
    (
        "fault_confirmed",
        "not seen",
        lambda: MadeUpRun().fault("node2", confirmed_at_s=None, why_not="the probe got through"),
        "INCONCLUSIVE",
    ),
    (
        "fault_confirmed",
        "never injected",
        lambda: MadeUpRun().fault("node2", injected_at_s=None, confirmed_at_s=None),
        "INCONCLUSIVE",
    ),
    ("fault_confirmed", "client goes past the proxy", bypassing, "INCONCLUSIVE"),
    (
        "fault_confirmed",
        "slow node is still asked",
        lambda: MadeUpRun().fault("node2", effects=("degraded",)),
        "PASS",
    ),
    ("fault_confirmed", "no fault", lambda: MadeUpRun(20), "NOT_APPLICABLE"),
    # load_kept
    ("load_kept", "all sent", lambda: MadeUpRun(20), "PASS"),
    (
        "load_kept",
        "users stuck in the client",
        lambda: MadeUpRun(20).poke(every_window(busy_users)),
        "FAIL",
    ),
    (
        "load_kept",
        "users stuck, generator saturated",
        lambda: MadeUpRun(20).poke(every_window(busy_users)).poke(every_window(lagging)),
        "INCONCLUSIVE",
    ),
    (
        "load_kept",
        "generator late",
        lambda: MadeUpRun(20).poke(every_window(late_generator)),
        "INCONCLUSIVE",
    ),
    (
        "load_kept",
        "stuck only during the fault",
        lambda: run_with_outage().poke(in_windows(*range(10, 20), change=busy_users)),
        "PASS",
    ),
    ("load_kept", "closed loop", lambda: MadeUpRun(20, paced=False), "NOT_APPLICABLE"),
    # generator_not_saturated
    ("generator_not_saturated", "idle", lambda: MadeUpRun(20), "PASS"),
    (
        "generator_not_saturated",
        "hub lags",
        lambda: MadeUpRun(20).poke(every_window(lagging)),
        "INCONCLUSIVE",
    ),
    (
        "generator_not_saturated",
        "CPU at 95 %",
        lambda: MadeUpRun(20).poke(every_window(lambda window: window.cpu.update(w1=0.95))),
        "INCONCLUSIVE",
    ),
    (
        "generator_not_saturated",
        "CPU at 95 % in a few windows",
        lambda: MadeUpRun(20).poke(in_windows(4, 5, change=lambda w: w.cpu.update(w1=0.95))),
        "PASS",
    ),
    (
        "generator_not_saturated",
        "not measured",
        lambda: MadeUpRun(20).poke(every_window(unmeasured)),
        "INCONCLUSIVE",
    ),
    (
        "generator_not_saturated",
        "closed loop",
        lambda: MadeUpRun(20, paced=False),
        "NOT_APPLICABLE",
    ),
    # error_budget
    ("error_budget", "none", lambda: MadeUpRun(20), "PASS"),
    ("error_budget", "errors on the affected node only", run_with_outage, "PASS"),
    (
        "error_budget",
        "10 of 10,800",
        lambda: MadeUpRun(20).some_calls("node1", 5.0, TIMED_OUT, 10),
        "PASS",
    ),
    (
        "error_budget",
        "11 of 10,800",
        lambda: MadeUpRun(20).some_calls("node1", 5.0, TIMED_OUT, 11),
        "FAIL",
    ),
    (
        "error_budget",
        "errors on a healthy node during the fault",
        lambda: run_with_outage().all_calls("node1", 15.0, 15.4, TIMED_OUT),
        "FAIL",
    ),
    (
        "error_budget",
        "errors in the first second",
        lambda: MadeUpRun(20).all_calls("node1", 0.0, 1.0, TIMED_OUT),
        "PASS",
    ),
    (
        "error_budget",
        "batches that raise while all nodes are away",
        lambda: MadeUpRun().fault("node1", "node2", "node3").batch(15, TIMED_OUT, 100),
        "PASS",
    ),
    (
        "error_budget",
        "keys that no node shows fail while one node is away",
        lambda: run_with_outage().poke(in_windows(15, change=unplaced_failures)),
        "INCONCLUSIVE",
    ),
    (
        "error_budget",
        "keys that no node shows fail with every node up",
        lambda: run_with_outage().poke(in_windows(5, change=unplaced_failures)),
        "FAIL",
    ),
    ("error_budget", "nothing sent", lambda: MadeUpRun(0), "INCONCLUSIVE"),
    # deadline_kept
    ("deadline_kept", "timeouts in time", run_with_outage, "PASS"),
    (
        "deadline_kept",
        "0.59 s",
        lambda: MadeUpRun(20).some_calls("node1", 5.0, (Outcome.TIMEOUT, 590 * MS), 1),
        "PASS",
    ),
    (
        "deadline_kept",
        "0.63 s",
        lambda: MadeUpRun(20).some_calls("node1", 5.0, (Outcome.TIMEOUT, 630 * MS), 1),
        "FAIL",
    ),
    (
        "deadline_kept",
        "0.63 s while the hub lagged 30 ms",
        lambda: (
            MadeUpRun(20)
            .some_calls("node1", 5.0, (Outcome.TIMEOUT, 630 * MS), 1)
            .poke(in_windows(5, change=lagging))
        ),
        "PASS",
    ),
    (
        "deadline_kept",
        "0.8 s, explained by the lag of a saturated hub at every turn",
        lambda: (
            MadeUpRun(20)
            .some_calls("node1", 5.0, (Outcome.TIMEOUT, 800 * MS), 1)
            .poke(in_windows(5, change=lagging))
        ),
        "INCONCLUSIVE",
    ),
    (
        "deadline_kept",
        "1.2 s, which no lag explains",
        lambda: (
            MadeUpRun(20)
            .some_calls("node1", 5.0, (Outcome.TIMEOUT, 1200 * MS), 1)
            .poke(in_windows(5, change=lagging))
        ),
        "FAIL",
    ),
    (
        "deadline_kept",
        "a batch of 0.7 s",
        lambda: MadeUpRun(20).batch(5, (Outcome.PARTIAL, 700 * MS)),
        "FAIL",
    ),
    (
        "deadline_kept",
        "cut off by the harness after 3 s",
        lambda: MadeUpRun(20).some_calls("node1", 18.0, (Outcome.ABORTED, 3000 * MS), 1),
        "FAIL",
    ),
    ("deadline_kept", "a call that never ends", lambda: hung(MadeUpRun(20), hung_calls=1), "FAIL"),
    # breaker_opens_within
    ("breaker_opens_within", "0.4 s after", run_with_outage, "PASS"),
    (
        "breaker_opens_within",
        "1.4 s after",
        lambda: MadeUpRun().fault("node2").outage("node2", opens=1.6),
        "PASS",
    ),
    (
        "breaker_opens_within",
        "1.6 s after",
        lambda: MadeUpRun().fault("node2").outage("node2", opens=1.9),
        "FAIL",
    ),
    (
        "breaker_opens_within",
        "never",
        lambda: MadeUpRun().fault("node2").all_calls("node2", 10, 20, TIMED_OUT),
        "FAIL",
    ),
    (
        "breaker_opens_within",
        "hardly a call",
        quiet,
        "INCONCLUSIVE",
    ),
    (
        "breaker_opens_within",
        "late in saturated windows",
        lambda: (
            MadeUpRun()
            .fault("node2")
            .outage("node2", opens=1.9)
            .poke(in_windows(10, 11, change=lagging))
        ),
        "INCONCLUSIVE",
    ),
    (
        "breaker_opens_within",
        "fault of 1 s",
        lambda: MadeUpRun().fault("node2", to=11.0).all_calls("node2", 10, 11, TIMED_OUT),
        "NOT_APPLICABLE",
    ),
    (
        "breaker_opens_within",
        "slow node",
        lambda: MadeUpRun().fault("node2", effects=("degraded",)),
        "NOT_APPLICABLE",
    ),
    # fails_fast_while_open
    ("fails_fast_while_open", "probes only", run_with_outage, "PASS"),
    (
        "fails_fast_while_open",
        "every call waits",
        lambda: MadeUpRun().fault("node2").all_calls("node2", 10, 20, TIMED_OUT),
        "FAIL",
    ),
    (
        "fails_fast_while_open",
        "every fifth call waits",
        lambda: run_with_outage().all_calls("node2", 14, 16, TIMED_OUT),
        "FAIL",
    ),
    ("fails_fast_while_open", "30 told probes", lambda: told_openings(10, 30, 24), "PASS"),
    ("fails_fast_while_open", "30 waits, 6 told", lambda: told_openings(2, 6, 30), "FAIL"),
    (
        "fails_fast_while_open",
        "70 waits excused by 900 told probes",
        lambda: told_openings(300, 900, 70),
        "FAIL",
    ),
    ("fails_fast_while_open", "hardly a call", quiet, "INCONCLUSIVE"),
    ("fails_fast_while_open", "no fault", lambda: MadeUpRun(20), "NOT_APPLICABLE"),
    # batches_fail_fast
    ("batches_fail_fast", "they do", lambda: batches_in_an_outage(0), "PASS"),
    ("batches_fail_fast", "as many as probe", lambda: batches_in_an_outage(5), "PASS"),
    ("batches_fail_fast", "half of them wait", lambda: batches_in_an_outage(40), "FAIL"),
    (
        "batches_fail_fast",
        "while the breaker opens",
        lambda: batches_in_an_outage(0).batch(10, TIMED_OUT, 80),
        "PASS",
    ),
    (
        "batches_fail_fast",
        "on a machine that has other work",
        lambda: batches_in_an_outage(40).poke(late_hub(*range(10, 20))),
        "INCONCLUSIVE",
    ),
    (
        "batches_fail_fast",
        "beside a slow node",
        lambda: batches_in_an_outage(40).fault("node1", at=5, to=25, effects=("degraded",)),
        "NOT_APPLICABLE",
    ),
    (
        "batches_fail_fast",
        "while a second node is away, as nobody could confirm",
        lambda: batches_in_an_outage(40).fault("node1", at=5, to=25, confirmed_at_s=None),
        "NOT_APPLICABLE",
    ),
    ("batches_fail_fast", "no batches", run_with_outage, "INCONCLUSIVE"),
    (
        "batches_fail_fast",
        "a fault that is over before any breaker has to be open",
        lambda: MadeUpRun().fault("node2", to=11.0).outage("node2", 10.0, 11.0),
        "NOT_APPLICABLE",
    ),
    ("batches_fail_fast", "no fault", lambda: MadeUpRun(20), "NOT_APPLICABLE"),
    # breaker_spares_healthy_nodes
    ("breaker_spares_healthy_nodes", "spared", run_with_outage, "PASS"),
    (
        "breaker_spares_healthy_nodes",
        "one call refused",
        lambda: run_with_outage().some_calls("node1", 15, REJECTED, 1),
        "FAIL",
    ),
    (
        "breaker_spares_healthy_nodes",
        "told an opening",
        lambda: (
            run_with_outage()
            .tell("node1", 0, 15, breaker={"closed": 1})
            .tell("node1", 15, 40, breaker={"open": 1}, opened_total=1)
        ),
        "FAIL",
    ),
    (
        "breaker_spares_healthy_nodes",
        "a worker took its openings along",
        lambda: (
            run_with_outage()
            .tell("node1", 0, 15, breaker={"closed": 2}, opened_total=0)
            .tell("node2", 0, 15, breaker={"open": 2}, opened_total=4)
            .tell("node2", 15, 40, breaker={"open": 1}, opened_total=2)
        ),
        "PASS",
    ),
    ("breaker_spares_healthy_nodes", "no fault", lambda: MadeUpRun(20), "NOT_APPLICABLE"),
    # unaffected_nodes_healthy
    ("unaffected_nodes_healthy", "as before", run_with_outage, "PASS"),
    (
        "unaffected_nodes_healthy",
        "p99 3 ms more",
        lambda: run_with_outage().poke(in_windows(*range(11, 20), change=slower)),
        "FAIL",
    ),
    (
        "unaffected_nodes_healthy",
        "p99 3 ms more, generator saturated",
        lambda: (
            run_with_outage()
            .poke(in_windows(*range(11, 20), change=slower))
            .poke(in_windows(*range(11, 20), change=lagging))
        ),
        "INCONCLUSIVE",
    ),
    (
        "unaffected_nodes_healthy",
        "one bad second",
        lambda: run_with_outage().poke(in_windows(14, change=slower)),
        "PASS",
    ),
    (
        "unaffected_nodes_healthy",
        "errors",
        lambda: run_with_outage().some_calls("node1", 15, TIMED_OUT, 10),
        "FAIL",
    ),
    (
        "unaffected_nodes_healthy",
        "no calls while the users wait for node2",
        lambda: run_with_outage().no_calls("node1", 13, 20),
        "FAIL",
    ),
    (
        "unaffected_nodes_healthy",
        "run ends with the fault",
        lambda: MadeUpRun(13).fault("node2", to=12.5).outage("node2", 10, 12.5),
        "INCONCLUSIVE",
    ),
    (
        "unaffected_nodes_healthy",
        "all nodes affected",
        lambda: MadeUpRun().fault("node1", "node2", "node3"),
        "NOT_APPLICABLE",
    ),
    # recovers_within
    ("recovers_within", "0.6 s after", run_with_outage, "PASS"),
    ("recovers_within", "breaker never closes", restless, "FAIL"),
    ("recovers_within", "no traffic again", unused_after_heal, "FAIL"),
    (
        "recovers_within",
        "no traffic to any node again",
        lambda: unused_after_heal().no_calls("node1", 21, 40).no_calls("node3", 21, 40),
        "INCONCLUSIVE",
    ),
    (
        "recovers_within",
        "no traffic to it and to one of the others",
        lambda: unused_after_heal().no_calls("node1", 21, 40),
        "FAIL",
    ),
    ("recovers_within", "answers misses without asking", silent_after_heal, "FAIL"),
    ("recovers_within", "never healed", unhealed, "INCONCLUSIVE"),
    ("recovers_within", "run ends at once", lambda: run_with_outage(21), "INCONCLUSIVE"),
    (
        "recovers_within",
        "the next fault follows",
        lambda: run_with_outage(60).fault("node2", at=24, to=30).outage("node2", 24, 30),
        "PASS",
    ),
    ("recovers_within", "no fault", lambda: MadeUpRun(20), "NOT_APPLICABLE"),
    # after_recovery_as_before
    ("after_recovery_as_before", "as before", run_with_outage, "PASS"),
    (
        "after_recovery_as_before",
        "p99 3 ms more",
        lambda: run_with_outage().poke(in_windows(*range(21, 40), change=slower)),
        "FAIL",
    ),
    (
        "after_recovery_as_before",
        "p99 3 ms more, the ticker 9 ms late",
        lambda: (
            run_with_outage()
            .poke(in_windows(*range(21, 40), change=slower))
            .poke(in_windows(*range(21, 40), change=delayed))
        ),
        "INCONCLUSIVE",
    ),
    (
        "after_recovery_as_before",
        "p99 3 ms more, the ticker 1.5 ms later: four hops explain it",
        lambda: (
            run_with_outage()
            .poke(in_windows(*range(21, 40), change=slower))
            .poke(in_windows(*range(21, 40), change=a_little_delayed))
        ),
        "INCONCLUSIVE",
    ),
    (
        "after_recovery_as_before",
        "p99 3 ms more, the ticker 0.1 ms later: nothing explains it",
        lambda: (
            run_with_outage()
            .poke(in_windows(*range(21, 40), change=slower))
            .poke(in_windows(*range(21, 40), change=hardly_delayed))
        ),
        "FAIL",
    ),
    (
        "after_recovery_as_before",
        "p99 3 ms more, the ticker 9 ms late, the process at twice the CPU",
        lambda: (
            run_with_outage()
            .poke(in_windows(*range(21, 40), change=slower))
            .poke(in_windows(*range(21, 40), change=delayed))
            .poke(in_windows(*range(21, 40), change=toiling))
        ),
        "FAIL",
    ),
    (
        "after_recovery_as_before",
        "a node is not asked any more",
        unused_after_heal,
        "FAIL",
    ),
    (
        "after_recovery_as_before",
        "caches empty",
        lambda: run_with_outage().all_calls("node2", 21, 40, MISSED),
        "FAIL",
    ),
    (
        "after_recovery_as_before",
        "caches empty after a restart",
        lambda: (
            MadeUpRun()
            .fault("node2", effects=("unavailable", "cold"))
            .outage("node2")
            .all_calls("node2", 21, 40, MISSED)
        ),
        "PASS",
    ),
    ("after_recovery_as_before", "4 windows", lambda: run_with_outage(25), "INCONCLUSIVE"),
    ("after_recovery_as_before", "never healed", unhealed, "INCONCLUSIVE"),
    ("after_recovery_as_before", "no fault", lambda: MadeUpRun(20), "NOT_APPLICABLE"),
    # no_second_dip
    ("no_second_dip", "none", run_with_outage, "PASS"),
    (
        "no_second_dip",
        "7 of 600 in one window",
        lambda: run_with_outage().some_calls("node1", 30, TIMED_OUT, 7),
        "FAIL",
    ),
    (
        "no_second_dip",
        "6 of 600 in one window",
        lambda: run_with_outage().some_calls("node1", 30, TIMED_OUT, 6),
        "PASS",
    ),
    ("no_second_dip", "run ends at once", lambda: run_with_outage(21), "INCONCLUSIVE"),
    ("no_second_dip", "no fault", lambda: MadeUpRun(20), "NOT_APPLICABLE"),
    # load processes that the client ended or silenced
    (
        "predictable_errors",
        "a process that the client ended",
        lambda: lost(MadeUpRun(20), 8, 40, ended="ended the process (Aborted) at app/cache.py:9"),
        "FAIL",
    ),
    ("predictable_errors", "a process that is gone", lambda: lost(MadeUpRun(20), 8, 40), "PASS"),
    (
        "hub_not_blocked",
        "a process that the client silenced",
        lambda: lost(MadeUpRun(20), 8, 40, silenced="silenced the process at app/cache.py:9"),
        "FAIL",
    ),
    ("hub_not_blocked", "a process that is gone", lambda: lost(MadeUpRun(20), 8, 40), "PASS"),
    # no_leaks
    ("no_leaks", "tidy", lambda: MadeUpRun(10), "PASS"),
    (
        "no_leaks",
        "4 descriptors more",
        lambda: hung(MadeUpRun(10), after={"fds": 24, "greenlets": 10}),
        "FAIL",
    ),
    (
        "no_leaks",
        "3 descriptors more",
        lambda: hung(MadeUpRun(10), after={"fds": 23, "greenlets": 10}),
        "PASS",
    ),
    (
        "no_leaks",
        "6 greenlets more",
        lambda: hung(MadeUpRun(10), after={"fds": 20, "greenlets": 16}),
        "FAIL",
    ),
    ("no_leaks", "a slot in use", lambda: hung(MadeUpRun(10), slots_in_use=1), "FAIL"),
    ("no_leaks", "slots unknown", lambda: hung(MadeUpRun(10), slots_in_use=None), "PASS"),
    ("no_leaks", "memory + 60 %", lambda: hung(MadeUpRun(10), rss_end=160e6), "FAIL"),
    ("no_leaks", "memory + 40 %", lambda: hung(MadeUpRun(10), rss_end=140e6), "PASS"),
    (
        "no_leaks",
        "connections left",
        lambda: MadeUpRun(10).but(server_connections={"node1": (2, 12)}, nodes=["node1"]),
        "FAIL",
    ),
    (
        "no_leaks",
        "connections unknown",
        lambda: MadeUpRun(10).but(server_connections={}),
        "INCONCLUSIVE",
    ),
    ("no_leaks", "nothing counted", lambda: hung(MadeUpRun(10), after={}), "INCONCLUSIVE"),
    ("no_leaks", "lost worker is excepted", lambda: lost(MadeUpRun(20), 8, 40), "PASS"),
    # all_faults_healed
    ("all_faults_healed", "healed", run_with_outage, "PASS"),
    ("all_faults_healed", "not healed", unhealed, "FAIL"),
    (
        "all_faults_healed",
        "a toxic left over",
        lambda: run_with_outage().but(leftovers=["toxic hole on node2"]),
        "FAIL",
    ),
    (
        "all_faults_healed",
        "not begun, nothing to heal",
        lambda: MadeUpRun().fault("node2", injected_at_s=None, healed_at_s=None),
        "PASS",
    ),
    ("all_faults_healed", "no fault", lambda: MadeUpRun(20), "NOT_APPLICABLE"),
    # baseline_kept; more in test_earlier_runs.py
    ("baseline_kept", "as then", lambda: MadeUpRun(20).but(earlier=earlier()), "PASS"),
    (
        "baseline_kept",
        "slower within the slack",
        lambda: MadeUpRun(20).but(earlier=earlier(steady_p50=0.05, steady_p99=0.2)),
        "PASS",
    ),
    (
        "baseline_kept",
        "fewer than then",
        lambda: MadeUpRun(20).but(earlier=earlier(steady_throughput=660.0)),
        "FAIL",
    ),
    ("baseline_kept", "no baseline", lambda: MadeUpRun(20), "NOT_APPLICABLE"),
]


@pytest.mark.parametrize(
    ("name", "make", "ruling"),
    [pytest.param(n, make, ruling, id=f"{n}: {case}") for n, case, make, ruling in CASES],
)
def test_check(name: str, make: Make, ruling: str) -> None:
    """Each check rules as its row says."""
    result = check(name, make())
    assert (result.verdict.value, result.name) == (ruling, name), result


def test_every_judged_check_has_cases() -> None:
    """No check is without a row that holds and one that does not."""
    rows: dict[str, set[str]] = {}
    for name, _, _, ruling in CASES:
        rows.setdefault(name, set()).add(ruling)
    assert set(rows) == set(known_checks())
    assert all("PASS" in seen and len(seen) > 1 for seen in rows.values())


def test_no_check_reads_a_sentence() -> None:
    """What is said of a fault for a reader decides nothing: words of another one change nothing."""
    for name, what, make, ruling in CASES:
        run = make()
        for record in run.faults:
            record.emulated_by = "nftables" if record.backend == "toxiproxy" else "Toxiproxy"
            record.evidence = [record.emulated_by]
        if run.faults:
            assert check(name, run).verdict.value == ruling, (name, what)


def test_keys_named_by_a_batch_count_where_their_node_was_unaffected() -> None:
    """Failed keys of the dead node are excused, those of a healthy one are not."""
    for node, ruling in (("node2", "PASS"), ("node1", "FAIL")):
        run = run_with_outage().batch(15, (Outcome.PARTIAL, 200), 10)
        run.batch_failed[15] = {node: 80}
        assert check("error_budget", run).verdict.value == ruling


def test_key_that_a_batch_names_as_failed_is_no_miss() -> None:
    """The hit ratio counts only keys somebody knows something about."""
    run = MadeUpRun(20).batch(5, (Outcome.PARTIAL, 200), 10)
    run.batch_failed[5] = {"node2": 80}

    def found(windows: dict[int, Window]) -> None:
        windows[5].cells["get_many", "", Outcome.PARTIAL].hits = 160

    sums = View(run.poke(found).facts()).sums(5)
    assert sums.read_keys == 600 + 240 - 80
    assert sums.read_hits == 570 + 160


def test_early_stop_is_named_where_its_part_is_missing() -> None:
    """A check that needs the missing part says that the run stopped early, and why."""
    run = run_with_outage(22).but(stopped_early="SIGINT")
    result = check("after_recovery_as_before", run)
    assert result.verdict.value == "INCONCLUSIVE"
    assert result.why.endswith("the run stopped early: SIGINT")


def test_lost_worker_is_named_with_its_time() -> None:
    """The verdict says which worker was lost, and when."""
    result = check("enough_requests", lost(MadeUpRun(20), 8, 13))
    assert "w2 at 8.0 s" in result.why


def test_comings_and_goings_are_told_of_a_run_that_holds() -> None:
    """A worker that came late or was cut off for a while is named; nothing is held against it."""
    run = MadeUpRun(20)
    workers = [
        run.worker(12_000, away=((4.7, 15.2),)),
        run.worker(9_000, id="w2", joined_at_s=8.0),
    ]
    windows = {w.second: w for w in run.facts().windows}
    told = sum(cell.count for w in windows.values() for cell in w.cells.values())
    workers[1] = run.worker(told - 12_000, id="w2", joined_at_s=8.0)
    result = check("enough_requests", run.but(workers=workers))
    assert result.verdict.value == "PASS"
    assert "w1 was cut off from 4.7 s to 15.2 s, its reports came afterwards" in result.why
    assert "w2 joined at 8.0 s" in result.why


def test_keys_named_by_a_batch_after_the_heal_count_for_recovery() -> None:
    """A batch that names keys of a healed node as failed delays its recovery."""
    run = run_with_outage()
    run.batch_failed[35] = {"node2": 5}
    result = check("recovers_within", run)
    assert result.verdict.value == "FAIL"
    assert result.observed == pytest.approx(35 - 20.1)


def test_cells_need_no_slices() -> None:
    """A window that only holds cells is judged without a crash."""

    def bare(windows: dict[int, Window]) -> None:
        for window in windows.values():
            window.slices = {}
            window.cells = {("get", "node1", Outcome.HIT): Cell(count=5, keys=5, hits=5)}

    run = run_with_outage().poke(bare)
    for name in known_checks():
        check(name, run)


def test_leaks_name_a_close_that_raised() -> None:
    """What is left over may be the doing of a client that could not be closed."""
    finding = {"kind": "close_failed", "error": "close() raised ValueError('gone')"}
    run = hung(MadeUpRun(10), after={"fds": 24, "greenlets": 10})
    assert "ValueError" not in check("no_leaks", run).why
    assert "close() raised ValueError('gone')" in check("no_leaks", run.but(findings=[finding])).why
