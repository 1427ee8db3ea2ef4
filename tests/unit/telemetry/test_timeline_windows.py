"""The master's timeline: no gaps, nothing lost by age, bounded memory."""

from __future__ import annotations

from typing import Any

import pytest

from client.operation import Outcome
from telemetry.recorder import Recorder
from telemetry.timeline import Timeline
from telemetry.window import NodeState, Window
from telemetry.window_store import WindowStore


class FakeClock:
    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def increment(*at: float, clock: FakeClock | None = None) -> dict[str, Any]:
    recorder = Recorder(clock or FakeClock(max(at, default=0.0) + 1))
    recorder.start(0.0)
    for moment in at:
        recorder.record("get", "node1", Outcome.HIT, moment, moment, moment + 0.01, 1, 1)
    return recorder.take()


def operations(window: Window) -> int:
    return sum(cell.count for cell in window.cells.values())


def test_windows_have_no_gaps() -> None:
    """A second without a single operation is an empty window, from second 0 on."""
    timeline = Timeline(FakeClock())
    timeline.merge("a", increment(3.5, 6.1))
    assert [(w.second, operations(w)) for w in timeline.windows()] == [
        (0, 0),
        (1, 0),
        (2, 0),
        (3, 1),
        (4, 0),
        (5, 0),
        (6, 1),
    ]


def test_an_empty_timeline_has_no_windows() -> None:
    """Before anything is known there is nothing to show, and asking is no error."""
    timeline = Timeline(FakeClock())
    assert timeline.windows() == []
    assert timeline.window(5) == Window(5)
    assert timeline.totals()["operations"] == 0


def test_looking_changes_nothing() -> None:
    """A look at an empty second does not make one."""
    timeline = Timeline(FakeClock())
    timeline.window(50)
    timeline.windows()
    assert timeline.latest == -1


def test_totals_are_kept_for_each_worker() -> None:
    """Operations are known by worker, and their sum is the total."""
    timeline = Timeline(FakeClock())
    timeline.merge("a", increment(0.1, 0.2))
    timeline.merge("b", increment(0.1, 5.2, 6.0))
    assert timeline.operations == {"a": 2, "b": 3}
    assert timeline.totals() == {
        "operations": 5,
        "keys": 5,
        "errors": 0,
        "wrong_values": 0,
        "verified_hits": 5,
    }


def test_time_is_the_masters_own() -> None:
    """After `start`, now is the master's clock, whether or not anybody reports."""
    clock = FakeClock(100.0)
    timeline = Timeline(clock)
    assert timeline.now_s == 0.0
    timeline.start(100.0)
    clock.now = 107.5
    assert timeline.now_s == 7.5


def test_second_zero_is_estimated_until_it_is_set() -> None:
    """The first report says how old the run is; the quickest one is nearest the truth."""
    clock = FakeClock(100.0)
    timeline = Timeline(clock)
    timeline.merge("a", {"until": 2.0, "operations": 0})
    assert timeline.now_s == 2.0
    clock.now = 101.0
    timeline.merge("a", {"until": 3.5, "operations": 0})
    assert timeline.now_s == 3.5


def test_a_second_far_ahead_is_filed_under_now() -> None:
    """A worker with a broken clock cannot make a million empty windows."""
    clock = FakeClock(10.0)
    timeline = Timeline(clock)
    timeline.start(0.0)
    timeline.merge("a", increment(1e9))
    assert timeline.latest <= 15
    assert timeline.totals()["operations"] == 1


@pytest.mark.parametrize(
    ("until", "now_s", "complete"),
    [
        pytest.param({"a": 5.9, "b": 6.0}, 6.0, False, id="one worker may still have calls open"),
        pytest.param({"a": 6.0, "b": 6.5}, 6.5, True, id="all have reported"),
        pytest.param({"a": 9.0, "b": 2.0}, 9.0, False, id="one is late"),
        pytest.param({"a": 9.0, "b": 2.0}, 10.0, True, id="five seconds are enough"),
        pytest.param({}, 9.0, False, id="nobody reported yet"),
    ],
)
def test_a_second_is_complete_when_all_reported(
    until: dict[str, float], now_s: float, complete: bool
) -> None:
    """Second 4 is complete once every worker told of it and its calls, or 5 s later."""
    timeline = Timeline(FakeClock())
    for worker, moment in until.items():
        timeline.merge(worker, {"until": moment})
    assert timeline.is_complete(4, now_s) is complete


