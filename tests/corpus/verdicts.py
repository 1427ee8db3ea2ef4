"""The verdicts that the recorded facts must have, and how they are told from other ones.

`NAME.json.gz` holds the facts of a run, `NAME.json` the verdict that was made of them, a line a
check, so that a change of a rule shows as a change of those lines. A folder is a suite with the
facts of its runs; its suite.json is the outcome that it must have.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from report.facts_file import read_facts
from report.json import verdict_json
from verdict.model import RunFacts
from verdict.verdict import judge

FOLDER = Path(__file__).resolve().parent.parent / "fixtures" / "facts"
PACKED = ".json.gz"
KEPT = ("verdict", "exit_code", "totals", "notes", "checks", "figures")
"""What of verdict.json is made by judging; the rest stands in the facts."""

Recorded = dict[str, Any]


def names() -> list[str]:
    """Return the names of the recorded runs."""
    return sorted(path.name.removesuffix(PACKED) for path in FOLDER.glob(f"*{PACKED}"))


def suites() -> list[Path]:
    """Return the folders of the recorded suites."""
    return sorted(path.parent for path in FOLDER.glob("*/suite.json"))


def facts_of(name: str) -> RunFacts:
    """Return the facts of a recorded run."""
    return read_facts(FOLDER / f"{name}{PACKED}")


def recorded(name: str) -> Recorded:
    """Return the verdict that a recorded run must have."""
    found: Recorded = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return found


def judged(facts: RunFacts) -> Recorded:
    """Return the verdict of facts, in the form that is recorded."""
    return kept(verdict_json(judge(facts), facts))


def kept(verdict: Mapping[str, Any]) -> Recorded:
    """Return what of a verdict.json is recorded."""
    found: Recorded = json.loads(json.dumps({name: verdict[name] for name in KEPT}))
    return found


def text_of(verdict: Recorded) -> str:
    """Return the content of NAME.json."""
    lines = []
    for name, part in verdict.items():
        if name == "checks":
            inner = ",\n".join(json.dumps(check) for check in part)
            lines.append(f'"checks": [\n{inner}\n]')
        else:
            lines.append(f'"{name}": {json.dumps(part)}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def differences(was: Recorded, now: Recorded) -> list[str]:
    """Return what has changed, a line each: the verdict, then check by check, then the rest."""
    lines = []
    if was["verdict"] != now["verdict"]:
        lines.append(f"verdict: {was['verdict']} -> {now['verdict']}")
    before, after = (_by_name(verdict["checks"]) for verdict in (was, now))
    if list(before) != list(after):
        lines.append(f"checks: {' '.join(before)} -> {' '.join(after)}")
    for name in before:
        lines += _changes(name, before[name], after.get(name, {}))
    for part in ("totals", "figures", "notes", "exit_code"):
        lines += _changes(part, _parts(was[part]), _parts(now[part]))
    return lines


def _by_name(checks: list[Recorded]) -> dict[str, Recorded]:
    return {check["name"]: check for check in checks}


def _parts(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {"": value}


def _changes(what: str, was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for name in dict.fromkeys([*was, *now]):
        before, after = (side.get(name, "(nothing)") for side in (was, now))
        if before != after:
            yield f"{' '.join(filter(None, (what, name)))}:"
            yield f"    was {json.dumps(before)}"
            yield f"    now {json.dumps(after)}"
