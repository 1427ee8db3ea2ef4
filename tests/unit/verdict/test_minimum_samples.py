"""The contract of the checks: each limit, and the samples without which a check says nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from client.operation import Outcome
from memquake.limits import LIMITS, Kind
from telemetry.window import Cell, Window
from tests.unit.verdict.ledger_cases import told
from tests.unit.verdict.made_up_runs import REJECTED, MadeUpRun, earlier
from verdict.checks import CHECKS
from verdict.model import Ruling
from verdict.view import View

CONTRACT: list[tuple[str, Kind, float | None, int]] = [
    ("no_wrong_values", Kind.COUNT, 0, 1_000),
    ("no_lost_writes", Kind.COUNT, 0, 100),
    ("no_lost_updates", Kind.COUNT, 0, 100),
    ("no_stale_reads", Kind.COUNT, 0, 1_000),
    ("ttl_kept", Kind.COUNT, 0, 50),
    ("no_masked_misses", Kind.SHARE, 0.001, 100),
    ("no_false_misses", Kind.SHARE, 0.001, 1_000),
    ("predictable_errors", Kind.COUNT, 0, 0),
    ("enough_requests", Kind.COUNT, 1_000, 5),
    ("steady_baseline", Kind.SHARE, 0.30, 0),
    ("fault_confirmed", Kind.COUNT, 0, 0),
    ("load_kept", Kind.SHARE, 0.95, 0),
    ("generator_not_saturated", Kind.SECONDS, 0.020, 0),
    ("hub_not_blocked", Kind.COUNT, 0, 0),
    ("error_budget", Kind.SHARE, 0.001, 0),
    ("batches_kept", Kind.SHARE, 0.01, 50),
    ("connections_kept", Kind.SHARE, 0.01, 1_000),
    ("load_spread", Kind.SHARE, 0.1, 300),
    ("deadline_kept", Kind.COUNT, 0, 0),
    ("breaker_opens_within", Kind.SECONDS, None, 20),
    ("fails_fast_while_open", Kind.SHARE, 0.01, 100),
    ("batches_fail_fast", Kind.SHARE, 0.01, 50),
    ("breaker_spares_healthy_nodes", Kind.COUNT, 0, 0),
    ("unaffected_nodes_healthy", Kind.RATIO, 2.0, 5),
    ("recovers_within", Kind.SECONDS, 10.0, 0),
    ("after_recovery_as_before", Kind.RATIO, 1.5, 5),
    ("no_second_dip", Kind.COUNT, 0, 0),
    ("no_reconnect_storm", Kind.COUNT, None, 0),
    ("retry_amplification", Kind.RATIO, 1.2, 0),
    ("snapshot_true", Kind.COUNT, 0, 0),
    ("no_leaks", Kind.SHARE, 0.10, 0),
    ("all_faults_healed", Kind.COUNT, 0, 0),
    ("baseline_kept", Kind.RATIO, 1.5, 5),
]
"""Check, what its limit counts, its default, the samples needed. A default of None is of the run:
op_timeout + 1 s, and pool size x processes."""


def test_limits_and_samples_are_those_of_the_contract() -> None:
    """Every check, in the order of the reports."""
    assert [(n, each.kind, each.default, each.needed) for n, each in LIMITS.items()] == CONTRACT


def only(count: int) -> MadeUpRun:
    """Let the whole run be so many hits on node1, all in one second."""

    def change(windows: dict[int, Window]) -> None:
        for window in windows.values():
            window.cells, window.slices = {}, {}
        hits = Cell(count=count, keys=count, hits=count, service={200: count})
        windows[5].cells["get", "node1", Outcome.HIT] = hits

    return MadeUpRun(20).poke(change)


def keys_of_a_dead_node(count: int) -> MadeUpRun:
    """Let nothing but batches ask the node that is out, for so many keys."""

    def ask(windows: dict[int, Window]) -> None:
        windows[12].batch_keys = {"node2": count}

    return MadeUpRun().fault("node2").no_calls("node2", 0, 40).poke(ask)


def batches(count: int) -> MadeUpRun:
    """Let so many batches meet a node that is out, and give what the others have."""
    return MadeUpRun().fault("node2").outage("node2").batch(15, (Outcome.PARTIAL, 300), count)


def refused(first: int, later: int = 0) -> MadeUpRun:
    """Let so many calls to a dead node fail at once as its fault begins, and so many afterwards."""
    run = MadeUpRun().fault("node2").no_calls("node2", 10, 20)
    run.tenths[105, "node2"] = Counter({REJECTED: first})
    run.tenths[150, "node2"] = Counter({REJECTED: later})
    return run


def spread(keys: int) -> MadeUpRun:
    """Let the nodes hold so many keys after the prefill."""
    run = MadeUpRun(10)
    names = run.names
    placed = {name: (keys + at) // len(names) for at, name in enumerate(names)}
    return run.but(workers=[run.worker(6_000, keys_placed=placed)])


def under_a_fault(windows: int) -> MadeUpRun:
    """Let a fault last for so many whole seconds, and the run end with it."""
    end = 11.0 + windows
    return MadeUpRun(12 + windows).fault("node2", to=end).outage("node2", 10, end)


def recovered(windows: int) -> MadeUpRun:
    """Let a run end so many whole seconds after it has recovered."""
    return MadeUpRun(21 + windows).fault("node2").outage("node2")


SAMPLES: dict[str, Callable[[int], MadeUpRun]] = {
    "no_wrong_values": only,
    "no_lost_writes": lambda count: told(MadeUpRun(20), writes=count),
    "no_lost_updates": lambda count: told(MadeUpRun(20), updates=count),
    "no_stale_reads": lambda count: told(MadeUpRun(20), reads=count),
    "ttl_kept": lambda count: told(MadeUpRun(20), expired=count),
    "no_masked_misses": keys_of_a_dead_node,
    "no_false_misses": lambda count: told(MadeUpRun(20), reads=count),
    "enough_requests": lambda count: MadeUpRun(2 + count),
    "batches_kept": batches,
    "connections_kept": only,
    "load_spread": spread,
    "breaker_opens_within": refused,
    "fails_fast_while_open": lambda count: refused(1, count),
    "batches_fail_fast": batches,
    "unaffected_nodes_healthy": under_a_fault,
    "after_recovery_as_before": recovered,
    "baseline_kept": lambda count: MadeUpRun(2 + count).but(earlier=earlier()),
}


def test_every_minimum_is_tried() -> None:
    """No check has one that no run below shows."""
    assert set(SAMPLES) == {name for name, limit in LIMITS.items() if limit.needed}


@pytest.mark.parametrize(("name", "make"), SAMPLES.items(), ids=SAMPLES)
@pytest.mark.parametrize("lacking", [0, 1], ids=["enough", "one too few"])
def test_what_is_below_the_minimum_is_inconclusive(
    name: str, make: Callable[[int], MadeUpRun], lacking: int
) -> None:
    """And says how many are needed; a run with just as many holds."""
    needed = LIMITS[name].needed
    result = CHECKS[name](View(make(needed - lacking).facts()))
    assert result.verdict is (Ruling.INCONCLUSIVE if lacking else Ruling.PASS), result
    assert not lacking or f"{needed:,} needed" in result.why
