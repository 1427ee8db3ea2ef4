"""The loads of P1: how each is started as a process of its own, and what it measured.

A is what this project ships with everything on, B the plain Locust user, C raw sockets, D memtier.
E and G are the shipped users in their own traffic, F and H plain Locust users with the same one.
Each gets the same nodes, number of users and seconds, and runs alone.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import memtier
from bench.figures import Measure, measure_of
from bench.nodes import Address, BenchError, counters, to_option
from bench.processes import execute, last_line, run_python
from memquake.paths import CHECKOUT, LOCUSTFILE

LABELS: Mapping[str, str] = {
    "A": "A  MixedUser get=100, everything on",
    "B": "B  plain Locust + HashClient, gets",
    "C": "C  raw gevent sockets, gets",
    "D": "D  memtier_benchmark -t 1, gets",
    "E": "E  MixedUser, default mix",
    "F": "F  plain Locust + HashClient, that mix",
    "G": "G  MultiGetUser",
    "H": "H  plain Locust + HashClient, the same",
}
SHIPPED: Mapping[str, Sequence[str]] = {
    "A": ("--mix", "get=100", "MixedUser"),
    "E": ("MixedUser",),
    "G": ("MultiGetUser",),
}
PLAIN: Mapping[str, str] = {"B": "PlainUser", "F": "PlainMixedUser", "H": "PlainMultiGetUser"}
ONLY_HITS = frozenset("BCD")
EXIT_PASS = 0
EXIT_FAIL = 1  # on a busy machine a latency may be over its budget; errors are looked for here
EXIT_INCONCLUSIVE = 3  # a verdict needs more seconds than a short benchmark may give it
JUDGED = (EXIT_PASS, EXIT_FAIL, EXIT_INCONCLUSIVE)
COUNT_TOLERANCE = 0.5
"""Most measure a part of what the servers count; half of it missing would be another load."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """What every contender is asked to do."""

    nodes: Sequence[Address]
    users: int
    seconds: float


def run(name: str, task: Task) -> Measure:
    """Run one contender once. Raises BenchError when it fails or is not to be believed."""
    commands, misses = counters(task.nodes)
    if name in SHIPPED:
        measured = run_shipped(name, task)
    elif name == "D":
        measured = memtier.run(task.nodes[0], users=task.users, seconds=task.seconds)
    else:
        measured = run_peer(name, task)
    counted, missed = (
        now - before for now, before in zip(counters(task.nodes), (commands, misses), strict=True)
    )
    if counted < measured.operations * COUNT_TOLERANCE:
        raise BenchError(
            f"{name} reports {measured.operations} operations, the nodes counted {counted}"
        )
    if name in ONLY_HITS and missed:
        raise BenchError(f"{name} met {missed} misses: it did not measure hits")
    return measured


def run_peer(name: str, task: Task) -> Measure:
    """Run a load that measures itself between the ends of its steady part."""
    if name in PLAIN:
        users = ["-u", str(task.users), "-r", str(task.users)]
        command = [
            *["-m", "locust", "-f", str(CHECKOUT / "bench" / "plain_locustfile.py")],
            *["--headless", "--only-summary", "--loglevel", "WARNING", *users, PLAIN[name]],
        ]
    else:
        command = ["-m", "bench.raw_sockets"]
    env = {"BENCH_NODES": to_option(task.nodes), "BENCH_USERS": str(task.users)}
    try:
        return measure_of(run_python(name, command, seconds=task.seconds, env=env))
    except ValueError:
        raise BenchError(f"{name} completed no operation") from None


def run_shipped(name: str, task: Task) -> Measure:
    """Run a shipped user as anybody would and read its figures from verdict.json."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        command = shipped_command(name, task, LOCUSTFILE, Path(folder))
        output = execute(name, command, seconds=task.seconds, fine=JUDGED)
        paths = list(Path(folder).glob("runs/*/verdict.json"))
        if not paths:
            raise BenchError(f"{name} wrote no verdict.json: {last_line(output)}")
        return measure_of_verdict(name, json.loads(paths[0].read_text(encoding="utf-8")))


def shipped_command(name: str, task: Task, locustfile: Path, folder: Path) -> list[str]:
    """Give the command line of a shipped user in a closed loop."""
    return [
        *[sys.executable, "-m", "locust", "-f", str(locustfile), "--headless"],
        *["--nodes", to_option(task.nodes), "--scenario", "none", "--target-rate", "0"],
        *["-u", str(task.users), "-t", f"{round(task.seconds)}s"],
        *["--runs-dir", str(folder / "runs"), *SHIPPED[name]],
    ]


def measure_of_verdict(name: str, verdict: Mapping[str, Any]) -> Measure:
    """Take what the benchmark needs from verdict.json."""
    figures, totals = verdict["figures"], verdict["totals"]
    wrong = totals["errors"] + totals["wrong_values"]
    if wrong:
        raise BenchError(f"{name} met {wrong} errors: it did not measure a healthy load")
    values = {}
    for figure in ("throughput", "cpu_us_per_operation"):
        values[figure] = figures.get(figure, {}).get("value")
        if not values[figure]:
            raise BenchError(f"{name}'s verdict.json has no figure {figure}")
    return Measure(
        operations=totals["operations"],
        seconds=verdict["duration_s"],
        operations_per_s=values["throughput"],
        cpu_us_per_operation=values["cpu_us_per_operation"],
    )
