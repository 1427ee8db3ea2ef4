"""Axes: from a value to a place between 0 and 100, and round numbers to label it with."""

from __future__ import annotations

import math
from dataclasses import dataclass

from report.words import quantity

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_SECOND_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A labelled place on an axis, in percent from its beginning."""

    at: float
    label: str


@dataclass(frozen=True, kw_only=True)
class Scale:
    """One axis from `low` to `high`; logarithmic when told so."""

    low: float
    high: float
    unit: str = ""
    is_log: bool = False

    def place(self, value: float) -> float:
        """Give where a value lies, 0-100; values beyond the axis stick to its ends."""
        if self.high <= self.low:
            return 0.0
        value = min(self.high, max(self.low, value))
        if self.is_log:
            whole = math.log(self.high / self.low)
            return 100 * math.log(value / self.low) / whole
        return 100 * (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[Tick]:
        """Give the labelled places, at most six. Only percentages carry their unit."""
        unit = self.unit if self.unit == "share" else ""
        values = _decades(self.low, self.high) if self.is_log else _round_values(self.high)
        return [
            Tick(at=round(self.place(value), 2), label=quantity(value, unit)) for value in values
        ]


def linear_scale(highest: float, unit: str) -> Scale:
    """Give an axis from 0 to a round number not below `highest`."""
    if unit == "share":
        return Scale(low=0.0, high=1.0, unit=unit)
    highest = highest if highest > 0 else 1.0
    step = _step(highest)
    return Scale(low=0.0, high=step * math.ceil(round(highest / step, 9)), unit=unit)


def log_scale(lowest: float, highest: float, unit: str) -> Scale:
    """Give an axis of whole decades around the values, at least one."""
    low = 10.0 ** math.floor(math.log10(max(lowest, 1e-3)))
    high = 10.0 ** math.ceil(math.log10(max(highest, low * 1.000001)))
    return Scale(low=low, high=max(high, low * 10), unit=unit, is_log=True)


def time_scale(begin: float, end: float) -> Scale:
    """Give the axis of a run's seconds."""
    return Scale(low=begin, high=max(end, begin + 1), unit="s")


def time_ticks(scale: Scale, most: int = 6) -> list[Tick]:
    """Give at most `most` + 1 round moments of a time axis."""
    span = scale.high - scale.low
    step = next((s for s in _SECOND_STEPS if span / s <= most), _SECOND_STEPS[-1])
    first = math.ceil(scale.low / step) * step
    count = int((scale.high - first) // step) + 1
    moments = [first + index * step for index in range(count)]
    return [Tick(at=round(scale.place(m), 2), label=moment(m, span)) for m in moments]


def moment(seconds: float, span: float) -> str:
    """Write a moment of a run: seconds in short runs, minutes in long ones."""
    if span <= 300:
        return f"{seconds:g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if span > 7200 else f"{hours * 60 + minutes}:{rest:02}"


def _step(highest: float) -> float:
    rough = highest / 4
    decade = 10.0 ** math.floor(math.log10(rough))
    return next(step * decade for step in _STEPS if step * decade >= rough * 0.999999)


def _round_values(high: float) -> list[float]:
    step = _step(high)
    return [step * index for index in range(int(round(high / step, 6)) + 1)]


def _decades(low: float, high: float) -> list[float]:
    first, last = round(math.log10(low)), round(math.log10(high))
    stride = max(1, math.ceil((last - first) / 5))
    return [10.0**power for power in range(first, last + 1, stride)]
