"""One option at a time: numbers, durations and words, from text to value.

Rule: whatever is wrong ends in a `ConfigError` of one line that names the option, what was given,
and what would do.
"""

from __future__ import annotations

import math
import re
from argparse import Namespace
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path


class ConfigError(Exception):
    """What the user asked for cannot be done. One line: what is wrong and how to mend it."""


_DURATION = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(ms|s|m|h)?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}


def number(
    options: Namespace, name: str, *, low: float, high: float = math.inf, what: str
) -> float:
    """Give a finite number from `low` to `high`; ConfigError says `what` to give."""
    raw = getattr(options, name)
    flag = "--" + name.replace("_", "-")
    try:
        value = float(raw)
    except (TypeError, ValueError):
        raise ConfigError(f"{flag} {raw!r} is not a number: give {what}") from None
    if not math.isfinite(value) or not low <= value <= high:
        raise ConfigError(f"{flag} {raw} is out of range: give {what}")
    return value


def integer(options: Namespace, name: str, *, low: int, high: int, what: str) -> int:
    """Give a whole number from `low` to `high`, to its last digit; ConfigError says `what`."""
    raw = getattr(options, name)
    flag = "--" + name.replace("_", "-")
    number(options, name, low=low, high=high, what=what)  # words, infinities and far too much
    try:
        value = Decimal(str(raw))  # a float knows 9007199254740993 no more
    except ArithmeticError:  # an exponent of twenty digits
        raise ConfigError(f"{flag} {raw} is out of range: give {what}") from None
    if not low <= value <= high:
        raise ConfigError(f"{flag} {raw} is out of range: give {what}")
    if value != value.to_integral_value():
        raise ConfigError(f"{flag} {raw} is not a whole number: give {what}")
    return int(value)


def path(options: Namespace, name: str) -> Path:
    """Give a path with `~` and `~user` replaced; ConfigError where there is no such home."""
    raw = str(getattr(options, name))
    flag = "--" + name.replace("_", "-")
    try:
        return Path(raw).expanduser()
    except RuntimeError:
        home, _, _ = raw.partition("/")
        raise ConfigError(
            f"{flag} {raw}: there is no home folder {home}: write the path out, or ./{raw}"
        ) from None


def seconds(options: Namespace, name: str, *, low: float, high: float, default: str = "") -> float:
    """Give a duration such as 500ms or 2s in seconds; ConfigError."""
    raw = str(getattr(options, name) or default).strip()
    flag = "--" + name.replace("_", "-")
    match = _DURATION.fullmatch(raw)
    what = f"a duration such as 500ms or 2s, from {low:g} s to {high:g} s"
    if match is None:
        raise ConfigError(f"{flag} {raw!r} is not a duration: give {what}")
    value = float(match[1]) * _UNITS[match[2]]
    if not low <= value <= high:
        raise ConfigError(f"{flag} {raw} is out of range: give {what}")
    return value


def choice(options: Namespace, name: str, allowed: Sequence[str]) -> str:
    """Give one of the allowed words; ConfigError."""
    value = str(getattr(options, name))
    if value not in allowed:
        flag = "--" + name.replace("_", "-")
        raise ConfigError(f"{flag} {value!r} is unknown: give one of {', '.join(allowed)}")
    return value
