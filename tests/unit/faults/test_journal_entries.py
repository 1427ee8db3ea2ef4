"""The journal writes each entry at once and keeps the records the verdict reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from faults.effect import Effect
from faults.journal import FaultRecord, Journal


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def record() -> FaultRecord:
    return FaultRecord("a", "down", frozenset({Effect.UNAVAILABLE}), ("n",), "how", 1.0, 2.0)


def test_entries_are_in_the_file_at_once(tmp_path: Path) -> None:
    """Without close or flush, in seconds of the run."""
    clock = Clock()
    journal = Journal(tmp_path / "j", clock, epoch=100.0)
    clock.now = 103.5
    journal.note("something", what="x")
    assert lines(tmp_path / "j") == [{"t": 3.5, "event": "something", "what": "x"}]
    journal.close()


def test_what_happens_before_the_start_gets_a_negative_time(tmp_path: Path) -> None:
    """Entries wait for second 0 and are then written in their order."""
    clock = Clock()
    journal = Journal(tmp_path / "j", clock)
    journal.note("early")
    assert lines(tmp_path / "j") == []
    journal.begin(102.0)
    assert lines(tmp_path / "j") == [{"t": -2.0, "event": "early"}]
    journal.close()


def test_a_run_that_never_starts_keeps_its_entries(tmp_path: Path) -> None:
    """Closing writes what was held back, without a time."""
    journal = Journal(tmp_path / "j", Clock())
    journal.note("early")
    journal.close()
    assert lines(tmp_path / "j") == [{"t": None, "event": "early"}]


def test_a_phase_ends_the_one_before_it() -> None:
    """Phases follow each other without gaps."""
    journal = Journal(clock=Clock(), epoch=100.0)
    journal.phase("stabilization", 0.0)
    journal.phase("testing", 30.0)
    journal.phase_ended(45.0)
    journal.phase_ended(50.0)
    assert [(p.name, p.start_s, p.end_s) for p in journal.phases] == [
        ("stabilization", 0.0, 30.0),
        ("testing", 30.0, 45.0),
    ]


def test_a_fault_is_kept_once_and_written_every_time(tmp_path: Path) -> None:
    """The record is the same object; the file shows how it grew."""
    journal = Journal(tmp_path / "j", Clock(), epoch=100.0)
    fault = record()
    journal.fault(fault, "planned")
    fault.injected_at_s = 1.0
    journal.fault(fault, "injected")
    assert journal.faults == [fault]
    written = lines(tmp_path / "j")
    assert [entry["event"] for entry in written] == ["planned", "injected"]
    assert [entry["fault"]["injected_at_s"] for entry in written] == [None, 1.0]
    journal.close()


def test_a_detail_may_be_called_event(tmp_path: Path) -> None:
    """What others hand through cannot overwrite the entry's own words."""
    journal = Journal(tmp_path / "j", Clock(), epoch=100.0)
    journal.note("guard", **{"event": "x", "t": 5, "id": "a"})
    assert lines(tmp_path / "j") == [{"event": "guard", "t": 0.0, "id": "a"}]
    journal.close()


def test_a_full_disk_stops_nothing() -> None:
    """An entry that cannot be written is remembered as an error, not raised."""
    journal = Journal("/dev/full", Clock(), epoch=100.0)
    journal.note("something")
    assert "space" in journal.file_error
    journal.close()
