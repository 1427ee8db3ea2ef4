"""`python -m bench`: P1 to P4, one after the other, then one table of goals, and the JSON.

Absolute figures belong to the machine and the minute; the ratios are the result, because whatever
is compared takes turns in the same minutes. Exit code 0 when everything was measured (whatever the
goals say), 2 after one line for each part that could not be.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench import batches, outage, overhead, single_gets
from bench.goals import Section, draw
from bench.hot_path import profile
from bench.nodes import BenchError
from cluster.errors import ClusterError

DEFAULT_JSON = Path("bench") / "results" / "latest.json"
ROUNDS = 3
SECONDS = 5.0  # of steady load; half of the time goes into starting and filling
USERS = 50

Part = Callable[..., Section]
PARTS: Mapping[str, Part] = {
    single_gets.PART: single_gets.measure,
    batches.PART: batches.measure,
    overhead.PART: overhead.measure,
    outage.PART: outage.measure,
}


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", default=",".join(PARTS), help="parts, such as P1,P3")
    parser.add_argument("--rounds", type=positive, default=ROUNDS, help=f"default {ROUNDS}")
    parser.add_argument(
        "--seconds", type=seconds, default=SECONDS, help=f"measured, default {SECONDS:g}"
    )
    parser.add_argument("--users", type=positive, default=USERS, help=f"default {USERS}")
    parser.add_argument("--json", type=Path, default=DEFAULT_JSON, metavar="PATH")
    parser.add_argument(
        "--profile", action="store_true", help="show where the time of a get goes, and end"
    )
    options = parser.parse_args(arguments)
    options.only = [part for part in options.only.upper().split(",") if part]
    unknown = [part for part in options.only if part not in PARTS]
    if unknown or not options.only:
        parser.error(f"--only takes parts out of {', '.join(PARTS)}, such as P1,P3")
    return options


def positive(text: str) -> int:
    """Read a whole number of at least 1."""
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def seconds(text: str) -> float:
    """Read a time of at least a second."""
    number = float(text)
    if not 1 <= number < float("inf"):
        raise ValueError(text)
    return number


def run_parts(options: argparse.Namespace) -> tuple[list[Section], list[str]]:
    """Measure part after part: what was measured, and a line for each that could not be."""
    sections, failures = [], []
    for name in PARTS:
        if name not in options.only:
            continue
        try:
            sections.append(
                PARTS[name](rounds=options.rounds, seconds=options.seconds, users=options.users)
            )
        except (BenchError, ClusterError, OSError) as error:
            failures.append(f"{name}: {error}")
        print(flush=True)
    return sections, failures


def write(options: argparse.Namespace, sections: Sequence[Section]) -> None:
    """Write everything that was measured as JSON."""
    machine = {
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
    }
    document = {
        "machine": machine,
        "users": options.users,
        "seconds": options.seconds,
        "rounds": options.rounds,
        "parts": {section.part: section.to_json() for section in sections},
    }
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and give the exit code."""
    options = read_options(arguments)
    try:
        if options.profile:
            print(profile(options.users, options.seconds))
            return 0
        sections, failures = run_parts(options)
        write(options, sections)
    except (BenchError, OSError) as error:
        sys.stderr.write(f"bench: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("bench: interrupted\n")
        return 2
    print(draw(sections))
    print(f"all figures: {options.json}")
    for failure in failures:
        sys.stderr.write(f"bench: {failure}\n")
    return 2 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
