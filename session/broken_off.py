"""Runs that were broken off: what became of them, told in their folders by whoever starts next.

A run ends with a verdict, whatever happens to it, but for one case: its master was killed, or its
machine went down. Then plan, journal and timeline lie there, written until that moment. Here the
journal and the timeline are read back, and verdict.json and junit.xml say what there was: nothing
is judged, every check is INCONCLUSIVE. A run whose master lives holds its folder, and is left
alone.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from faults.effect import Effect
from faults.journal import FaultRecord
from report.facts_file import FACTS, write_facts
from report.json import write_json
from report.junit import write_junit
from session.folder import hold, let_go
from session.process_end import end_of
from telemetry.writer import read_series
from verdict.model import RunFacts, WorkerFacts
from verdict.verdict import judge

PLAN, JOURNAL, TIMELINE, VERDICT = "plan.yaml", "journal.jsonl", "timeline.jsonl", "verdict.json"
ENDED = frozenset({"ended", "failed"})
"""Events of a run that came to its end; one that could not begin has no verdict, and needs none."""

_STAMP = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z-")


def tell_broken_off(runs_dir: Path) -> list[str]:
    """Write into every folder of a run that was broken off what became of it; a line for each."""
    told = []
    for folder in sorted(runs_dir.iterdir()) if runs_dir.is_dir() else ():
        is_run = all((folder / name).is_file() for name in (PLAN, JOURNAL))
        if folder.is_symlink() or not is_run or (folder / VERDICT).exists():
            continue
        held = hold(folder)
        if held is None:
            continue
        try:
            line = _tell(folder)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
            kind = type(error).__name__
            line = f"{folder.name} was broken off, and its files cannot be read ({kind}): remove it"
        finally:
            let_go(held)
        if line:
            told.append(line)
    return told


def _tell(folder: Path) -> str:
    remains = _Remains()
    for entry in _entries(folder / JOURNAL):
        remains.take(entry)
    if remains.has_ended:
        return ""
    with contextlib.suppress(FileNotFoundError):
        for line in read_series(folder / TIMELINE):
            remains.add(line)
    facts = _facts(folder, remains)
    verdict = judge(facts)
    write_facts(facts, folder / FACTS)
    write_json(verdict, facts, folder / VERDICT)
    write_junit(verdict, facts, folder / "junit.xml")
    return f"{folder.name} was {facts.stopped_early}; its verdict.json says what there was"


def _entries(path: Path) -> Iterable[Mapping[str, Any]]:
    """Give the entries of a journal, leaving out one that was cut off."""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        with contextlib.suppress(ValueError):
            entry = json.loads(line)
            if isinstance(entry, dict):
                yield entry


@dataclass
class _Remains:
    """What journal and timeline still say. Seconds count from second 0."""

    has_ended: bool = False
    at_s: float | None = None  # the last thing that is known to have happened
    phase: str = ""
    client_under_test: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    faults: dict[str, FaultRecord] = field(default_factory=dict)
    undone: set[str] = field(default_factory=set)
    workers: dict[str, int] = field(default_factory=dict)
    totals: dict[str, int] = field(
        default_factory=lambda: {"operations": 0, "keys": 0, "errors": 0, "wrong_values": 0}
    )

    def take(self, entry: Mapping[str, Any]) -> None:
        """Take in an entry of the journal."""
        event = entry.get("event")
        self.has_ended = self.has_ended or event in ENDED
        if isinstance(at := entry.get("t"), int | float):
            self.at_s = max(at, self.at_s or 0.0)
        if event == "run":
            self.client_under_test = entry.get("client_under_test", {})
            self.versions = entry.get("versions", {})
        elif event == "phase":
            self.phase = str(entry["name"])
        elif event == "guard" and entry.get("what") == "undone":
            self.undone.add(str(entry["id"]).partition("@")[0])
        elif "fault" in entry:
            record = _record(entry["fault"])
            self.faults[record.id] = record

    def add(self, line: Mapping[str, Any]) -> None:
        """Add a line of the timeline."""
        self.at_s = max(float(line["t"] + line["length_s"]), self.at_s or 0.0)
        for worker, count in line.get("workers", {}).items():
            self.workers[worker] = self.workers.get(worker, 0) + count
        self.totals["operations"] += sum(line["operations"].values())
        self.totals["keys"] += line["keys"]
        self.totals["errors"] += sum(line["errors"].values())
        self.totals["wrong_values"] += line["outcomes"].get("wrong_value", 0)

    @property
    def why(self) -> str:
        """Say in one line when the run ended, and in the middle of what."""
        if self.at_s is None:
            return "broken off before second 0: its master ended without a word"
        text = f"broken off at {self.at_s:.1f} s"
        if self.phase:
            text += f", in the {self.phase} phase"
        on = [
            record.id
            for record in self.faults.values()
            if record.injected_at_s is not None and record.healed_at_s is None
        ]
        if on:
            text += f", while {', '.join(on)} was on"
            text += " (healed by the guard)" if set(on) <= self.undone else ""
        return f"{text}: its master ended without a word"


def _record(data: Mapping[str, Any]) -> FaultRecord:
    known = {item.name for item in fields(FaultRecord)}
    return FaultRecord(
        **{name: value for name, value in data.items() if name in known}
        | {"nodes": tuple(data["nodes"]), "effects": frozenset(map(Effect, data["effects"]))}
    )


def _facts(folder: Path, remains: _Remains) -> RunFacts:
    plan = yaml.safe_load((folder / PLAN).read_text(encoding="utf-8")) or {}
    options = plan.get("options", {})
    stamp = _STAMP.match(folder.name)
    return RunFacts(
        scenario=str(plan["scenario"]),
        seed=int(plan["seed"]),
        client=str(options.get("client", "")),
        nodes=list(plan.get("nodes", ())),
        users=int(options.get("users", 0)),
        target_rate=float(options.get("target-rate", 0.0)),
        op_timeout_s=0.0,
        pool_size=0,
        started="{}-{}-{}T{}:{}:{}Z".format(*stamp.groups()) if stamp else "",
        duration_s=remains.at_s or 0.0,
        phases=[],
        faults=list(remains.faults.values()),
        windows=[],
        workers=[_worker(folder, name, n, remains.at_s) for name, n in remains.workers.items()],
        budgets={},
        stopped_early=remains.why,
        totals=remains.totals,
        client_under_test=remains.client_under_test,
        versions=remains.versions,
        broken_off=True,
    )


def _worker(folder: Path, name: str, operations: int, at_s: float | None) -> WorkerFacts:
    end = end_of(folder, name)
    return WorkerFacts(
        id=name,
        operations=operations,
        lost_at_s=at_s,
        ended="" if end is None or end.is_silent else end.words,
        silenced="" if end is None or not end.is_silent else end.words,
    )


def main(arguments: Sequence[str]) -> None:
    """Sum up what lies in a folder of runs; for the guard of a harness that is dead."""
    tell_broken_off(Path(arguments[0]))


if __name__ == "__main__":
    main(sys.argv[1:])
