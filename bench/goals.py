"""What is to be reached, what was, and the table that holds the one against the other.

Pure. A figure without a goal is there to be read beside those that have one. The median decides;
lowest and highest value stand beside it, because a goal reached by a hair in one run of three is
not the same as one reached by far.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.figures import Summary


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A limit that a figure must keep: at most, or at least."""

    limit: float
    at_most: bool = True

    def is_reached(self, value: float) -> bool:
        """Whether the value keeps the limit; the limit itself does."""
        return value <= self.limit if self.at_most else value >= self.limit

    def __str__(self) -> str:
        return f"{'<=' if self.at_most else '>='} {self.limit:g}"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One thing that was measured, several times or once."""

    name: str
    value: Summary
    unit: str = ""
    goal: Goal | None = None

    @property
    def word(self) -> str:
        """Say whether the goal was reached; nothing where there is none."""
        if self.goal is None:
            return ""
        return "reached" if self.goal.is_reached(self.value.median) else "NOT reached"

    def to_json(self) -> dict[str, Any]:
        """Give plain types."""
        goal = None if self.goal is None else asdict(self.goal)
        return {"unit": self.unit, **asdict(self.value), "goal": goal, "word": self.word}


@dataclass(frozen=True, kw_only=True)
class Section:
    """One part of the benchmark: its figures, and everything they were made from."""

    part: str  # P1 to P4
    title: str
    figures: Sequence[Figure]
    notes: Sequence[str] = ()  # what could not be measured, and why
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Give plain types."""
        figures = {figure.name: figure.to_json() for figure in self.figures}
        return {
            "title": self.title,
            "figures": figures,
            "notes": list(self.notes),
            "details": dict(self.details),
        }


def draw(sections: Sequence[Section]) -> str:
    """Draw all figures as one table, a line each."""
    rows = [("", "", "goal", "median", "lowest to highest", "")]
    for section in sections:
        for figure in section.figures:
            value = figure.value
            rows.append(
                (
                    section.part,
                    figure.name,
                    str(figure.goal or ""),
                    f"{number(value.median)} {figure.unit}".strip(),
                    f"{number(value.low)} to {number(value.high)}",
                    figure.word,
                )
            )
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    lines = [
        "  ".join(
            (
                f"{row[0]:<{widths[0]}}",
                f"{row[1]:<{widths[1]}}",
                f"{row[2]:<{widths[2]}}",
                f"{row[3]:>{widths[3]}}",
                f"{row[4]:>{widths[4]}}",
                row[5],
            )
        ).rstrip()
        for row in rows
    ]
    notes = [f"{section.part}  {note}" for section in sections for note in section.notes]
    return "\n".join(lines + notes)


def number(value: float) -> str:
    """Write a number with three digits that matter, and large ones whole."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.3f}".rstrip("0").rstrip(".") if value else "0"
