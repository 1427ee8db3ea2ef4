"""How often a run proves something on a busy machine: single runs and suites beside a neighbour.

    python -m tests.e2e.steadiness [--runs N] [--suites N] [--out FILE] [--quiet-machine]

The neighbour takes half a core, in bursts, as a build or an update would. Single runs are those of
`make run`, suites are `quick`; each has a seed of its own. The default client is honest, so a FAIL
is wrong, and an INCONCLUSIVE is a CI step that has to be run again. Shares are printed with their
95 % confidence intervals (Wilson's), the checks that were left open with how often. Each run goes
into FILE as it ends, and those that FILE holds are not made again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from memquake.paths import CHECKOUT, RUNS

SINGLE = ("--scenario", "single-node-failure", "--time-scale", "0.5")
SUITE = ("--suite", "quick", "--keep-going")
LIMIT_S = 1_200.0
VERDICTS: Mapping[int, str] = {0: "PASS", 1: "FAIL", 3: "INCONCLUSIVE"}
Z = 1.96  # of a normal distribution: 95 % lie within

NEIGHBOUR = """
import os, random, time
random.seed(7)
parent = os.getppid()
while os.getppid() == parent:  # one that outlives a measurement would spoil all later ones
    busy = random.uniform(0.2, 1.5)
    until = time.monotonic() + busy
    while time.monotonic() < until:
        pass
    time.sleep(busy)
"""


@contextlib.contextmanager
def neighbour() -> Iterator[None]:
    """Take half a core in bursts of 0.2 s to 1.5 s, until the block ends."""
    process = subprocess.Popen([sys.executable, "-c", NEIGHBOUR])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def run(words: Sequence[str], seed: int) -> dict[str, Any]:
    """Make one run; return its verdict, the checks that were not held, and what it took."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "locust", "--headless", "--seed", str(seed), *words]
        done = subprocess.run(
            [*command, "--runs-dir", folder, "--no-report"],
            cwd=CHECKOUT,
            capture_output=True,
            timeout=LIMIT_S,
            check=False,
        )
        verdicts = [json.loads(p.read_text()) for p in sorted(Path(folder).glob("*/verdict.json"))]
    return {
        "seed": seed,
        "verdict": VERDICTS.get(done.returncode, f"exit code {done.returncode}"),
        "open": [
            {"scenario": verdict["scenario"], **{k: check[k] for k in ("name", "verdict", "why")}}
            for verdict in verdicts
            for check in verdict["checks"]
            if check["verdict"] in {"FAIL", "INCONCLUSIVE"}
        ],
        "end": "" if done.returncode in VERDICTS else done.stderr.decode(errors="replace")[-300:],
        "lasted_s": round(time.monotonic() - begun, 1),
    }


def interval(count: int, of: int) -> tuple[float, float]:
    """Return Wilson's interval of a share, both ends between 0 and 1."""
    if not of:
        return 0.0, 1.0
    share, square = count / of, Z * Z
    middle = (share + square / (2 * of)) / (1 + square / of)
    half = Z / (1 + square / of) * math.sqrt(share * (1 - share) / of + square / (4 * of * of))
    return max(0.0, middle - half), min(1.0, middle + half)


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """Return the share of each verdict by kind of run, then the checks that were left open."""
    lines = []
    for kind in dict.fromkeys(result["kind"] for result in results):
        own = [result for result in results if result["kind"] == kind]
        verdicts = Counter(result["verdict"] for result in own)
        for verdict in dict.fromkeys(["PASS", "INCONCLUSIVE", "FAIL", *verdicts]):
            count = verdicts[verdict]
            low, high = interval(count, len(own))
            lines.append(
                f"{kind:<8}{verdict:<14}{count:>4} of {len(own):<4}{count / len(own):>7.1%}"
                f"   ({low:.1%} to {high:.1%})"
            )
        checks = Counter((c["name"], c["verdict"]) for result in own for c in result["open"])
        lines += [f"{kind:<8}  {n:>3} x {name} {verdict}" for (name, verdict), n in
                  checks.most_common()]  # fmt: skip
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; exit code 1 when a run was a FAIL or could not be made."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.steadiness", description=__doc__)
    parser.add_argument("--runs", type=int, default=60, help="single runs (default 60)")
    parser.add_argument("--suites", type=int, default=10, help="suites (default 10)")
    parser.add_argument("--out", type=Path, default=CHECKOUT / RUNS / "steadiness.jsonl")
    parser.add_argument("--quiet-machine", action="store_true", help="without the neighbour")
    options = parser.parse_args(arguments)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    results: list[dict[str, Any]] = []
    if options.out.exists():
        results = [json.loads(line) for line in options.out.read_text().splitlines()]
    made = {(result["kind"], result["seed"]) for result in results}
    planned = [("single", SINGLE, seed) for seed in range(1, options.runs + 1)]
    planned += [("suite", SUITE, seed) for seed in range(1, options.suites + 1)]
    with contextlib.nullcontext() if options.quiet_machine else neighbour():
        for kind, words, seed in planned:
            if (kind, seed) in made:
                continue
            result = {"kind": kind, **run(words, seed)}
            results.append(result)
            with options.out.open("a") as file:
                file.write(json.dumps(result) + "\n")
            names = ", ".join(f"{c['scenario']}: {c['name']}" for c in result["open"])
            print(f"{kind} {seed}: {result['verdict']} {names} {result['end']}", flush=True)
    print(table(results))
    return int(any(result["verdict"] not in {"PASS", "INCONCLUSIVE"} for result in results))


if __name__ == "__main__":
    sys.exit(main())
