"""Durations, sizes, shares, ratios, rates and counts as people write them, as numbers.

One grammar for every place that takes one: the command line, the environment, config files,
scenario, suite and plan files, the web form. A number may be written plainly (`0.5`, `1e3`) or with
a unit behind it; a duration may add up several (`1h30m`). Whatever cannot be read is a ValueError
of one line that says what was given and what is accepted. Pure; imports nothing of memquake.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator

DAY_S = 86_400.0  # a longer phase, time-out or budget is a slip of the unit
YEAR_S = 365 * DAY_S  # a soak may take its time
SHORTEST_S = 1e-6  # but for nothing at all; a plan's times have no more digits
SHOWN = 60  # characters of a text that cannot be read
LONGEST_TEXT = 64  # and of one that can
KB, MB, GB = 1_000, 1_000_000, 1_000_000_000

_NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_ONE = re.compile(rf"([+-]?{_NUMBER})\s*([A-Za-z%/]*)", re.ASCII)
_TERM = re.compile(rf"({_NUMBER})\s*([a-z]+)\s*", re.ASCII)
_MOST = Decimal("1e30")  # of anything; beyond it a float knows no whole numbers any more


@dataclass(frozen=True, kw_only=True)
class _Grammar:
    """How one kind of quantity is written. `units` are factors to its base unit."""

    name: str
    examples: str
    units: Mapping[str, Decimal]
    adds_up: bool = False  # whether terms may follow each other, the larger unit first


def _units(**factors: str | int) -> dict[str, Decimal]:
    return {name: Decimal(factor) for name, factor in factors.items()}


_BYTES = _units(B=1, kB=KB, KB=KB, MB=MB, GB=GB)
_ONE_OF_ALL = {"": Decimal(1)}
_DURATION = _Grammar(
    name="duration",
    examples="30s, 500ms, 1m or 1h30m; a plain number is seconds",
    units=_units(us="1e-6", ms="1e-3", s=1, m=60, min=60, h=3600) | _ONE_OF_ALL,
    adds_up=True,
)
_SHARE = _Grammar(name="share", examples="5% or 0.05", units={"%": Decimal("0.01")} | _ONE_OF_ALL)
_PERCENT = _Grammar(name="percentage", examples="50 or 50%", units={"%": Decimal(1)} | _ONE_OF_ALL)
_RATIO = _Grammar(name="ratio", examples="1.5 or 2x", units={"x": Decimal(1)} | _ONE_OF_ALL)
_RATE = _Grammar(name="rate", examples="800 or 800/s", units={"/s": Decimal(1)} | _ONE_OF_ALL)
_NUMBERS = _Grammar(name="number", examples="1.2", units=_ONE_OF_ALL)
_COUNT = _Grammar(name="whole number, 0 or more", examples="10", units=_ONE_OF_ALL)


def parse_duration(raw: Any, *, longest_s: float = DAY_S) -> float:
    """Return seconds, 0 or more, from `30s`, `500ms`, `1h30m` or plain seconds."""
    seconds = float(_not_negative(raw, _DURATION))
    if seconds > longest_s:
        limit = "a day" if longest_s == DAY_S else spell_seconds(longest_s)
        raise ValueError(f"{raw} is longer than {limit}")
    return seconds


def parse_positive_duration(raw: Any, *, longest_s: float = DAY_S) -> float:
    """Return seconds of a duration that is a microsecond or more."""
    seconds = parse_duration(raw, longest_s=longest_s)
    if seconds == 0:
        raise ValueError(f"{raw} is too short: a duration above 0 is needed here")
    if seconds < SHORTEST_S:
        raise ValueError(f"{raw} is too short: a microsecond or more is needed here")
    return seconds


def parse_run_time(raw: Any) -> float:
    """Return the seconds of a whole run, above 0, up to a year."""
    return parse_positive_duration(raw, longest_s=YEAR_S)


def parse_step(raw: Any) -> float:
    """Return the seconds of a step forward (`30s`, `+30s`) or back (`-30s`), a day at most."""
    seconds = float(_read(raw, _DURATION))
    if abs(seconds) > DAY_S:
        raise ValueError(f"{raw} is longer than a day")
    return seconds


def parse_share(raw: Any) -> float:
    """Return a share of 1 from `5%` or `0.05`."""
    share = float(_read(raw, _SHARE))
    if not 0 <= share <= 1:
        raise ValueError(f"{raw} is no share: it must lie between 0 and 1, or 0% and 100%")
    return share


def parse_percent(raw: Any) -> float:
    """Return a percentage above 0, up to 100, from `34` or `34%`."""
    percent = float(_read(raw, _PERCENT))
    if not 0 < percent <= 100:
        raise ValueError(f"{raw} is no percentage above 0 and up to 100")
    return percent


def parse_ratio(raw: Any) -> float:
    """Return a ratio, 0 or more, from `1.5x` or `1.5`."""
    return float(_not_negative(raw, _RATIO))


def parse_rate(raw: Any) -> float:
    """Return how many a second, 0 or more, from `800` or `800/s`."""
    return float(_not_negative(raw, _RATE))


def parse_number(raw: Any) -> float:
    """Return a plain number."""
    return float(_read(raw, _NUMBERS))


def parse_count(raw: Any) -> int:
    """Return a whole number, 0 or more, to its last digit."""
    count = _read(raw, _COUNT)
    if count < 0 or count != count.to_integral_value():
        raise ValueError(f"{raw} is no {_COUNT.name}")
    return int(count)


def parse_size(raw: Any, *, plain: str = "B") -> int:
    """Return whole bytes from `64KB` (1000 each) or a plain number, which counts `plain`."""
    return _whole_bytes(raw, _sized("size", plain, ""))


def parse_byte_rate(raw: Any, *, plain: str = "B/s") -> int:
    """Return whole bytes a second from `100KB/s` or a plain number, which counts `plain`."""
    return _whole_bytes(raw, _sized("rate", plain, "/s"))


def _sized(name: str, plain: str, behind: str) -> _Grammar:
    units = {unit + behind: factor for unit, factor in _BYTES.items()}
    examples = f"64KB{behind} or 16MB{behind}; a plain number is {plain}"
    return _Grammar(name=name, examples=examples, units=units | {"": units[plain]})


def _whole_bytes(raw: Any, grammar: _Grammar) -> int:
    size = _not_negative(raw, grammar)
    if size != size.to_integral_value():
        raise ValueError(f"{raw} is no whole number of bytes")
    return int(size)


def spell_seconds(seconds: float) -> str:
    """Return seconds as a person writes them: `200ms`, `7.5s`."""
    if 0 < seconds < 1:
        return f"{seconds * 1000:.6g}ms"
    return f"{seconds:.9g}s"


def _not_negative(raw: Any, grammar: _Grammar) -> Decimal:
    value = _read(raw, grammar)
    if value < 0:
        raise ValueError(f"{raw} is negative: a {grammar.name} is 0 or more")
    return value


def _read(raw: Any, grammar: _Grammar) -> Decimal:
    """Return a value in the base unit of its grammar. Decimal, so that 7% is 0.07."""
    try:
        is_text = isinstance(raw, str)
        value = _written(raw.strip(), grammar) if is_text else _plain(raw, grammar)
        if value is not None and value.is_finite() and abs(value) < _MOST:
            return value
    except ArithmeticError:  # an exponent of twenty digits
        pass
    shown = repr(raw) if isinstance(raw, str) else str(raw)
    shown = shown if len(shown) <= SHOWN else shown[: SHOWN - 3] + "..."
    raise ValueError(f"{shown} is no {grammar.name} (like {grammar.examples})")


def _plain(raw: Any, grammar: _Grammar) -> Decimal | None:
    # A YAML `yes` is a bool, and a bool is an int to Python.
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        return None
    return Decimal(repr(raw)) * grammar.units[""] if abs(raw) < _MOST else None


def _written(text: str, grammar: _Grammar) -> Decimal | None:
    if len(text) > LONGEST_TEXT:
        return None
    if match := _ONE.fullmatch(text):
        factor = grammar.units.get(match[2])
        if factor is not None:
            return Decimal(match[1]) * factor
    return _added_up(text, grammar.units) if grammar.adds_up else None


def _added_up(text: str, units: Mapping[str, Decimal]) -> Decimal | None:
    """Return the sum of terms such as `1h30m`, each of a smaller unit than the one before."""
    sign = -1 if text.startswith("-") else 1
    text = text[1:] if text[:1] in ("+", "-") else text
    terms = _TERM.findall(text)
    factors = [units.get(unit) for _, unit in terms]
    known = [factor for factor in factors if factor is not None]
    is_falling = all(one > other for one, other in itertools.pairwise(known))
    if _TERM.sub("", text) or len(known) < len(terms) or not terms or not is_falling:
        return None
    return sign * sum((Decimal(n) * f for (n, _), f in zip(terms, known, strict=True)), Decimal(0))


Duration = Annotated[float, BeforeValidator(parse_duration)]
PositiveDuration = Annotated[float, BeforeValidator(parse_positive_duration)]
Share = Annotated[float, BeforeValidator(parse_share)]
