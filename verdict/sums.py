"""What one window adds up to: operations, keys, failures, service times, hits and misses.

Its rule: add up, never judge. `View` keeps the sums, checks compare them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from client.operation import FAILURES, UNATTEMPTED, Outcome
from telemetry.histogram import Histogram, lowest_us, merge_into, percentile_us
from telemetry.window import SLICE_BUCKET_SHIFT, WAITING_FROM_US, Slice, Window

READS = "g"  # get, gets, gat and their batches
READ_OUTCOMES = frozenset({Outcome.HIT, Outcome.MISS, Outcome.PARTIAL})


@dataclass(slots=True)
class Sums:
    """Operations of one second, added up. `service` holds the attempted ones, in us."""

    operations: int = 0
    keys: int = 0
    failed: int = 0
    unattempted: int = 0
    aborted: int = 0
    read_keys: int = 0
    read_hits: int = 0
    service: Histogram = field(default_factory=dict)

    @property
    def completed(self) -> int:
        """Operations that did what was asked."""
        return self.operations - self.failed - self.aborted

    @property
    def unfailed(self) -> int:
        """Operations that did what was asked, or were cut off by the harness before they could."""
        return self.operations - self.failed

    @property
    def hit_ratio(self) -> float | None:
        """Share of the keys read that were found."""
        return self.read_hits / self.read_keys if self.read_keys else None

    def p99_ms(self) -> float | None:
        """Give the 99th percentile of the attempted operations' service time."""
        value = percentile_us(self.service, 0.99)
        return None if value is None else value / 1000

    def p50_ms(self) -> float | None:
        """Give the median of the attempted operations' service time."""
        value = percentile_us(self.service, 0.50)
        return None if value is None else value / 1000


def sum_cells(window: Window, groups: Iterable[str] | None) -> Sums:
    """Add up the cells of the groups (nodes, or "" for batches); of all where it is None."""
    wanted = None if groups is None else frozenset(groups)
    sums = Sums()
    for (_, node, outcome), cell in window.cells.items():
        if wanted is not None and node not in wanted:
            continue
        sums.operations += cell.count
        sums.keys += cell.keys
        if outcome in FAILURES:
            sums.failed += cell.count
        if outcome == Outcome.ABORTED:
            sums.aborted += cell.count
        if outcome in UNATTEMPTED:
            sums.unattempted += cell.count
        else:
            merge_into(sums.service, cell.service)
    sums.read_keys, sums.read_hits = reads(window, wanted)
    return sums


def reads(window: Window, nodes: Collection[str] | None = None) -> tuple[int, int]:
    """Count the keys that reads of a window got an answer for, and those of them that were found.

    A key that a batch names as failed is no miss: nobody knows whether the node has it.
    """
    keys = hits = 0
    has_partial = False
    for (op, node, outcome), cell in window.cells.items():
        if outcome not in READ_OUTCOMES or not op.startswith(READS):
            continue
        if nodes is None or node in nodes:
            keys += cell.keys
            hits += cell.hits
            has_partial = has_partial or outcome == Outcome.PARTIAL
    if has_partial:
        keys = max(hits, keys - sum(window.batch_failed.values()))
    return keys, hits


def waiting_calls(part: Slice, threshold_us: float) -> int:
    """Count the calls of a slice that certainly waited at least `threshold_us`."""
    return _longer(part.waiting, threshold_us)


def waiting_failures(part: Slice, threshold_us: float) -> int:
    """Count the failed calls of a slice that certainly waited at least `threshold_us`."""
    return _longer(part.waiting_failed, threshold_us)


def _longer(waiting: Histogram, threshold_us: float) -> int:
    if threshold_us <= WAITING_FROM_US:
        return sum(waiting.values())
    return sum(
        count
        for coarse, count in waiting.items()
        if lowest_us(coarse << SLICE_BUCKET_SHIFT) >= threshold_us
    )
