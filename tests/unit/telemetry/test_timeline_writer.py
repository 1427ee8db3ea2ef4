"""timeline.jsonl can be read at any moment and ends up with everything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from client.operation import Outcome
from telemetry.recorder import Recorder
from telemetry.timeline import Timeline, TimelineWriter
from telemetry.writer import pieces_of, read_lines, read_series


class FakeClock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def increment(*operations: tuple[float, Outcome], until: float = 0.0) -> dict[str, Any]:
    recorder = Recorder(FakeClock())
    recorder.paced = True
    recorder.start(0.0)
    for at, outcome in operations:
        hits = int(outcome == Outcome.HIT)
        recorder.record("get", "node1", outcome, at - 0.001, at, at + 0.001, 1, hits)
    return {**recorder.take(), "until": until}


def steady(second: int) -> dict[str, Any]:
    """Return the report of a second like any other."""
    report = increment((second + 0.5, Outcome.HIT), until=second + 1.0)
    report["seconds"][0] |= {"l": [100, 20], "p": [1, 1, 0, 0, 0]}
    return report


def test_a_complete_second_is_on_disk_at_once(tmp_path: Path) -> None:
    """A line is readable before the file is closed, each second once and in order."""
    path = tmp_path / "timeline.jsonl"
    timeline = Timeline(FakeClock())
    writer = TimelineWriter(path, timeline)
    timeline.merge("a", increment((0.5, Outcome.HIT), (2.5, Outcome.HIT), until=3.1))
    assert writer.write_complete(3.1) == 2
    assert [line["t"] for line in read_lines(path)] == [0, 1]
    timeline.merge("a", increment(until=4.5))
    assert writer.write_complete(4.5) == 1
    assert [line["t"] for line in read_lines(path)] == [0, 1, 2]
    writer.close()


def test_late_records_are_in_the_file_at_the_end(tmp_path: Path) -> None:
    """Closing rewrites the file with what came after its line was written."""
    path = tmp_path / "timeline.jsonl"
    timeline = Timeline(FakeClock())
    writer = TimelineWriter(path, timeline)
    timeline.merge("a", increment((0.5, Outcome.HIT), until=3.0))
    writer.write_complete(3.0)
    timeline.merge("b", increment((0.6, Outcome.TIMEOUT), (1.5, Outcome.MISS), until=3.0))
    writer.close()
    writer.close()
    lines = list(read_lines(path))
    assert [line["outcomes"] for line in lines] == [{"hit": 1, "timeout": 1}, {"miss": 1}]
    assert [entry.name for entry in tmp_path.iterdir()] == ["timeline.jsonl"]


def test_folded_seconds_stay_as_they_were_written(tmp_path: Path) -> None:
    """A long run has a line per second on disk, though memory holds old ones in parts only."""
    path = tmp_path / "timeline.jsonl"
    timeline = Timeline(FakeClock())
    writer = TimelineWriter(path, timeline)
    for second in range(600):
        timeline.merge("a", steady(second))
        writer.write_complete(second + 1.0)
    assert timeline.is_folded(100)
    writer.close()
    lines = list(read_series(path))
    assert [line["t"] for line in lines] == list(range(600))
    assert all(line["operations"] == {"get": 1} for line in lines)
    assert [entry.name for entry in tmp_path.iterdir()] == ["timeline.jsonl"]


def test_old_lines_move_into_compressed_pieces(tmp_path: Path) -> None:
    """What is read of the whole run is the same at every moment of it, and at its end."""
    path = tmp_path / "timeline.jsonl"
    timeline = Timeline(FakeClock())
    writer = TimelineWriter(path, timeline, piece_bytes=20_000)
    written = 0
    for second in range(200):
        timeline.merge("a", steady(second))
        written += writer.write_complete(second + 1.0)
        if second % 7 == 0:
            assert [line["t"] for line in read_series(path)] == list(range(written))
    writer.close()
    assert [line["t"] for line in read_series(path)] == list(range(200))
    pieces = pieces_of(path)
    assert len(pieces) > 2
    assert sorted(tmp_path.iterdir()) == sorted([*pieces, path])
    assert path.stat().st_size < 30_000


def test_a_piece_that_a_crash_left_plain_is_read_in_its_place(tmp_path: Path) -> None:
    """A piece is removed only when its compressed form is whole."""
    (tmp_path / "timeline-0000.jsonl").write_text('{"t":0}\n')
    (tmp_path / "timeline-0000.jsonl.xz.part").write_text("half")
    path = tmp_path / "timeline.jsonl"
    path.write_text('{"t":1}\n')
    assert [line["t"] for line in read_series(path)] == [0, 1]


def test_a_line_cut_off_by_a_crash_is_left_out(tmp_path: Path) -> None:
    """Every whole line of an interrupted file can be used."""
    path = tmp_path / "timeline.jsonl"
    path.write_text('{"t":0}\n{"t":1}\n{"t":')
    assert [line["t"] for line in read_lines(path)] == [0, 1]


def test_a_line_says_what_happened_in_its_second() -> None:
    """Counts by operation and outcome, percentiles, ratios and states are derived, as JSON."""
    timeline = Timeline(FakeClock())
    timeline.merge(
        "a",
        increment((0.1, Outcome.HIT), (0.2, Outcome.HIT), (0.3, Outcome.MISS), (0.4, Outcome.HIT)),
    )
    timeline.merge("a", increment((0.5, Outcome.TIMEOUT), (0.6, Outcome.BREAKER_OPEN)))
    timeline.server(0, "node1", {"cmd_get": 4})
    line = timeline.to_line(timeline.window(0))
    assert json.loads(json.dumps(line)) == line
    assert line["operations"] == {"get": 6}
    assert line["workers"] == {"a": 6}
    assert line["outcomes"] == {"hit": 3, "miss": 1, "timeout": 1, "breaker_open": 1}
    assert line["errors"] == {"timeout": 1, "breaker_open": 1}
    assert line["hit_ratio"] == 0.75
    node = line["nodes"]["node1"]
    assert (node["ok"], node["errors"]) == (4, 2)
    assert 980 <= node["p50_us"] <= 1_020
    assert 1_960 <= line["response_p50_us"] <= 2_040
    assert line["server"] == {"node1": {"cmd_get": 4}}


def test_an_empty_second_has_no_percentiles() -> None:
    """What was not measured is null, never 0."""
    line = Timeline.to_line(Timeline(FakeClock()).window(3))
    assert line["t"] == 3
    assert line["service_p99_us"] is line["hit_ratio"] is line["lag_p99_us"] is None
    assert line["operations"] == {}


def test_refusals_do_not_make_a_node_look_fast() -> None:
    """A breaker's refusal takes microseconds and says nothing of the node's latency."""
    timeline = Timeline(FakeClock())
    timeline.merge("a", increment(*[(0.1, Outcome.BREAKER_OPEN)] * 5))
    assert timeline.to_line(timeline.window(0))["nodes"]["node1"]["p50_us"] is None
