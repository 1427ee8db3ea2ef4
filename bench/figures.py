"""What the numbers of several rounds say: medians, spreads, ratios.

Pure. A ratio is formed within a round and then summarised, because rounds on a shared machine
differ by more than the contenders do. Figures without a round give no figure, never a zero.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One contender in one round, over the steady part of its load only."""

    operations: int
    seconds: float
    operations_per_s: float
    cpu_us_per_operation: float  # user + system of the load process


CPU = "cpu_us_per_operation"
SPEED = "operations_per_s"


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Several values of one figure."""

    median: float
    low: float
    high: float

    @property
    def spread(self) -> float:
        """The distance from the lowest to the highest value, as a share of the median."""
        return (self.high - self.low) / self.median if self.median else 0.0


Rounds = Sequence[Mapping[str, Measure]]
"""A mapping of contender to measure for every round."""


def measure_of(found: Mapping[str, Any]) -> Measure:
    """Make a measure of what a load process wrote down about its steady part."""
    operations, seconds = found["operations"], found["seconds"]
    if not operations or not seconds:
        raise ValueError("nothing was measured")
    return Measure(
        operations=operations,
        seconds=seconds,
        operations_per_s=operations / seconds,
        cpu_us_per_operation=found["cpu_s"] / operations * 1e6,
    )


def summarise(values: Sequence[float]) -> Summary:
    """Summarise at least one value. Raises ValueError for none."""
    if not values:
        raise ValueError("nothing was measured")
    return Summary(median=statistics.median(values), low=min(values), high=max(values))


def figure(rounds: Rounds, contender: str, name: str) -> Summary:
    """Summarise one figure of a contender over the rounds."""
    return summarise([getattr(found[contender], name) for found in rounds if contender in found])


def ratio(rounds: Rounds, contender: str, peer: str, name: str) -> Summary | None:
    """Summarise contender / peer, round by round; None when one of them was not measured."""
    values = [
        getattr(measures[contender], name) / getattr(measures[peer], name)
        for measures in rounds
        if contender in measures and peer in measures
    ]
    return summarise(values) if values else None


def order(contenders: Sequence[str], round_number: int) -> list[str]:
    """Rotate the contenders, so that none always runs first or after the same one."""
    shift = round_number % len(contenders)
    return [*contenders[shift:], *contenders[:shift]]


def table(rounds: Rounds, labels: Mapping[str, str]) -> str:
    """Draw the figures of every contender that was measured as text."""
    measured = [name for name in labels if any(name in measures for measures in rounds)]
    width = max(len(label) for label in labels.values())
    lines = [
        f"{'median of its turns':<{width}}  turns  {'operations/s':>24}  {'CPU us/operation':>26}"
    ]
    for contender in measured:
        speed = figure(rounds, contender, SPEED)
        cpu = figure(rounds, contender, CPU)
        lines.append(
            f"{labels[contender]:<{width}}  {sum(contender in found for found in rounds):>5}"
            f"  {speed.median:>10,.0f} (spread {speed.spread:>4.0%})"
            f"  {cpu.median:>12.1f} (spread {cpu.spread:>4.0%})"
        )
    return "\n".join(lines)


def to_json(rounds: Rounds, labels: Mapping[str, str]) -> dict[str, Any]:
    """Give summaries and every round as plain types."""
    return {
        "contenders": {
            contender: {"label": label}
            | {name: asdict(figure(rounds, contender, name)) for name in (SPEED, CPU)}
            for contender, label in labels.items()
            if any(contender in measures for measures in rounds)
        },
        "rounds": [
            {name: asdict(measure) for name, measure in measures.items()} for measures in rounds
        ],
    }
