"""A worker knows the master's time to within half a round trip."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from telemetry.clock_sync import ClockSync
from telemetry.clocks import KEPT_ANSWERS, ClockEstimate
from telemetry.recorder import Recorder

DELAYS = st.lists(
    st.tuples(st.floats(0.0001, 0.5), st.floats(0.0001, 0.5)), min_size=1, max_size=20
)


@settings(deadline=None)
@given(st.floats(-1e6, 1e6), DELAYS)
def test_the_true_offset_lies_within_the_error(offset: float, delays: list[Any]) -> None:
    """However unequal the two ways, the offset is off by no more than it says."""
    estimate, now = ClockEstimate(), 100.0
    for there, back in delays:
        estimate.asked(now)
        assert estimate.answered(now, now + there + offset, now + there + back)
        now += 5.0
    assert abs(estimate.offset_s - offset) <= estimate.error_s + 1e-6
    best = min(there + back for there, back in delays[-KEPT_ANSWERS:]) / 2
    assert math.isclose(estimate.error_s, best, abs_tol=1e-9)


def test_an_answer_to_no_question_is_refused() -> None:
    """Doubled and foreign answers say nothing about this process."""
    estimate = ClockEstimate()
    estimate.asked(1.0)
    assert not estimate.answered(0.5, 7.0, 1.1)
    assert estimate.answered(1.0, 7.0, 1.1)
    assert not estimate.answered(1.0, 9.0, 1.2)
    assert estimate.answers == 1


def test_nothing_is_known_before_the_first_answer() -> None:
    """No answer means no offset and an unbounded error."""
    estimate = ClockEstimate()
    assert (estimate.offset_s, estimate.error_s) == (0.0, math.inf)


class FakeRunner:
    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []
        self.listeners: dict[str, Callable[..., None]] = {}

    def register_message(
        self, msg_type: str, listener: Callable[..., None], concurrent: bool = False
    ) -> None:
        self.listeners[msg_type] = listener

    def send_message(self, msg_type: str, data: Any = None, client_id: str | None = None) -> None:
        self.sent.append((msg_type, data))

    def hear(self, name: str, data: dict[str, Any]) -> None:
        class Heard:
            node_id = "worker"

        Heard.data = data  # type: ignore[attr-defined]  # a message has this and nothing else
        self.listeners[name](environment=None, msg=Heard)


def test_a_better_answer_moves_the_epoch_of_the_recorder() -> None:
    """Second 0 follows the clock comparison while a run is on, and no longer."""
    runner, now = FakeRunner(), [10.0]
    sync = ClockSync(runner, clock=lambda: now[0], spawn=lambda _: None)
    recorder = Recorder()
    recorder.start(0.0)
    sync.follow(recorder, epoch_master=1_000.0)
    assert recorder.epoch == 1_000.0
    sync.ping()
    assert runner.sent == [("mq_ping", {"t0": 10.0})]
    now[0] = 10.2
    runner.hear("mq_pong", {"t0": 10.0, "t1": 510.1})
    assert math.isclose(sync.offset_s, 500.0)
    assert math.isclose(sync.error_s, 0.1)
    assert math.isclose(recorder.epoch, 500.0)
    sync.unfollow()
    sync.ping()
    runner.hear("mq_pong", {"t0": 10.2, "t1": 600.0})
    assert math.isclose(recorder.epoch, 500.0)
    assert sync.error_s == 0.0


def test_another_master_is_told_once_and_moves_no_clock() -> None:
    """A master that was started anew answers with another identity, and a clock of its own."""
    runner, told = FakeRunner(), []
    sync = ClockSync(
        runner, clock=lambda: 10.0, spawn=lambda _: None, on_other_master=lambda: told.append(1)
    )
    for t1, master in ((510.0, "first"), (510.0, "first"), (7.0, "second"), (8.0, "second")):
        sync.ping()
        runner.hear("mq_pong", {"t0": 10.0, "t1": t1, "master": master})
    assert sync.offset_s == 500.0
    assert told == [1]


def test_following_does_not_start_a_recorder() -> None:
    """Only the run itself sets second 0; a clock comparison may move it, never make it."""
    recorder = Recorder()
    recorder.rebase(5.0)
    assert recorder.epoch == math.inf
