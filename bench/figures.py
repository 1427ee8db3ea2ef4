"""What the numbers of several rounds say: medians, spreads, ratios, and the table of them.

Pure. A ratio is formed within a round and then summarised, because rounds on a shared machine
differ by more than the contenders do. Figures without a round give no figure, never a zero.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

GOAL_CPU_RATIO = 0.667
"""At most 1/1.5 of the plain Locust user's CPU per operation, with everything on."""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One contender in one round, over the steady part of its load only."""

    operations: int
    seconds: float
    operations_per_s: float
    cpu_us_per_operation: float  # user + system of the load process


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


def summarise(values: Sequence[float]) -> Summary:
    """Summarise at least one value. Raises ValueError for none."""
    if not values:
        raise ValueError("nothing was measured")
    return Summary(median=statistics.median(values), low=min(values), high=max(values))


def figure(rounds: Rounds, contender: str, name: str) -> Summary:
    """Summarise one figure of a contender over the rounds."""
    return summarise([getattr(measures[contender], name) for measures in rounds])


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
    """Draw the figures of every contender as text."""
    width = max(len(label) for label in labels.values())
    lines = [
        f"{'median of ' + str(len(rounds)) + ' rounds':<{width}}"
        f"  {'operations/s':>24}  {'CPU us/operation':>26}"
    ]
    for contender, label in labels.items():
        speed = figure(rounds, contender, "operations_per_s")
        cpu = figure(rounds, contender, "cpu_us_per_operation")
        lines.append(
            f"{label:<{width}}  {speed.median:>10,.0f} (spread {speed.spread:>4.0%})"
            f"  {cpu.median:>12.1f} (spread {cpu.spread:>4.0%})"
        )
    return "\n".join(lines)


def ratio_lines(rounds: Rounds, pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Write a line for every pair that was measured."""
    lines = []
    for contender, peer in pairs:
        cpu = ratio(rounds, contender, peer, "cpu_us_per_operation")
        speed = ratio(rounds, contender, peer, "operations_per_s")
        if cpu and speed:
            lines.append(
                f"{contender}/{peer}: CPU per operation {cpu.median:.3f} "
                f"({cpu.low:.3f} to {cpu.high:.3f}), operations/s {speed.median:.2f} "
                f"({speed.low:.2f} to {speed.high:.2f})"
            )
    return lines


def goal_line(rounds: Rounds, contender: str, peer: str) -> str | None:
    """Hold the CPU ratio against its goal, in one line."""
    cpu = ratio(rounds, contender, peer, "cpu_us_per_operation")
    if cpu is None:
        return None
    word = "reached" if cpu.median <= GOAL_CPU_RATIO else "NOT reached"
    return f"goal: {contender}/{peer} CPU per operation at most {GOAL_CPU_RATIO}: {word}"


def to_json(
    rounds: Rounds, labels: Mapping[str, str], pairs: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    """Give summaries, ratios and every round as plain types."""
    names = ("operations_per_s", "cpu_us_per_operation")
    ratios: dict[str, dict[str, Any]] = {}
    for contender, peer in pairs:
        for name in names:
            found = ratio(rounds, contender, peer, name)
            if found:
                ratios.setdefault(f"{contender}/{peer}", {})[name] = asdict(found)
    return {
        "contenders": {
            contender: {"label": label}
            | {name: asdict(figure(rounds, contender, name)) for name in names}
            for contender, label in labels.items()
        },
        "ratios": ratios,
        "goal_cpu_ratio": GOAL_CPU_RATIO,
        "rounds": [{name: asdict(m) for name, m in measures.items()} for measures in rounds],
    }
