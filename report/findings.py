"""findings.jsonl: every wrong value, finding, error, stall and sample that was kept, a line each.

The last line says how many there were of each, how many of them are here, and by what bounds. A
sampled call is a slow one, or one that names failed keys; how many such there were is not counted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from client.operation import FAILURES, Outcome
from report.atomic import write_text
from report.json import finite
from telemetry.evidence import KEPT_PER_KIND, MAX_KINDS, MOST_LATER
from telemetry.samples import KEPT_A_STRETCH, MOST, STRETCH_S
from verdict.model import LedgerFacts, RunFacts

BOUNDS = (
    f"of each process the first {KEPT_PER_KIND} of a kind ({MAX_KINDS} kinds), and {MOST_LATER} "
    f"later ones; an error of each class and text; {KEPT_A_STRETCH} calls of a kind in "
    f"{STRETCH_S:g} s, {MOST:,} in all"
)


def findings_text(facts: RunFacts) -> str:
    """Return the content of findings.jsonl."""
    lines = list(_found(facts))
    kept: dict[str, int] = {}
    for line in lines:
        kept[line["what"]] = kept.get(line["what"], 0) + 1
    seen = {what: max(count, kept.get(what, 0)) for what, count in _counted(facts).items()}
    left_out = {what: count - kept.get(what, 0) for what, count in seen.items()}
    end = {"what": "summary", "seen": seen, "kept": kept, "left_out": left_out, "bounds": BOUNDS}
    return "".join(json.dumps(finite(line), allow_nan=False) + "\n" for line in [*lines, end])


def write_findings(facts: RunFacts, path: Path) -> None:
    """Write findings.jsonl."""
    write_text(Path(path), findings_text(facts))


def _found(facts: RunFacts) -> Iterator[dict[str, Any]]:
    yield from ({"what": "wrong_value", **each} for each in facts.wrong_values)
    yield from ({"what": "finding", **each} for each in facts.findings)
    for worker in facts.workers:
        for stall in worker.stalls.get("kept", ()):
            yield {"what": "stall", "worker": worker.id, **stall}
        for each in worker.ledger.evidence if worker.ledger is not None else ():
            yield {"what": "ledger", "worker": worker.id, **each}
    yield from (_error(each, facts) for each in facts.errors)
    for each in facts.samples:
        failed = each.get("outcome") in FAILURES
        yield {"what": "failed_call" if failed else "sampled_call", **each}


def _error(each: Mapping[str, Any], facts: RunFacts) -> dict[str, Any]:
    count = facts.found.get("error", {}).get(str(each.get("kind")))
    return {"what": "error", "count": count, **each}


def _counted(facts: RunFacts) -> dict[str, int]:
    """Return how many there were of each, kept or not."""
    failed = sum(
        cell.count
        for window in facts.windows
        for (_, _, outcome), cell in window.cells.items()
        if outcome in FAILURES and outcome != Outcome.WRONG_VALUE
    )
    ledgers = [worker.ledger for worker in facts.workers if worker.ledger is not None]
    counts = {what: sum(kinds.values()) for what, kinds in facts.found.items()}
    return counts | {
        "stall": sum(int(worker.stalls.get("client", 0)) for worker in facts.workers),
        "ledger": sum(map(_of_ledger, ledgers)),
        "failed_call": failed,
    }


def _of_ledger(ledger: LedgerFacts) -> int:
    triples = (*ledger.lost, *ledger.masked)
    return (
        sum(count for _, _, count in triples)
        + ledger.stale
        + ledger.wrong_updates
        + ledger.outlived
    )
