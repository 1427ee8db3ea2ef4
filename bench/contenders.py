"""The three contenders: how each is started as a process of its own, and what it measured.

A is what this project ships with everything on, B the plain Locust user, C raw sockets. Each gets
the same nodes, number of users and seconds, and runs alone.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.figures import Measure
from bench.nodes import Address, BenchError, counters, to_option

ROOT = Path(__file__).resolve().parent.parent
SPARE_S = 60.0  # start-up, filling and reports of a slow machine
LABELS = {
    "A": "A  MixedUser, everything on",
    "B": "B  plain Locust + HashClient",
    "C": "C  raw gevent sockets",
}
PAIRS = (("A", "B"), ("A", "C"), ("B", "C"))
EXIT_PASS = 0
EXIT_FAIL = 1  # on a busy machine a latency may be over its budget; errors are looked for here
EXIT_INCONCLUSIVE = 3  # a verdict needs more seconds than a short benchmark may give it
COUNT_TOLERANCE = 0.5
"""B and C measure a part of what the servers count; half of it missing would be another load."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """What every contender is asked to do."""

    nodes: Sequence[Address]
    users: int
    seconds: float


def run(name: str, task: Task) -> Measure:
    """Run one contender once. Raises BenchError when it fails or is not to be believed."""
    gets, misses = counters(task.nodes)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        measured = run_shipped(task, Path(folder)) if name == "A" else run_peer(name, task, folder)
    counted, missed = (
        now - before for now, before in zip(counters(task.nodes), (gets, misses), strict=True)
    )
    if counted < measured.operations * COUNT_TOLERANCE:
        raise BenchError(
            f"{name} reports {measured.operations} operations, the nodes counted {counted} gets"
        )
    if name != "A" and missed:
        raise BenchError(f"{name} met {missed} misses: it did not measure hits")
    return measured


def run_peer(name: str, task: Task, folder: str) -> Measure:
    """Run B or C, which measure themselves between the ends of their steady part."""
    result = Path(folder) / "result.json"
    options = {
        "BENCH_NODES": to_option(task.nodes),
        "BENCH_SECONDS": str(task.seconds),
        "BENCH_USERS": str(task.users),
        "BENCH_RESULT": str(result),
    }
    if name == "B":
        users = ["-u", str(task.users), "-r", str(task.users)]
        command = [
            *["-m", "locust", "-f", str(ROOT / "bench" / "plain_locustfile.py")],
            *["--headless", "--only-summary", "--loglevel", "WARNING", *users, "PlainUser"],
        ]
    else:
        command = ["-m", "bench.raw_sockets"]
    output = execute(name, command, task, options | {"PYTHONPATH": str(ROOT)}, {0})
    try:
        found = json.loads(result.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise BenchError(f"{name} wrote no result: {last_line(output)}") from None
    return Measure(
        operations=found["operations"],
        seconds=found["seconds"],
        operations_per_s=found["operations"] / found["seconds"],
        cpu_us_per_operation=found["cpu_s"] / found["operations"] * 1e6,
    )


def run_shipped(task: Task, folder: Path) -> Measure:
    """Run A as anybody would and read its figures from verdict.json."""
    command = shipped_options(task, ROOT / "locustfile.py", folder)
    output = execute("A", command, task, {}, {EXIT_PASS, EXIT_FAIL, EXIT_INCONCLUSIVE})
    paths = list(folder.glob("runs/*/verdict.json"))
    if not paths:
        raise BenchError(f"A wrote no verdict.json: {last_line(output)}")
    return measure_of_verdict(json.loads(paths[0].read_text(encoding="utf-8")))


def shipped_options(task: Task, locustfile: Path, folder: Path) -> list[str]:
    """Give the command line of the shipped user in a closed loop of gets."""
    return [
        *["-m", "locust", "-f", str(locustfile), "--headless"],
        *["--nodes", to_option(task.nodes), "--scenario", "none", "--target-rate", "0"],
        *["--mix", "get=100", "-u", str(task.users), "-t", f"{round(task.seconds)}s"],
        *["--runs-dir", str(folder / "runs"), "MixedUser"],
    ]


def measure_of_verdict(verdict: dict[str, Any]) -> Measure:
    """Take what the benchmark needs from verdict.json."""
    figures, totals = verdict["figures"], verdict["totals"]
    if totals["errors"] or totals["wrong_values"]:
        raise BenchError(f"A met {totals['errors']} errors: it did not measure hits")
    values = {}
    for name in ("throughput", "cpu_us_per_operation"):
        values[name] = figures.get(name, {}).get("value")
        if not values[name]:
            raise BenchError(f"A's verdict.json has no figure {name}")
    return Measure(
        operations=totals["operations"],
        seconds=verdict["duration_s"],
        operations_per_s=values["throughput"],
        cpu_us_per_operation=values["cpu_us_per_operation"],
    )


def execute(
    name: str, arguments: Sequence[str], task: Task, env: dict[str, str], fine: set[int]
) -> str:
    """Run Python in a session of its own, bounded in time, and give its output."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=os.environ | env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            process.wait(task.seconds + SPARE_S)
        except subprocess.TimeoutExpired:
            raise BenchError(f"{name} did not end within {SPARE_S:.0f} s of its time") from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        output.seek(0)
        text = output.read().decode(errors="replace")
    if process.returncode not in fine:
        raise BenchError(f"{name} ended with exit code {process.returncode}: {last_line(text)}")
    return text


def last_line(text: str) -> str:
    """Give the last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "(no output)"
