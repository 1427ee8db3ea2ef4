"""Durations, shares and numbers as people write them in a scenario. Pure text to floats."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any

from pydantic import BeforeValidator

LONGEST_S = 86_400.0  # a day; longer is a slip of the unit
SHORTEST_S = 1e-6  # but for nothing at all; a plan's times have no more digits

_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "": 1.0}
_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([A-Za-z%]*)\s*")


def parse_duration(raw: Any) -> float:
    """Read `30s`, `500ms`, `1m` or plain seconds; ValueError in words fit for a user."""
    number, unit = _split(raw, "is no duration (like 30s, 500ms or 1m)")
    if unit not in _SECONDS:
        raise ValueError(f"{raw!r} is no duration (like 30s, 500ms or 1m)")
    seconds = number * _SECONDS[unit]
    if seconds < 0:
        raise ValueError(f"{raw} is negative: a duration is 0 or more")
    if not seconds <= LONGEST_S:
        raise ValueError(f"{raw} is longer than a day")
    return seconds


def parse_positive_duration(raw: Any) -> float:
    """Read a duration that is more than nothing: a microsecond or more."""
    seconds = parse_duration(raw)
    if seconds == 0:
        raise ValueError(f"{raw} is too short: a duration above 0 is needed here")
    if seconds < SHORTEST_S:
        raise ValueError(f"{raw} is too short: a microsecond or more is needed here")
    return seconds


def parse_share(raw: Any) -> float:
    """Read `5%` or `0.05` as a share of 1."""
    number, unit = _split(raw, "is no share (like 5% or 0.05)")
    if unit not in ("", "%"):
        raise ValueError(f"{raw!r} is no share (like 5% or 0.05)")
    share = number / 100 if unit else number
    if not 0 <= share <= 1:
        raise ValueError(f"{raw} is no share: it must lie between 0 and 1, or 0% and 100%")
    return share


def parse_percent(raw: Any) -> float:
    """Read `34` or `34%` as a percentage, 0 to 100."""
    number, unit = _split(raw, "is no percentage (like 50)")
    if unit not in ("", "%") or not 0 < number <= 100:
        raise ValueError(f"{raw!r} is no percentage above 0 and up to 100")
    return number


def parse_ratio(raw: Any) -> float:
    """Read `1.5x` or `1.5`."""
    number, unit = _split(raw, "is no ratio (like 1.5 or 2x)")
    if unit not in ("", "x") or number < 0:
        raise ValueError(f"{raw!r} is no ratio (like 1.5 or 2x)")
    return number


def parse_count(raw: Any) -> float:
    """Read a whole number, 0 or more."""
    number, unit = _split(raw, "is no whole number, 0 or more")
    if unit or number < 0 or number != int(number):
        raise ValueError(f"{raw!r} is no whole number, 0 or more")
    return number


def parse_rate(raw: Any) -> float:
    """Read a plain number, 0 or more."""
    number, unit = _split(raw, "is no number, 0 or more")
    if unit or number < 0:
        raise ValueError(f"{raw!r} is no number, 0 or more")
    return number


def spell_seconds(seconds: float) -> str:
    """Give seconds as a person writes them: `200ms`, `7.5s`."""
    if 0 < seconds < 1:
        return f"{seconds * 1000:.6g}ms"
    return f"{seconds:.9g}s"


def _split(raw: Any, complaint: str) -> tuple[float, str]:
    # A YAML `yes` is a bool, and a bool is an int to Python.
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise ValueError(f"{raw!r} {complaint}")
    if isinstance(raw, str):
        match = _NUMBER.fullmatch(raw)
        if match is None:
            raise ValueError(f"{raw[:60]!r} {complaint}")
        number, unit = float(match[1]), match[2]
    else:
        try:
            number, unit = float(raw), ""
        except OverflowError:
            raise ValueError(f"{str(raw)[:20]}... {complaint}") from None
    if not math.isfinite(number):
        raise ValueError(f"{raw!r} {complaint}")
    return number, unit


Duration = Annotated[float, BeforeValidator(parse_duration)]
PositiveDuration = Annotated[float, BeforeValidator(parse_positive_duration)]
Share = Annotated[float, BeforeValidator(parse_share)]
Rate = Annotated[float, BeforeValidator(parse_rate)]
