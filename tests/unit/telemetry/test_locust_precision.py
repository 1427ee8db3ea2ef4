"""Locust's own statistics keep sub-millisecond times once the rounding is replaced."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import locust.stats
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from locust.rpc.protocol import Message
from locust.stats import RequestStats, StatsCSV, StatsEntry

from telemetry.locust_stats import (
    COPIED_EVERY_S,
    COPIES,
    KEPT_ROWS,
    KEPT_S,
    bucket_ms,
    install,
    shown,
    trim,
)

REPLACED = (
    (locust.stats, "bucket_response_time"),
    (StatsCSV, "_percentile_fields"),
    (StatsEntry, "to_dict"),
    (StatsEntry, "to_string"),
    (StatsEntry, "percentile"),
)


@pytest.fixture(autouse=True)
def precise() -> Iterator[None]:
    """Install for the test only, so that no other test depends on this one having run."""
    before = [(owner, name, getattr(owner, name)) for owner, name in REPLACED]
    had = getattr(locust.stats, "_memquake_precise", False)
    install()
    install()
    yield
    if not had:
        for owner, name, original in before:
            setattr(owner, name, original)
        delattr(locust.stats, "_memquake_precise")


def stats_of(*times_ms: float) -> RequestStats:
    stats = RequestStats()
    for time_ms in times_ms:
        stats.log_request("MC", "get", time_ms, 100)  # type: ignore[arg-type]  # says int, takes any
    return stats


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99, 1.0])
def test_percentiles_of_a_fast_get_are_not_zero(share: float) -> None:
    """A get of 0.3 ms has percentiles of 0.3 ms."""
    entry = stats_of(*[0.3] * 100).total
    assert entry.get_response_time_percentile(share) == pytest.approx(0.3, rel=0.01)


def test_the_web_ui_gets_fractions_of_a_millisecond() -> None:
    """The row of the UI keeps min, max, median and percentiles."""
    row: dict[str, Any] = stats_of(0.21, 0.3, 0.87).total.to_dict()
    assert (row["min_response_time"], row["max_response_time"]) == (0.21, 0.87)
    assert row["median_response_time"] == pytest.approx(0.3, rel=0.01)
    assert row["response_time_percentile_0.99"] == pytest.approx(0.87, rel=0.01)


def test_an_entry_without_times_has_a_row() -> None:
    """Refusals are logged without a time; a row of only those is no error."""
    stats = RequestStats()
    stats.log_request("MC", "get", None, 0)  # type: ignore[arg-type]  # None is allowed since 2.46
    assert stats.total.to_dict()["min_response_time"] == 0
    assert stats.total.to_string()


def test_the_csv_keeps_fractions() -> None:
    """The percentile columns of the CSV files are not cut to whole milliseconds."""
    environment: Any = SimpleNamespace(stats=stats_of(*[0.3] * 10), runner=None)
    out = io.StringIO()
    StatsCSV(environment, [0.5, 0.99]).requests_csv(csv.writer(out))
    header, row, total = list(csv.reader(io.StringIO(out.getvalue())))
    for line in (row, total):
        assert float(line[header.index("99%")]) == pytest.approx(0.3, rel=0.01)
        assert float(line[header.index("50%")]) == pytest.approx(0.3, rel=0.01)


def test_the_console_tables_stay_in_line() -> None:
    """Rows show fractions and still fit under Locust's own headings."""
    stats = stats_of(*[0.3] * 50, 12.34, 456.7)
    table = locust.stats.get_stats_summary(stats)
    assert "0.30" in table[2]
    assert len(table[2]) == len(table[0])
    assert table[2].index("|") == table[0].index("|")
    percentiles = locust.stats.get_percentile_stats_summary(stats)
    assert "0.30" in percentiles[3]
    assert len(percentiles[3]) == len(percentiles[1])


@pytest.mark.parametrize("width", [0, 4, 20])  # of names, on 80, 84 and 100 columns
def test_a_narrow_terminal_has_its_tables_too(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Locust's own width of a name is negative there; a row must not end the process."""
    monkeypatch.setattr(locust.stats, "STATS_NAME_WIDTH", width)
    stats = RequestStats()
    stats.log_request("mixed", "get", 0.5, 100)
    heading, _, row, *_ = locust.stats.get_stats_summary(stats, current=False)
    assert abs(row.index("|") - heading.index("|")) <= len("get")
    assert locust.stats.get_percentile_stats_summary(stats)


def test_workers_and_master_use_the_same_keys() -> None:
    """Reports of workers merge into the master's dictionary without new keys."""
    worker, master = stats_of(*[0.3] * 5, 1.7), stats_of(*[0.3] * 5, 1.7)
    report = Message("stats", worker.total.get_stripped_report(), "w").serialize()
    sent = Message.unserialize(report).data
    master.total.extend(StatsEntry.unserialize(sent, master))
    assert len(master.total.response_times) == 2
    assert master.total.num_requests == 12
    assert master.total.get_response_time_percentile(0.5) == pytest.approx(0.3, rel=0.01)


@settings(deadline=None)
@given(st.floats(min_value=0.0, max_value=60_000.0))
def test_a_bucket_is_within_one_percent(time_ms: float) -> None:
    """The key stands for its times to within 1 %, or half a microsecond."""
    assert abs(bucket_ms(time_ms) - time_ms) <= max(0.01 * time_ms, 0.000_51)


def test_keys_are_bounded() -> None:
    """A million different times up to a minute make about a thousand keys."""
    keys = {bucket_ms(us / 1_000) for us in range(0, 60_000_000, 61)}
    assert len(keys) < 1_500


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(0.3, "   0.30", id="two decimals"),
        pytest.param(1234.567, " 1234.6", id="as many as fit"),
        pytest.param(123456.7, " 123457", id="none when it is long"),
        pytest.param(None, "   0.00", id="nothing measured"),
    ],
)
def test_times_are_shown_in_their_column(value: float | None, text: str) -> None:
    """A column keeps its width and a gap to the one before."""
    assert shown(value, 7) == text


def test_locusts_own_tables_do_not_grow_with_the_run() -> None:
    """Its rates are those of before, whatever old seconds and rows of charts are forgotten."""
    stats = RequestStats()
    for second in range(3 * KEPT_S):
        for name in ("get", "set"):
            entry = stats.get(name, "memcached")
            for table in (entry.num_reqs_per_sec, stats.total.num_reqs_per_sec):
                table[1_000 + second] += 7
        stats.total.last_request_timestamp = 1_000.0 + second
        stats.total.start_time = 1_000.0
        stats.history.append({"time": second})
        stats.total._cache_response_times(1_000 + second)
        before = stats.total.current_rps
        trim(stats)
        assert stats.total.current_rps == before
    assert stats.total.use_response_times_cache
    copied = list(stats.total.response_times_cache or ())
    assert copied == [1_000 + 3 * KEPT_S - COPIED_EVERY_S * n for n in range(COPIES, 0, -1)]
    assert not stats.get("get", "memcached").use_response_times_cache
    assert len(stats.total.num_reqs_per_sec) <= KEPT_S
    assert len(stats.get("get", "memcached").num_reqs_per_sec) <= KEPT_S
    times = [row["time"] for row in stats.history]
    assert KEPT_ROWS // 2 <= len(times) <= KEPT_ROWS
    assert times == sorted(times)
    assert (times[0], times[-1]) == (0, 3 * KEPT_S - 1)
