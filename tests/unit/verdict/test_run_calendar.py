"""Which windows belong to what: edges and the first two seconds decide nothing."""

from __future__ import annotations

import math

from faults.effect import Effect
from faults.journal import FaultRecord, PhaseRecord
from verdict.phases import Phases, calendar


def fault(at: float, to: float | None, node: str = "node1", **changes: float | None) -> FaultRecord:
    record = FaultRecord(
        id="f",
        kind="down",
        effects=frozenset({Effect.UNAVAILABLE}),
        nodes=(node,),
        emulated_by="",
        planned_at_s=at,
        planned_end_s=to or 0.0,
        injected_at_s=at,
        confirmed_at_s=at + 0.3,
        heal_started_s=to,
        healed_at_s=None if to is None else to + 0.2,
    )
    for name, value in changes.items():
        setattr(record, name, value)
    return record


def phases(*faults: FaultRecord, length: float = 30.0) -> Phases:
    records = [
        PhaseRecord(name="stabilization", start_s=0.02, end_s=10.02),
        PhaseRecord(name="testing", start_s=10.02, end_s=20.0),
        PhaseRecord(name="recovery", start_s=20.0, end_s=length),
    ]
    return calendar(records, faults, length + 0.7)


def test_without_faults_the_run_after_two_seconds_is_the_baseline() -> None:
    """Scenario none has no phases that matter."""
    assert calendar([], [], 6.5).baseline == (2, 3, 4, 5)


def test_stabilization_without_two_seconds_is_the_baseline() -> None:
    """A phase that begins some milliseconds late loses no window."""
    assert phases(fault(12.0, 15.0)).baseline == tuple(range(2, 10))


def test_baseline_loses_the_window_an_injection_touches() -> None:
    """An injection takes effect a little before its call returns, never before it was due."""
    assert phases(fault(10.05, 15.0, planned_at_s=9.9)).baseline == tuple(range(2, 9))
    assert phases(fault(10.05, 15.0, planned_at_s=10.0)).baseline == tuple(range(2, 10))


def test_an_injection_that_takes_long_touches_every_window_since_it_began() -> None:
    """Thousands of connections are a fault from the first of them on."""
    run = phases(fault(12.9, 15.9, begun_at_s=11.2, planned_at_s=11.0))
    assert run.touched == {11, 12, 13, 15, 16}
    assert run.touches(run.spans[0], 11.0, 12.0, 0.0)
    assert not run.touches(run.spans[0], 10.0, 11.0, 0.0)


def test_windows_touched_by_an_edge_decide_nothing() -> None:
    """From the injection to its confirmation, and from the heal to its read-back."""
    run = phases(fault(12.9, 15.9))
    assert run.touched == {12, 13, 15, 16}
    assert run.during(run.spans[0]) == (14,)


def test_partial_last_second_decides_nothing() -> None:
    """The load ends with the last phase, not when the last answer came."""
    assert phases(fault(12.0, 15.0)).full[-1] == 29


def test_never_injected_fault_touches_nothing() -> None:
    """A fault that did not happen has no windows."""
    run = phases(fault(12.0, 15.0, injected_at_s=None))
    assert (run.spans, run.touched, run.last_heal) == ((), frozenset(), None)


def test_unhealed_fault_lasts_to_the_end() -> None:
    """Without a heal there is no recovery, and no end of the excuse."""
    run = phases(fault(12.0, None))
    assert run.last_heal is None
    assert run.blamed_until(run.spans[0], 10.0) == math.inf
    assert run.is_affected("node1", 29, 30, 10.0)
    assert not run.is_affected("node2", 29, 30, 10.0)


def test_recovery_excuses_for_its_time_only() -> None:
    """A node is affected until its heal was read back and the time to recover is over."""
    run = phases(fault(12.0, 15.0))
    assert run.is_affected("node1", 16, 17, 2.0)
    assert not run.is_affected("node1", 17.2, 18, 2.0)
    assert not run.is_affected("node1", 10, 11, 2.0)


def test_next_injection_ends_a_recovery() -> None:
    """A flapping node recovers between two faults or not at all."""
    run = phases(fault(12.0, 13.0), fault(15.0, 16.0), fault(17.0, 18.0, "node2"))
    assert run.next_injection("node1", 13.2) == 15.0
    assert run.next_injection("node1", 16.2) == 30.0
    assert run.last_heal == 18.2
