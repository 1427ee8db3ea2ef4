"""What the ledger of a process has found, counted whole, with the first of each kind as evidence.

Counts go by node and second where a check may excuse them by what happened to that node then, and
leave in plain types with the last report of the load process (`verdict.model.LedgerFacts`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from telemetry.evidence import Evidence

BY_NODE = (
    *("lost", "masked", "unproven", "moved", "left_over", "stale_unsure", "older_counters"),
    "denied",
)
"""Findings counted by (node, second)."""


class Findings:
    """The findings of one process."""

    def __init__(self) -> None:
        self.wrong_updates = 0
        self.stale = 0  # reads of an older version that no other node holds
        self.outlived = 0
        self.unasked = 0
        self._evidence = Evidence()
        self._places: Counter[tuple[str, str, int]] = Counter()
        self._counts: dict[str, Counter[tuple[str, int]]] = {name: Counter() for name in BY_NODE}

    def count(self, name: str, node: str, second: int) -> None:
        """Count one of those that go by node and second."""
        self._counts[name][node, second] += 1

    def keep(self, detail: Mapping[str, Any]) -> None:
        """Count one at its place, and keep it while there is room for its `kind` on its `node`.

        By node: what is excused on one node must not crowd out what is not on another.
        """
        self._places[detail["kind"], detail["node"], int(detail["at_s"])] += 1
        self._evidence.add(f"{detail['kind']} {detail['node']}", detail)

    def seconds(self, name: str, node: str) -> set[int]:
        """Return the seconds in which one was counted for a node."""
        return {second for owner, second in self._counts[name] if owner == node}

    def total(self, *names: str) -> int:
        """Return how many were counted under the names together."""
        return sum(self._counts[name].total() for name in names)

    def report(self) -> dict[str, Any]:
        """Return everything in plain types."""
        found: dict[str, Any] = {
            "stale": self.stale,
            "wrong_updates": self.wrong_updates,
            "unasked": self.unasked,
            "outlived": self.outlived,
            "places": [[*place, count] for place, count in sorted(self._places.items())],
            "evidence": self._evidence.kept,
        }
        for name, counts in self._counts.items():
            found[name] = [[*at, count] for at, count in sorted(counts.items())]
        return found
