"""Which seconds of a run belong to what: baseline, during a fault, recovery, or to nothing.

Pure arithmetic on the journal's records. The rule: a window that a fault's edge touches, and the
first two seconds of a run, decide nothing; everything else is told by the time a window began and
ended. This module must not look into a window.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from faults.effect import EXCUSING
from faults.journal import FaultRecord, PhaseRecord

WARM_UP_S = 2.0
"""Connections are made and caches fill: the first two seconds say nothing about steady state."""

EDGE_LEAD_S = 0.1
"""An injection takes effect a little before its call returns, but never before it was due. One that
is long under way, such as 4,000 connections, does from its beginning."""

_CLOCK_SLACK_S = 0.1
"""Phases begin some milliseconds after the second they were planned for."""


@dataclass(frozen=True, kw_only=True)
class FaultSpan:
    """One fault that was injected, with every time filled in (seconds since the epoch).

    `begins` is the confirmed injection, `heal` the moment healing started (the end of the load
    when it never did), `healed` when it was seen to be over.
    """

    record: FaultRecord
    injected: float
    begins: float
    heal: float
    healed: float
    was_healed: bool

    @property
    def length_s(self) -> float:
        """Seconds from confirmed injection to heal."""
        return max(0.0, self.heal - self.begins)

    @property
    def earliest(self) -> float:
        """Return from when on it may have had an effect."""
        lead = max(self.record.planned_at_s, self.injected - EDGE_LEAD_S)
        begun = self.record.begun_at_s
        return min(self.injected, lead if begun is None else min(lead, begun))

    def hits(self, node: str) -> bool:
        """Tell whether the node is a target."""
        return node in self.record.nodes

    @property
    def excuses(self) -> bool:
        """Tell whether its nodes may be worse for it."""
        return bool(self.record.effects & EXCUSING)

    def edges(self) -> list[tuple[float, float]]:
        """Give the spans in which the fault was half there."""
        edges = [(self.earliest, self.begins)]
        if self.was_healed:
            edges.append((self.heal, self.healed))
        return edges


def span_of(record: FaultRecord, load_end: float) -> FaultSpan | None:
    """Fill in the times of a fault; None for one that was never injected."""
    if record.injected_at_s is None:
        return None
    begins = record.confirmed_at_s if record.confirmed_at_s is not None else record.injected_at_s
    heal = record.heal_started_s if record.heal_started_s is not None else record.healed_at_s
    was_healed = heal is not None
    heal = load_end if heal is None else heal
    healed = record.healed_at_s if record.healed_at_s is not None else heal
    return FaultSpan(
        record=record,
        injected=record.injected_at_s,
        begins=max(begins, record.injected_at_s),
        heal=heal,
        healed=max(heal, healed),
        was_healed=was_healed,
    )


@dataclass(frozen=True, kw_only=True)
class Phases:
    """The calendar of a run. Windows are named by their second.

    `folded` are seconds that a long run keeps only in coarser windows, `unsampled` those it kept
    because something happened in them: a median over them would be no median of the run.
    """

    spans: tuple[FaultSpan, ...]  # in order of injection
    stabilization: tuple[float, float] | None
    load_end: float
    has_faults: bool
    disturbed: frozenset[int] = frozenset()  # a node was away or new without a plan
    folded: frozenset[int] = frozenset()
    unsampled: frozenset[int] = frozenset()

    @cached_property
    def touched(self) -> frozenset[int]:
        """Windows that an edge of any fault touches, or what happened to a node without a plan."""
        edges = [edge for span in self.spans for edge in span.edges()]
        return self.disturbed | frozenset(
            second
            for begin, end in edges
            for second in range(math.floor(begin), math.floor(end) + 1)
        )

    @cached_property
    def full(self) -> tuple[int, ...]:
        """Whole seconds of load that may decide something, each known for itself."""
        seconds = range(math.ceil(WARM_UP_S), math.floor(self.load_end))
        left_out = self.touched | self.folded
        return tuple(second for second in seconds if second not in left_out)

    @cached_property
    def sampled(self) -> tuple[int, ...]:
        """The full seconds without those that were kept for what happened in them."""
        return tuple(second for second in self.full if second not in self.unsampled)

    @cached_property
    def baseline(self) -> tuple[int, ...]:
        """Steady state: stabilization without its first 2 s, or the whole run without faults."""
        if not self.has_faults:
            return self.sampled
        if self.stabilization is None:
            return ()
        start, end = self.stabilization
        return tuple(
            second
            for second in self.sampled
            if second >= start + WARM_UP_S - _CLOCK_SLACK_S and second + 1 <= end + _CLOCK_SLACK_S
        )

    def inside(self, begin: float, end: float) -> tuple[int, ...]:
        """Give the deciding windows that lie wholly between two moments."""
        return tuple(second for second in self.full if begin <= second and second + 1 <= end)

    def during(self, span: FaultSpan) -> tuple[int, ...]:
        """Give the deciding windows from a fault's confirmed injection to its heal."""
        return self.inside(span.begins, span.heal)

    @cached_property
    def last_heal(self) -> float | None:
        """When the last fault was over; None while one still holds, or without faults."""
        if not self.spans or not all(span.was_healed for span in self.spans):
            return None
        return max(span.healed for span in self.spans)

    def is_affected(self, node: str, begin: float, end: float, recovery_s: float) -> bool:
        """Tell whether a fault on the node, or the time to recover from it, touches a span."""
        return any(
            span.excuses and span.hits(node) and self.touches(span, begin, end, recovery_s)
            for span in self.spans
        )

    def touches(self, span: FaultSpan, begin: float, end: float, recovery_s: float) -> bool:
        """Tell whether a fault, or the time to recover from it, touches a stretch of the run."""
        begins = min(span.earliest, span.injected - EDGE_LEAD_S)
        return begin < self.blamed_until(span, recovery_s) and end > begins

    def blamed_until(self, span: FaultSpan, recovery_s: float) -> float:
        """Give the moment from which a fault excuses nothing any more."""
        return span.healed + recovery_s if span.was_healed else math.inf

    def is_under_fault(self, second: int) -> bool:
        """Tell whether any fault was active in a window."""
        return any(span.injected < second + 1 and second < span.healed for span in self.spans)

    def next_injection(self, node: str, after: float) -> float:
        """Give when the next fault hits the node, or the end of the load."""
        later = [s.injected for s in self.spans if s.hits(node) and s.injected >= after]
        return min([self.load_end, *later])


def calendar(
    phases: Sequence[PhaseRecord],
    faults: Sequence[FaultRecord],
    duration_s: float,
    *,
    disturbed: frozenset[int] = frozenset(),
    folded: frozenset[int] = frozenset(),
    unsampled: frozenset[int] = frozenset(),
) -> Phases:
    """Build the calendar of a run from its journal, and the seconds that are not what they were."""
    ends = [phase.end_s for phase in phases if phase.end_s is not None]
    complete = bool(phases) and phases[-1].end_s is not None
    load_end = min(duration_s, max(ends)) if complete else duration_s
    steady = next((phase for phase in phases if phase.name == "stabilization"), None)
    stabilization = None
    if steady is not None:
        end = steady.end_s if steady.end_s is not None else load_end
        stabilization = (steady.start_s, end)
    spans = [span for record in faults if (span := span_of(record, load_end)) is not None]
    return Phases(
        spans=tuple(sorted(spans, key=lambda span: span.injected)),
        stabilization=stabilization,
        load_end=load_end,
        has_faults=bool(faults),
        disturbed=disturbed,
        folded=folded,
        unsampled=unsampled,
    )
