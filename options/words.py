"""One option at a time: quantities, paths and words, from text to value.

Rule: whatever is wrong ends in a `ConfigError` of one line that names the option, what was given,
and what would do.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from memquake.ranges import Number, Range
from memquake.units import parse_duration, spell_seconds


class ConfigError(Exception):
    """What the user asked for cannot be done. One line: what is wrong and how to mend it."""


def quantity(options: Namespace, name: str, allowed: Range[Number], *, default: str = "") -> Number:
    """Return an option as its range reads it; ConfigError."""
    raw = getattr(options, name)
    try:
        return allowed.read(default if raw in (None, "") else raw)
    except ValueError as why:
        raise ConfigError(f"--{name.replace('_', '-')} {why}") from None


def seconds(low: float, high: float) -> Range[float]:
    """Return the range of durations from `low` to `high` seconds."""
    what = f"a duration from {spell_seconds(low)} to {spell_seconds(high)}"
    return Range(parse=parse_duration, low=low, high=high, what=what)


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


def choice(options: Namespace, name: str, allowed: Sequence[str]) -> str:
    """Give one of the allowed words; ConfigError."""
    value = str(getattr(options, name))
    if value not in allowed:
        flag = "--" + name.replace("_", "-")
        raise ConfigError(f"{flag} {value!r} is unknown: give one of {', '.join(allowed)}")
    return value
