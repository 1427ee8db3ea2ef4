"""What one load process keeps of one second, and how it is packed for a report.

Only integers are added here, so whatever is taken adds up to what was recorded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from client.operation import FAILURES, UNATTEMPTED, Outcome
from telemetry.histogram import Histogram
from telemetry.window import (
    SLICE_BUCKET_SHIFT,
    SLICES_A_SECOND,
    WAITING_FROM_US,
    Cell,
    NodeState,
    Nothing,
    Pacing,
    Raised,
    Slice,
)
from telemetry.wire import CellKey, Wire, flat, pack_cell, pack_pacing, pack_slice, pack_state

DONE, FAILED, NOT_ATTEMPTED, ABORTED = range(4)


def kind_of(outcome: str) -> int:
    """Give what an outcome means for those who wait: done, failed, not attempted, aborted."""
    if outcome in UNATTEMPTED:
        return NOT_ATTEMPTED
    if outcome in FAILURES:
        return FAILED
    return ABORTED if outcome == Outcome.ABORTED else DONE


@dataclass(slots=True)
class Tally(Cell):
    """A cell that knows what its outcome means, so that the hot path need not look it up."""

    kind: int = DONE


@dataclass(slots=True)
class Second:
    """What one second holds, until a report takes it."""

    cells: dict[CellKey, Tally] = field(default_factory=dict)
    slices: list[dict[str, Slice]] = field(
        default_factory=lambda: [{} for _ in range(SLICES_A_SECOND)]
    )
    batch_failed: dict[str, int] = field(default_factory=dict)
    batch_keys: dict[str, int] = field(default_factory=dict)
    batch_calls: dict[str, int] = field(default_factory=dict)
    batch_alone: dict[str, int] = field(default_factory=dict)
    batch_nothing: dict[Nothing, int] = field(default_factory=dict)
    raised: dict[Raised, int] = field(default_factory=dict)
    own: dict[str, list[int]] = field(default_factory=dict)
    pacing: Pacing | None = None
    lag: Histogram = field(default_factory=dict)
    cpu: float | None = None
    nodes: dict[str, NodeState] = field(default_factory=dict)
    users: int | None = None
    origin_calls: int = 0
    origin_peak: int = 0

    def pack(self, second: int) -> Wire:
        """Give the second as plain types (telemetry.wire names the keys)."""
        wire: Wire = {"t": second}
        if self.cells:
            wire["c"] = [pack_cell(key, cell) for key, cell in self.cells.items()]
        slices = [
            pack_slice(tenth, node, part)
            for tenth, nodes in enumerate(self.slices)
            for node, part in nodes.items()
            if part.calls  # an abort that did not wait leaves an empty one
        ]
        optional: tuple[tuple[str, Any], ...] = (
            ("s", slices),
            ("b", self.batch_failed),
            ("k", self.batch_keys),
            ("a", self.batch_calls),
            ("d", self.batch_alone),
            ("q", [[how, list(nodes), n] for (how, nodes), n in self.batch_nothing.items()]),
            ("x", [[*key, count] for key, count in self.raised.items()]),
            ("o", self.own),
            ("l", flat(self.lag)),
            ("n", {node: pack_state(state) for node, state in self.nodes.items()}),
        )
        wire.update({key: value for key, value in optional if value})
        if self.pacing is not None:
            wire["p"] = pack_pacing(self.pacing)
        if self.cpu is not None:
            wire["g"] = self.cpu
        if self.users is not None:
            wire["u"] = self.users
        if self.origin_calls or self.origin_peak:
            wire["r"] = [self.origin_calls, self.origin_peak]
        return wire


def add_notable(part: Slice, kind: int, us: int, bucket: int) -> None:
    """Count in a slice what failed, waited, or was cut off by the harness."""
    waited = us >= WAITING_FROM_US
    if kind == ABORTED and not waited:
        return
    part.calls += 1
    failed = kind in (FAILED, NOT_ATTEMPTED)
    part.failed += failed
    part.unattempted += kind == NOT_ATTEMPTED
    if waited:
        coarse = bucket >> SLICE_BUCKET_SHIFT
        part.waiting[coarse] = part.waiting.get(coarse, 0) + 1
        if failed:
            part.waiting_failed[coarse] = part.waiting_failed.get(coarse, 0) + 1
