"""Real calls kept as examples, spread over a run: any second that is asked about has one near it.

Its rule: of each kind the longest few in every stretch of some seconds. Where that would be too
many, stretches become twice as long, and each keeps as many as before; so a run of any length has
room for its last minute. What a kind is, and what is kept of a call, is for those who add.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

STRETCH_S = 5.0
"""Faults, and what follows from them, last about this long at least."""

LONGEST_STRETCH_S = 1e6  # a run of all kinds has no more of them than that is long

KEPT_A_STRETCH = 2
MOST = 1_000
"""Of half a kilobyte each: what may travel and stay in memory without being noticed."""

MAX_KINDS = 100
"""Kinds hold names of error classes; classes made while a client runs would otherwise never end."""

KEYS_NAMED = "keys named in .failed"
"""Stands for the outcome of a node's keys in a batch that has none of its own for them."""

Kind = tuple[str, ...]
OTHER_KINDS: Kind = ("other",)


@dataclass(slots=True)
class _Sample:
    """`detail` is JSON, a quarter of a dictionary's size; empty once it was taken for a report.

    What is left tells by its weight what is still wanted.
    """

    kind: Kind
    at_s: float
    weight: float
    detail: str


class Samples:
    """Keeps the heaviest samples of each kind in each stretch of a run."""

    def __init__(self, *, most: int = MOST) -> None:
        self._most = most
        self._stretch_s = STRETCH_S
        self._kinds: dict[Kind, Kind] = {}  # one object of each
        self._kept: dict[tuple[Kind, int], list[_Sample]] = {}
        self._count = 0

    def wants(self, kind: Kind, at_s: float, weight: float = 0.0) -> bool:
        """Whether one more sample would be kept: `weight` is its length, or whatever ranks it."""
        kept = self._kept.get(self._place(kind, at_s))
        return kept is None or len(kept) < KEPT_A_STRETCH or weight > kept[-1].weight

    def add(self, kind: Kind, at_s: float, detail: Mapping[str, Any], weight: float = 0.0) -> None:
        """Keep a sample if it is wanted; its detail is of plain types (telemetry.evidence)."""
        if self.wants(kind, at_s, weight):
            if len(self._kinds) < MAX_KINDS:
                self._kinds.setdefault(kind, kind)
            kind = self._kinds.get(kind, kind)
            self._keep(_Sample(kind, at_s, weight, json.dumps(detail)))
            while self._count > self._most and self._stretch_s < LONGEST_STRETCH_S:
                self._thin_out()

    def take(self) -> list[tuple[Kind, float, Mapping[str, Any]]]:
        """Return (kind, weight, detail) of what was added since the last take and is still kept.

        Whoever takes has the details from now on; they are forgotten here.
        """
        found = []
        for sample in self._all():
            if sample.detail:
                found.append((sample.kind, sample.weight, json.loads(sample.detail)))
                sample.detail = ""
        return found

    @property
    def kept(self) -> list[Mapping[str, Any]]:
        """All samples that were not taken, in order of their time."""
        found = sorted(self._all(), key=lambda each: each.at_s)
        return [json.loads(each.detail) for each in found if each.detail]

    def _all(self) -> list[_Sample]:
        return [each for kept in self._kept.values() for each in kept]

    def _place(self, kind: Kind, at_s: float) -> tuple[Kind, int]:
        is_known = kind in self._kinds or len(self._kinds) < MAX_KINDS
        return kind if is_known else OTHER_KINDS, int(at_s // self._stretch_s)

    def _keep(self, sample: _Sample) -> None:
        kept = self._kept.setdefault(self._place(sample.kind, sample.at_s), [])
        kept.append(sample)
        kept.sort(key=lambda each: each.weight, reverse=True)
        self._count += 1
        if len(kept) > KEPT_A_STRETCH:
            kept.pop()
            self._count -= 1

    def _thin_out(self) -> None:
        """Make stretches twice as long."""
        found = self._all()
        self._stretch_s *= 2
        self._kept, self._count = {}, 0
        for each in found:
            self._keep(each)
