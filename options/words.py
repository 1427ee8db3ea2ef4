"""One option at a time: quantities, paths and words, from text to value.

Rule: whatever is wrong ends in a `ConfigError` of one line that names the option, what was given,
and what would do.
"""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from memquake.units import parse_duration, spell_seconds

Number = TypeVar("Number", int, float)


class ConfigError(Exception):
    """What the user asked for cannot be done. One line: what is wrong and how to mend it."""


def quantity(
    options: Namespace,
    name: str,
    parse: Callable[[Any], Number],
    *,
    low: float,
    high: float = math.inf,
    what: str,
    default: str = "",
) -> Number:
    """Return an option as one of memquake.units reads it, from `low` to `high`.

    Raises ConfigError, which says `what` to give.
    """
    raw = getattr(options, name)
    raw = default if raw in (None, "") else raw
    flag = "--" + name.replace("_", "-")
    try:
        value = parse(raw)
    except ValueError as why:
        raise ConfigError(f"{flag} {why}: give {what}") from None
    if not low <= value <= high:
        raise ConfigError(f"{flag} {raw} is out of range: give {what}")
    return value


def seconds(options: Namespace, name: str, *, low: float, high: float, default: str = "") -> float:
    """Return a duration such as 500ms or 2s in seconds; ConfigError."""
    what = f"a duration from {spell_seconds(low)} to {spell_seconds(high)}"
    return quantity(options, name, parse_duration, low=low, high=high, what=what, default=default)


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
