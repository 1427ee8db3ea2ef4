"""Counts by operation, node and outcome, and a real case for each: what evidence is made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from client.operation import Outcome
from verdict.answers import MOST_CONTRIBUTORS
from verdict.model import Contributor

WAITED = "waited"
"""Stands for any outcome of calls that are counted by their time alone."""

VAGUE = frozenset({Outcome.OTHER_ERROR, Outcome.BUG})
"""Outcomes that say less than the class of what was raised."""


@dataclass(slots=True)
class _Tally:
    """What one group adds up to, and from when to when."""

    count: int
    begin: float
    end: float


class Tallies:
    """Counts by operation, node and outcome, apart for each stretch of windows in a row."""

    def __init__(self) -> None:
        self.total = 0
        self._found: dict[tuple[str, str, str, int], _Tally] = {}

    def add(  # noqa: PLR0917 - a group and what to add to it
        self,
        operation: str,
        node: str,
        outcome: str,
        count: int,
        begin: float,
        end: float,
        stretch: int = 0,
    ) -> None:
        """Add what happened from `begin` to `end`."""
        self.total += count
        key = operation, node, str(outcome), stretch
        tally = self._found.get(key)
        if tally is None:
            self._found[key] = _Tally(count, begin, end)
            return
        tally.count += count
        tally.begin, tally.end = min(tally.begin, begin), max(tally.end, end)

    def largest(
        self, examples: Sequence[Mapping[str, Any]] = (), *, longest: bool = False
    ) -> tuple[Contributor, ...]:
        """Return the largest groups, each with an example of its own time from `examples`."""
        ranked = sorted(self._found.items(), key=lambda item: item[1].count, reverse=True)
        return tuple(
            Contributor(
                operation=operation,
                node=node,
                outcome=outcome,
                from_s=tally.begin,
                to_s=tally.end,
                count=tally.count,
                share=tally.count / self.total if self.total else None,
                example=example(
                    examples,
                    tally.begin,
                    tally.end,
                    longest=longest,
                    op=operation,
                    node=node,
                    **_outcome_fields(outcome),
                ),
            )
            for (operation, node, outcome, _), tally in ranked[:MOST_CONTRIBUTORS]
        )


def _outcome_fields(outcome: str) -> dict[str, str]:
    """Return the fields of an example that a name of `_by_class` stands for."""
    if outcome == WAITED:
        return {}
    name, colon, kind = outcome.partition(": ")
    return {"outcome": name, "error": kind} if colon and name in VAGUE else {"outcome": outcome}


def example(
    examples: Iterable[Mapping[str, Any]],
    begin: float,
    end: float,
    *,
    longest: bool = False,
    **wanted: str,
) -> Mapping[str, Any]:
    """Return the first example of a span (or its longest call) with these fields, {} without one.

    A field that is "" wants nothing; one that an example lacks says nothing against it.
    """
    fitting = [
        each
        for each in examples
        if (at := each.get("at_s")) is not None
        and begin <= at < end
        and all(each.get(name, value) == value for name, value in wanted.items() if value)
    ]
    if longest:
        return max(fitting, key=lambda each: each.get("took_ms") or 0.0, default={})
    return min(fitting, key=lambda each: float(each["at_s"]), default={})
