"""Live numbers are of the last seconds by the master's clock."""

from __future__ import annotations

import pytest

from client.operation import Outcome
from telemetry.live import recent, worst_breaker
from telemetry.recorder import Recorder
from telemetry.timeline import Timeline
from telemetry.window import NodeState


class FakeClock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def running(seconds: int) -> tuple[Timeline, FakeClock]:
    """Give a timeline of ten operations a second, one of them failed, on two nodes."""
    clock = FakeClock()
    timeline, recorder = Timeline(clock), Recorder(clock)
    timeline.start(0.0)
    recorder.start(0.0)
    for second in range(seconds):
        clock.now = second + 1.0
        for number in range(10):
            at = second + number / 10
            node = f"node{1 + number % 2}"
            outcome = Outcome.TIMEOUT if number == 1 else Outcome.HIT
            recorder.record("get", node, outcome, at, at, at + 0.002, 1, int(number != 1))
        recorder.node_states(second + 0.5, {"node2": NodeState(breaker={"open": 1}, in_use=3)})
        recorder.users(second + 0.5, 7)
        timeline.merge("w", recorder.take())
    return timeline, clock


def test_rates_are_of_the_last_whole_seconds() -> None:
    """Operations, errors and users are those of the window looked at, not of the run."""
    timeline, clock = running(10)
    clock.now = 10.3
    numbers = recent(timeline, 5)
    assert (numbers.second, numbers.seconds) == (8, 5)
    assert (numbers.operations_per_s, numbers.keys_per_s) == (10.0, 10.0)
    assert numbers.error_rate == 0.1
    assert numbers.users == 7
    assert numbers.service_p50_ms == pytest.approx(2.0, rel=0.016)
    assert numbers.response_p50_ms is None
    node = numbers.nodes["node2"]
    assert (node.breaker, node.in_use, node.operations, node.errors) == ("open", 3, 25, 5)
    assert numbers.nodes["node1"].breaker == ""


def test_a_total_outage_shows_as_zero() -> None:
    """When nothing ends any more the rates fall, though no request says so."""
    timeline, clock = running(10)
    clock.now = 30.0
    numbers = recent(timeline, 5)
    assert numbers.operations_per_s == 0.0
    assert numbers.service_p99_ms is None
    assert set(numbers.nodes) == {"node1", "node2"}


def test_nothing_is_known_before_the_start() -> None:
    """A page may ask at any time."""
    numbers = recent(Timeline(FakeClock()))
    assert (numbers.second, numbers.operations_per_s, numbers.nodes) == (-1, 0.0, {})


def test_the_end_of_a_run_can_be_looked_at_later() -> None:
    """A finished run keeps its last numbers when asked for its own end."""
    timeline, clock = running(10)
    clock.now = 500.0
    assert recent(timeline, 3, now_s=10.3).operations_per_s == 10.0


@pytest.mark.parametrize(
    ("states", "worst"),
    [
        pytest.param({}, "", id="no client tells"),
        pytest.param({"closed": 3}, "closed", id="all closed"),
        pytest.param({"closed": 3, "half_open": 1}, "half_open", id="one probes"),
        pytest.param({"closed": 3, "half_open": 1, "open": 1}, "open", id="one is open"),
        pytest.param({"closed": 1, "open": 0}, "closed", id="none open any more"),
    ],
)
def test_a_node_shows_its_worst_breaker(states: dict[str, int], worst: str) -> None:
    """One process with an open breaker is news, however many are closed."""
    assert worst_breaker(states) == worst
