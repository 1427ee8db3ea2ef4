"""verdict.json: the verdict for programs. Names and order of the fields are a contract."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from report.atomic import write_text
from verdict.model import CheckResult, Contributor, RunFacts, Verdict

FORMAT_VERSION = 1
"""Grows when a field changes its meaning; added fields do not count."""


def verdict_json(verdict: Verdict, facts: RunFacts) -> dict[str, Any]:
    """Give the content of verdict.json as plain types."""
    return {
        "version": FORMAT_VERSION,
        "scenario": facts.scenario,
        "seed": facts.seed,
        "verdict": verdict.ruling.value,
        "exit_code": verdict.exit_code,
        "started": facts.started,
        "duration_s": _number(facts.duration_s),
        "client": facts.client,
        "workers": [
            {
                "id": w.id,
                "operations": w.operations,
                "lost_at_s": _number(w.lost_at_s),
                "joined_at_s": _number(w.joined_at_s),
                "away_s": [[_number(begin), _number(end)] for begin, end in w.away],
            }
            for w in facts.workers
        ],
        "totals": {
            name: verdict.totals[name] for name in ("operations", "keys", "errors", "wrong_values")
        },
        "checks": [_check(check) for check in verdict.checks],
        "faults": [
            {
                "id": record.id,
                "kind": record.kind,
                "nodes": list(record.nodes),
                "started_s": _number(record.injected_at_s),
                "ended_s": _number(record.healed_at_s),
                "confirmed": record.confirmed,
                "emulated_by": record.emulated_by,
            }
            for record in facts.faults
        ],
        "figures": {
            name: {"value": _number(figure.value), "unit": figure.unit}
            for name, figure in verdict.figures.items()
        },
        "notes": list(verdict.notes),
        "stopped_early": facts.stopped_early,
        "broken_off": facts.broken_off,
        "client_under_test": dict(facts.client_under_test),
        "versions": dict(facts.versions),
    }


def _check(check: CheckResult) -> dict[str, Any]:
    return {
        "name": check.name,
        "verdict": check.verdict.value,
        "observed": _number(check.observed),
        "limit": _number(check.limit),
        "unit": check.unit,
        "why": check.why,
        "evidence": [contributor_json(each) for each in check.evidence],
    }


def contributor_json(each: Contributor) -> dict[str, Any]:
    """Return a contributor in the fields of the contract."""
    return {
        "operation": each.operation or None,
        "node": each.node or None,
        "outcome": each.outcome,
        "from_s": _number(each.from_s),
        "to_s": _number(each.to_s),
        "count": each.count,
        "share": _number(each.share),
        "example": finite(each.example) or None,
    }


def finite(value: Any) -> Any:
    """Give a case as JSON can hold it."""
    if isinstance(value, Mapping):
        return {str(name): finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [finite(part) for part in value]
    if isinstance(value, float):
        return _number(value)
    return value if value is None or isinstance(value, bool | int) else str(value)


def write_json(verdict: Verdict, facts: RunFacts, path: Path) -> None:
    """Write verdict.json."""
    text = json.dumps(verdict_json(verdict, facts), indent=2, allow_nan=False)
    write_text(Path(path), text + "\n")


def _number(value: float | None) -> float | None:
    """JSON has no infinity and no NaN; six digits are a microsecond."""
    if value is None or not math.isfinite(value):
        return None
    return round(value, 6) if isinstance(value, float) else value
