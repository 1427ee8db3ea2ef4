"""`python -m bench`: A, B and C in turn, several rounds, then the table, the ratios and the JSON.

Absolute figures belong to the machine and the minute; the ratios are the result, because all
contenders run in the same minutes. Exit code 0 when everything was measured (whatever the goal
says), 2 after one line when something could not be.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.contenders import LABELS, PAIRS, Task, run
from bench.figures import Measure, goal_line, order, ratio_lines, table, to_json
from bench.nodes import BenchError, running

NODES = 3
DEFAULT_JSON = Path("bench") / "results" / "latest.json"


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=positive, default=5, help="rounds (default 5)")
    parser.add_argument("--seconds", type=positive, default=8, help="measured seconds (default 8)")
    parser.add_argument("--users", type=positive, default=50, help="users (default 50)")
    parser.add_argument("--only", default="ABC", help="contenders, such as BC (default ABC)")
    parser.add_argument("--json", type=Path, default=DEFAULT_JSON, metavar="PATH")
    options = parser.parse_args(arguments)
    if not options.only or set(options.only) - set(LABELS):
        parser.error(f"--only takes letters out of {''.join(LABELS)}, not {options.only!r}")
    return options


def positive(text: str) -> int:
    """Read a whole number of at least 1."""
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def run_rounds(options: argparse.Namespace, contenders: Sequence[str]) -> list[dict[str, Measure]]:
    """Measure every contender in every round, each time in another order."""
    rounds = []
    with running(NODES) as nodes:
        task = Task(nodes=nodes, users=options.users, seconds=options.seconds)
        for number in range(options.rounds):
            measures = {}
            for name in order(contenders, number):
                measures[name] = run(name, task)
                print(
                    f"round {number + 1}/{options.rounds}  {LABELS[name]:<30}"
                    f"  {measures[name].operations_per_s:>10,.0f} operations/s"
                    f"  {measures[name].cpu_us_per_operation:>7.1f} us CPU/operation",
                    flush=True,
                )
            rounds.append(measures)
    return rounds


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and give the exit code."""
    options = read_options(arguments)
    contenders = sorted(set(options.only))
    labels = {name: LABELS[name] for name in contenders}
    try:
        rounds = run_rounds(options, contenders)
        options.json.parent.mkdir(parents=True, exist_ok=True)
        machine = {
            "python": platform.python_version(),
            "system": platform.platform(),
            "cores": os.cpu_count(),
        }
        document = {"machine": machine, "users": options.users, "seconds": options.seconds}
        document |= to_json(rounds, labels, PAIRS)
        options.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    except (BenchError, OSError) as error:
        sys.stderr.write(f"bench: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("bench: interrupted\n")
        return 2
    print(f"\n{options.users} users, values of 100 B, {NODES} nodes, one process, closed loop")
    print(table(rounds, labels))
    lines = [*ratio_lines(rounds, PAIRS), goal_line(rounds, "A", "B")]
    print("\n".join(line for line in lines if line))
    print(f"all figures: {options.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