def test_a_silent_worker_falls_behind() -> None:
    """How far each worker's reports lag is known by worker."""
    clock = FakeClock(10.0)
    timeline = Timeline(clock)
    timeline.start(0.0)
    timeline.merge("a", {"until": 9.5})
    timeline.merge("b", {"until": 4.0})
    assert timeline.seconds_behind() == {"a": 0.5, "b": 6.0}


def states(worker: str, *samples: tuple[float, int]) -> dict[str, Any]:
    recorder = Recorder(FakeClock())
    recorder.start(0.0)
    for at, opened in samples:
        state = NodeState(breaker={"closed": 1}, idle=1, opened_total=opened)
        recorder.node_states(at, {"node1": state})
        recorder.users(at, 10)
    return recorder.take()


def test_a_state_counts_once_a_second_for_each_process() -> None:
    """Two samples in a second, or in two reports of it, leave the newest one."""
    timeline = Timeline(FakeClock())
    timeline.merge("a", states("a", (0.1, 0), (0.9, 1)))
    timeline.merge("a", states("a", (0.95, 2)))
    timeline.merge("b", states("b", (0.5, 5)))
    window = timeline.window(0)
    assert window.users == 20
    assert window.nodes["node1"] == NodeState(breaker={"closed": 2}, idle=2, opened_total=7)


def test_a_skipped_sample_is_no_change() -> None:
    """A process that missed a second by its timer was as before, so no sum dips and rises."""
    timeline = Timeline(FakeClock())
    timeline.merge("a", states("a", (0.9, 3), (2.1, 3)))
    timeline.merge("b", states("b", (0.5, 1), (1.5, 1), (2.5, 1)))
    assert [w.nodes["node1"].opened_total for w in timeline.windows()] == [4, 4, 4]
    assert [w.users for w in timeline.windows()] == [20, 20, 20]


def test_a_process_long_silent_is_not_made_up() -> None:
    """Only short gaps are filled."""
    timeline = Timeline(FakeClock())
    timeline.merge("a", states("a", (0.5, 3), (20.5, 3)))
    assert timeline.window(10).users == 0


def test_the_server_speaks_for_its_second() -> None:
    """What a server counted itself is kept beside what the clients saw."""
    timeline = Timeline(FakeClock())
    timeline.server(2, "node1", {"curr_connections": 7})
    timeline.server(-1, "node1", {"curr_connections": 9})
    assert timeline.window(2).server == {"node1": {"curr_connections": 7}}
    assert timeline.latest == 2


def test_merged_windows_keep_the_counts_of_batches_and_of_errors() -> None:
    """Two seconds that become one window add up in every field that counts."""
    early, late = Window(5), Window(6)
    for window in (early, late):
        window.batch_calls = {"node1": 2}
        window.batch_alone = {"node1": 1}
        window.batch_nothing = {("raised", ("node1",)): 3}
        window.raised = {("get", "node1", "other_error", "CacheDownError"): 4}
    early.absorb(late)
    assert early.batch_calls == {"node1": 4}
    assert early.batch_alone == {"node1": 2}
    assert early.batch_nothing == {("raised", ("node1",)): 6}
    assert early.raised == {("get", "node1", "other_error", "CacheDownError"): 8}


def test_old_seconds_are_looked_after_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many processes report in a second, and however many nodes give their statistics."""
    settled: list[int] = []
    monkeypatch.setattr(WindowStore, "settle", lambda self, latest: settled.append(latest))
    timeline = Timeline(FakeClock())
    for second in range(3):
        for worker in "abc":
            timeline.merge(worker, increment(second + 0.5))
        for node in ("node1", "node2"):
            timeline.server(second, node, {"pid": 1})
    assert settled == [0, 1, 2]
