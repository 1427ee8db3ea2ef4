"""How often each check is right: false alarms over honest clients, power over the broken ones.

    python -m tests.e2e.power [--rounds N] [--out FILE] [--only WORD ...]

A false alarm is a FAIL of a client that is honest; power is the share of the runs of a check's own
negative controls in which the run was a FAIL and that check among those that failed. What a run
could not judge (INCONCLUSIVE) counts as neither and is shown. Each run goes into FILE as it ends,
a JSON line each, so an interrupted measurement keeps what it had; runs that FILE holds already are
not made again. A run takes half a minute: nothing else should be running on the machine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memquake.paths import CHECKOUT, RUNS
from tests.e2e.controls import CALM, CONTROLS, CUT, HOLE, OUTAGE, SCALED, SLICED, WATCHED

LIMIT_S = 300.0
HONEST = ("memquake", "tests.e2e.honest_client:build")
OF_OTHER_NAMES = ("tests.e2e.honest_client:prefixed", "tests.e2e.honest_client:packing")
LOADS = (
    ("--scenario", "none", "-t", "10s"),
    WATCHED,
    HOLE,
    OUTAGE,
    CALM,
    CUT,
    SLICED,
    ("--scenario", "node-crash", *SCALED),
)


@dataclass(frozen=True)
class Trial:
    """One run to make: its name, what `locust` gets, and the checks that should FAIL, if any."""

    name: str
    arguments: tuple[str, ...]
    checks: frozenset[str]


def trials() -> Iterator[Trial]:
    """Give every honest client under every load, then every control."""
    for client in HONEST:
        for load in LOADS:
            yield Trial(f"{client} {' '.join(load)}", (*load, "--client", client), frozenset())
    for client in OF_OTHER_NAMES:
        for load in (WATCHED, CUT):
            yield Trial(f"{client} {' '.join(load)}", (*load, "--client", client), frozenset())
    for control in CONTROLS:
        name = f"{control.client}: {control.what}"
        yield Trial(name, tuple(control.arguments), control.checks)


def run(trial: Trial, seed: int) -> dict[str, Any]:
    """Make one run and give its exit code and the ruling of every check."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "locust", "--headless", "--seed", str(seed)]
        done = subprocess.run(
            [*command, *trial.arguments, "--runs-dir", folder, "--no-report"],
            cwd=CHECKOUT,
            capture_output=True,
            timeout=LIMIT_S,
            check=False,
        )
        found = sorted(Path(folder).glob("*/verdict.json"))
        verdict = json.loads(found[0].read_text()) if found else {"checks": []}
    checks = {check["name"]: check["verdict"] for check in verdict["checks"]}
    why = {c["name"]: c["why"] for c in verdict["checks"] if c["verdict"] == "FAIL"}
    end = done.stderr.decode(errors="replace")[-300:] if not found else ""
    return {"exit_code": done.returncode, "checks": checks, "why": why, "end": end}


def table(results: Sequence[dict[str, Any]]) -> str:
    """Give a line a check: judged and false alarms of honest runs, power over its own controls."""
    honest: dict[str, Counter[str]] = {}
    own: dict[str, Counter[bool]] = {}
    for result in results:
        for check, ruling in result["checks"].items():
            if not result["expected"]:
                honest.setdefault(check, Counter())[ruling] += 1
            elif check in result["expected"]:
                convicts = result["exit_code"] == 1 and ruling == "FAIL"
                own.setdefault(check, Counter())[convicts] += 1
    lines = [f"{'check':<30}{'judged':>8}{'unjudged':>10}{'false alarms':>14}{'convicted':>12}"]
    for check, rulings in honest.items():
        judged = rulings["PASS"] + rulings["FAIL"]
        tried = own.get(check, Counter())
        power = f"{tried[True]} of {tried.total()}" if tried else "-"
        lines.append(
            f"{check:<30}{judged:>8}{rulings['INCONCLUSIVE']:>10}{rulings['FAIL']:>14}{power:>12}"
        )
    return "\n".join(lines)


def missed(results: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Say of each run that did not end as it should what it was and what became of it."""
    for result in results:
        failed = {name for name, ruling in result["checks"].items() if ruling == "FAIL"}
        expected = set(result["expected"])
        is_right = bool(failed & expected) if expected else result["exit_code"] == 0
        if not is_right:
            open_ones = [n for n, ruling in result["checks"].items() if ruling == "INCONCLUSIVE"]
            yield (
                f"{result['name']} (seed {result['seed']}): exit code {result['exit_code']}, "
                f"FAIL {sorted(failed)}, INCONCLUSIVE {open_ones} {result['end']}"
            )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; exit code 1 when a run did not end as it should."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.power", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1, help="how often each run is made")
    parser.add_argument("--out", type=Path, default=CHECKOUT / RUNS / "power.jsonl")
    parser.add_argument("--only", nargs="*", default=[], help="words a run's name must hold")
    options = parser.parse_args(arguments)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    results = []
    if options.out.exists():
        results = [json.loads(line) for line in options.out.read_text().splitlines()]
    made = {(result["name"], result["seed"]) for result in results}
    chosen = [trial for trial in trials() if all(word in trial.name for word in options.only)]
    for seed in range(1, options.rounds + 1):
        for trial in chosen:
            if (trial.name, seed) in made:
                continue
            found = {"name": trial.name, "seed": seed, "expected": sorted(trial.checks)}
            found |= run(trial, seed)
            results.append(found)
            with options.out.open("a") as file:
                file.write(json.dumps(found) + "\n")
            print(f"{found['exit_code']}  {trial.name} (seed {seed})", flush=True)
    print(table(results))
    wrong = list(missed(results))
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
