"""What people write for durations, sizes, shares, ratios, rates and counts, and what it means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from memquake.units import (
    parse_byte_rate,
    parse_count,
    parse_duration,
    parse_number,
    parse_percent,
    parse_positive_duration,
    parse_rate,
    parse_ratio,
    parse_run_time,
    parse_share,
    parse_size,
    parse_step,
    spell_seconds,
)


def in_mb(raw: Any) -> int:
    return parse_size(raw, plain="MB")


def in_kb_a_second(raw: Any) -> int:
    return parse_byte_rate(raw, plain="KB/s")


GOOD = [
    (parse_duration, "30s", 30),
    (parse_duration, " 30 s ", 30),
    (parse_duration, "30", 30),
    (parse_duration, 30, 30),
    (parse_duration, 0.25, 0.25),
    (parse_duration, "0", 0),
    (parse_duration, "500ms", 0.5),
    (parse_duration, "500us", 0.0005),
    (parse_duration, "1m", 60),
    (parse_duration, "1min", 60),
    (parse_duration, "1h30m", 5400),
    (parse_duration, "1h 30m 10s", 5410),
    (parse_duration, "3m20s500ms", 200.5),
    (parse_duration, "1.5m", 90),
    (parse_duration, ".5s", 0.5),
    (parse_duration, "1e3ms", 1),
    (parse_duration, "24h", 86_400),
    (parse_run_time, "48h", 172_800),
    (parse_step, "-1h", -3600),
    (parse_step, "+1m30s", 90),
    (parse_step, "-1m30s", -90),
    (parse_share, "7%", 0.07),
    (parse_share, "0.07", 0.07),
    (parse_share, 1, 1),
    (parse_percent, "34%", 34),
    (parse_percent, 34, 34),
    (parse_ratio, "1.5x", 1.5),
    (parse_ratio, "2", 2),
    (parse_rate, "800", 800),
    (parse_rate, "800/s", 800),
    (parse_number, "-1.5", -1.5),
    (parse_count, "1e3", 1000),
    (parse_count, "9007199254740993", 9_007_199_254_740_993),
    (parse_count, 3.0, 3),
    (parse_size, "100", 100),
    (parse_size, "64KB", 64_000),
    (parse_size, "64kB", 64_000),
    (parse_size, "1.5MB", 1_500_000),
    (parse_size, "1GB", 1_000_000_000),
    (in_mb, "16", 16_000_000),
    (in_mb, "16MB", 16_000_000),
    (in_kb_a_second, 100, 100_000),
    (in_kb_a_second, "1MB/s", 1_000_000),
]


@pytest.mark.parametrize(("parse", "raw", "value"), GOOD)
def test_a_quantity_is_read_to_the_nearest_float(
    parse: Callable[[Any], float], raw: Any, value: float
) -> None:
    """In base units; decimal fractions are what a person would write for them."""
    assert parse(raw) == value


BAD = [
    (parse_duration, "soon", "'soon' is no duration (like 30s, 500ms, 1m or 1h30m;"),
    (parse_duration, "", "'' is no duration"),
    (parse_duration, "5%", "'5%' is no duration"),
    (parse_duration, "30m1h", "no duration"),
    (parse_duration, "1m1m", "no duration"),
    (parse_duration, "1h30", "no duration"),
    (parse_duration, "1h-30m", "no duration"),
    (parse_duration, "1S", "no duration"),
    (parse_duration, "٣s", "no duration"),
    (parse_duration, True, "True is no duration"),
    (parse_duration, None, "None is no duration"),
    (parse_duration, [1], "[1] is no duration"),
    (parse_duration, float("nan"), "nan is no duration"),
    (parse_duration, float("inf"), "inf is no duration"),
    (parse_duration, "1e400s", "no duration"),
    (parse_duration, "1e99999999999999999999", "no duration"),
    (parse_duration, 10**400, "no duration"),
    (parse_duration, "1" * 5000 + "s", "no duration"),
    (parse_duration, "-1s", "-1s is negative: a duration is 0 or more"),
    (parse_duration, "25h", "25h is longer than a day"),
    (parse_positive_duration, "0s", "0s is too short: a duration above 0"),
    (parse_positive_duration, "0.1us", "a microsecond or more"),
    (parse_run_time, "0", "0 is too short"),
    (parse_run_time, "-5s", "-5s is negative"),
    (parse_run_time, "8761h", "8761h is longer than 31536000s"),
    (parse_step, "--5s", "no duration"),
    (parse_step, "-25h", "longer than a day"),
    (parse_share, "120%", "between 0 and 1"),
    (parse_share, "5s", "'5s' is no share (like 5% or 0.05)"),
    (parse_percent, "0", "above 0"),
    (parse_percent, "half", "'half' is no percentage (like 50"),
    (parse_ratio, "-1x", "-1x is negative"),
    (parse_rate, "-1", "-1 is negative"),
    (parse_rate, "800/m", "'800/m' is no rate (like 800 or 800/s)"),
    (parse_count, "1.5", "1.5 is no whole number, 0 or more"),
    (parse_count, "-1", "-1 is no whole number, 0 or more"),
    (parse_count, "1_000", "'1_000' is no whole number"),
    (parse_size, "1.5", "1.5 is no whole number of bytes"),
    (parse_size, "16Mb", "no size (like 64KB or 16MB; a plain number is B)"),
    (in_kb_a_second, "100Mbit", "no rate (like 64KB/s or 16MB/s; a plain number is KB/s)"),
]


@pytest.mark.parametrize(("parse", "raw", "said"), BAD, ids=[str(case[1])[:20] for case in BAD])
def test_what_cannot_be_read_is_told_in_one_line(
    parse: Callable[[Any], float], raw: Any, said: str
) -> None:
    """The line shows what was given, cut where it is long, and names what is accepted."""
    with pytest.raises(ValueError, match=r"^[^\n]{1,160}$") as refused:
        parse(raw)
    assert said in str(refused.value)


@pytest.mark.parametrize("seconds", [0.0, 0.0005, 0.2, 1.0, 7.5, 5410.0])
def test_what_is_spelled_can_be_read_again(seconds: float) -> None:
    """The words of a plan's text are those of its file."""
    assert parse_duration(spell_seconds(seconds)) == seconds
