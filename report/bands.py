"""Spans of time to shade or to mark: phases, faults by node, and what checks found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from report.scales import Scale
from report.words import contributor_text, plain
from verdict.answers import NEEDS_EVIDENCE
from verdict.model import CheckResult, RunFacts


@dataclass(frozen=True, kw_only=True)
class Band:
    """A span of time on the axis, in percent."""

    left: float
    width: float
    label: str
    css: str


def _band(x: Scale, begin: float, end: float, label: str, css: str) -> Band:
    left, right = x.place(begin), x.place(end)
    return Band(left=round(left, 3), width=round(right - left, 3), label=plain(label), css=css)


def phase_bands(facts: RunFacts, x: Scale) -> list[Band]:
    """Give the phases of a run."""
    return [
        _band(x, p.start_s, facts.duration_s if p.end_s is None else p.end_s, p.name, "phase")
        for p in facts.phases
    ]


def fault_bands(facts: RunFacts, node: str, x: Scale) -> list[Band]:
    """Give the faults of a node, from injection to confirmed heal."""
    return [
        _band(x, begin, end, f"{record.id}: {record.kind}", "fault")
        for record in facts.faults
        if node in record.nodes and (begin := record.injected_at_s) is not None
        for end in [facts.duration_s if record.healed_at_s is None else record.healed_at_s]
    ]


def mark_bands(checks: Sequence[CheckResult], x: Scale) -> dict[str, list[Band]]:
    """Give the seconds that each check which was not held speaks of, by its name."""
    found = {
        check.name: [
            _band(x, each.from_s, each.from_s if each.to_s is None else each.to_s, text, css)
            for each in check.evidence
            if each.from_s is not None
            for text, css in [(contributor_text(each), f"mark {check.verdict.value.lower()}")]
        ]
        for check in checks
        if check.verdict in NEEDS_EVIDENCE
    }
    return {name: bands for name, bands in found.items() if bands}
