"""What memquake says of public clients: client x scenario, the verdict and the checks that failed.

    python -m tests.clients.table [--only WORD ...] [--out FILE]

Each run goes into FILE as it ends, a JSON line each; runs that FILE holds already are not made
again. A run takes up to a minute. What FILE has no run of is "-" in the table.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from memquake.paths import CHECKOUT, RUNS

LIMIT_S = 240.0
LOAD = ("-u", "10", "--target-rate", "300")
SCALED = ("--time-scale", "0.3")
HERE = "tests.clients"

CLIENTS = {
    "pymemcache pooled": "pymemcache-pooled",
    "pymemcache hash": "pymemcache-hash",
    "pymemcache retrying": f"{HERE}.pooled:retrying",
    "pymemcache ignore_exc": f"{HERE}.pooled:ignore_exc",
    "python-memcached": f"{HERE}.thread_local:python_memcached",
    "python-binary-memcached": f"{HERE}.thread_local:binary_memcached",
    "meta-memcache": f"{HERE}.meta:meta_memcache",
    "meta-memcache in threads": f"{HERE}.meta:meta_memcache_threads",
    "pylibmc in threads": f"{HERE}.libmemcached:pylibmc_pool",
    "Django PyMemcacheCache": f"{HERE}.thread_local:django_pymemcache",
    "Django PyLibMCCache": f"{HERE}.libmemcached:django_pylibmc_threads",
}
SCENARIOS = {
    "client-abort": SCALED,
    "node-restart": SCALED,
    "single-node-failure": SCALED,
    "node-blackhole": SCALED,
    "none": ("-t", "12s"),
}


def run(client: str, scenario: str, folder: Path) -> dict[str, Any]:
    """Make one run, kept in `folder`, and give its exit code and the checks that did not pass."""
    command = [sys.executable, "-m", "locust", "--headless", *LOAD, "--scenario", scenario]
    done = subprocess.run(
        [*command, *SCENARIOS[scenario], "--client", CLIENTS[client], "--runs-dir", str(folder)],
        cwd=CHECKOUT,
        capture_output=True,
        timeout=LIMIT_S,
        check=False,
    )
    found = sorted(folder.glob("*/verdict.json"))
    if not found:
        end = done.stderr.decode(errors="replace")[-500:]
        return {"exit_code": done.returncode, "verdict": "no verdict", "checks": {}, "end": end}
    verdict = json.loads(found[-1].read_text())
    checks = {
        check["name"]: [check["verdict"], check["why"]]
        for check in verdict["checks"]
        if check["verdict"] in ("FAIL", "INCONCLUSIVE")
    }
    return {"exit_code": done.returncode, "verdict": verdict["verdict"], "checks": checks}


def table(results: Sequence[dict[str, Any]]) -> str:
    """Return a row a client in Markdown: the verdict of each scenario and its failing checks."""
    cells = {(result["client"], result["scenario"]): _cell(result) for result in results}
    rows = [["client", *SCENARIOS], ["---"] * (len(SCENARIOS) + 1)]
    for client in CLIENTS:
        rows.append([client, *(cells.get((client, scenario), "-") for scenario in SCENARIOS)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cell(result: dict[str, Any]) -> str:
    wanted = "FAIL" if result["verdict"] == "FAIL" else "INCONCLUSIVE"
    checks = [name for name, (ruling, _) in result["checks"].items() if ruling == wanted]
    return f"{result['verdict']} {', '.join(checks)}".strip()


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the runs that are not there yet and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.clients.table", description=__doc__)
    parser.add_argument("--out", type=Path, default=CHECKOUT / RUNS / "table" / "table.jsonl")
    parser.add_argument("--only", nargs="*", default=[], help="words a run's name must hold")
    options = parser.parse_args(arguments)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    lines = options.out.read_text().splitlines() if options.out.exists() else []
    results = [json.loads(line) for line in lines]
    made = {(result["client"], result["scenario"]) for result in results}
    for scenario in SCENARIOS:
        for client in CLIENTS:
            name = f"{client}: {scenario}"
            if (client, scenario) in made or not all(word in name for word in options.only):
                continue
            folder = options.out.parent / f"{client} {scenario}".replace(" ", "-")
            found = {"client": client, "scenario": scenario, **run(client, scenario, folder)}
            results.append(found)
            with options.out.open("a") as file:
                file.write(json.dumps(found) + "\n")
            print(f"{found['verdict']}  {name}", flush=True)
    print(table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
