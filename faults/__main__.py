"""`python -m faults`: look at scenarios without touching a node, and run failed ones again.

    list                     the scenarios, a line each
    validate FILE...         check scenario and plan files
    plan NAME                print what would happen, to which node, when and by what means
    random --seed S          draw a scenario
    replay RUN_DIR           repeat a run: is the verdict the same?
    shrink RUN_DIR           reduce a failed run to the fewest faults that make it fail

What follows `--` goes to Locust as it is. Exit code 0; 1 for another verdict (replay) or a minimum
that was not found (shrink); 2 with one line for whatever cannot be used.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

# Python looks in the working directory first, where a service has a `client` or `cluster` as well.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from faults.errors import ScenarioError
from faults.looking import checked, drawn, list_text, planned, write_out
from faults.printing import while_somebody_reads
from faults.randomly import FAULTS
from faults.replay import replay
from faults.rerun import sigterm_as_interrupt
from faults.shrink import MOST_RUNS, End
from faults.shrinking import shrink
from memquake.ranges import SEED, TIME_SCALE, Number, Range

OTHER = 1
USAGE_ERROR = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; give the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    cut = words.index("--") if "--" in words else len(words)
    parser = _parser()
    options = parser.parse_args(words[:cut])
    options.more = words[cut + 1 :]
    if options.more and options.command not in ("replay", "shrink"):
        parser.error(f"{options.command} runs nothing: leave out what follows --")
    try:
        return _DO[options.command](options)
    except ScenarioError as why:
        return _refuse(str(why))
    except KeyboardInterrupt:
        return _refuse("interrupted")


def _refuse(line: str) -> int:
    print(f"faults: {line}", file=sys.stderr)
    return USAGE_ERROR


def _parser() -> argparse.ArgumentParser:
    parser = _OneLine(prog="faults", description="Look at fault scenarios, and run them again.")
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_OneLine)
    commands.add_parser("list", help="the scenarios, a line each")
    validate = commands.add_parser("validate", help="check scenario and plan files")
    validate.add_argument("file", nargs="+", help="file or name of a scenario, or a plan.yaml")
    plan = commands.add_parser("plan", help="print what would happen; touches no node")
    plan.add_argument("name", help="scenario name, scenario file or plan.yaml")
    plan.add_argument("--seed", type=_seed, default=1, help="decides what is left open. Default: 1")
    plan.add_argument(
        "--time-scale", type=_scale, default=1.0, help="factor on the scenario's times. Default: 1"
    )
    plan.add_argument("--nodes", type=int, help="number of nodes. Default: 3, or as many as named")
    draw = commands.add_parser("random", help="draw a scenario from a seed and print its file")
    draw.add_argument("--seed", type=_seed, required=True, help="decides everything")
    draw.add_argument("--faults", type=int, default=FAULTS, help=f"how many. Default: {FAULTS}")
    draw.add_argument("--nodes", type=int, default=3, help="number of nodes. Default: 3")
    draw.add_argument("--kinds", default="", help="kinds to draw from: down,timeout,...")
    draw.add_argument("--out", type=Path, help="write the file here and print the timeline")
    again = commands.add_parser("replay", help="repeat a run and compare the verdicts")
    again.add_argument("run_dir", type=Path, help="folder of a finished run, such as runs/latest")
    fewer = commands.add_parser("shrink", help="reduce a failed run to the faults it takes")
    fewer.add_argument("run_dir", type=Path, help="folder of a run that FAILed")
    fewer.add_argument(
        "--runs", type=int, default=MOST_RUNS, help=f"runs at most. Default: {MOST_RUNS}"
    )
    fewer.add_argument(
        "--check", action="append", default=[], help="a check it must fail by; repeatable"
    )
    fewer.add_argument("--out", type=Path, help="scenario file. Default: RUN_DIR/shrunk.yaml")
    return parser


def _seed(text: str) -> int:
    """Read a seed as Locust's command line takes it."""
    return _read(SEED, text)


def _scale(text: str) -> float:
    return _read(TIME_SCALE, text)


def _read(allowed: Range[Number], text: str) -> Number:
    try:
        return allowed.read(text)
    except ValueError as why:
        raise argparse.ArgumentTypeError(str(why)) from None


class _OneLine(argparse.ArgumentParser):
    """A parser that complains in one line, without the usage before it."""

    def error(self, message: str) -> None:  # type: ignore[override]  # ends by SystemExit
        self.exit(USAGE_ERROR, f"{self.prog}: {message} (see {self.prog} --help)\n")


def _list(options: argparse.Namespace) -> int:
    text = list_text()
    with while_somebody_reads():
        print(text, end="")
    return 0


def _validate(options: argparse.Namespace) -> int:
    worst = 0
    for file in options.file:
        try:
            line = checked(file)
        except ScenarioError as why:
            worst = _refuse(str(why))
            continue
        with while_somebody_reads():
            print(line)
    return worst


def _plan(options: argparse.Namespace) -> int:
    text = planned(
        options.name, seed=options.seed, time_scale=options.time_scale, nodes=options.nodes
    )
    with while_somebody_reads():
        print(text, end="")
    return 0


def _random(options: argparse.Namespace) -> int:
    kinds = [kind.strip() for kind in options.kinds.split(",") if kind.strip()]
    file, timeline = drawn(
        seed=options.seed, faults=options.faults, nodes=options.nodes, kinds=kinds
    )
    if options.out is not None:
        write_out(options.out, file)
        file = f"{timeline}run it: python -m locust --headless --scenario {options.out}\n"
    with while_somebody_reads():
        print(file, end="")
    return 0


def _replay(options: argparse.Namespace) -> int:
    with sigterm_as_interrupt():
        lines, same = replay(options.run_dir, options.more)
    with while_somebody_reads():
        print("\n".join(lines))
    return 0 if same else OTHER


def _shrink(options: argparse.Namespace) -> int:
    if options.runs < 1:
        raise ScenarioError(f"--runs {options.runs} is out of range: give 1 or more")
    with sigterm_as_interrupt():
        found = shrink(
            options.run_dir,
            options.more,
            checks=options.check,
            most_runs=options.runs,
            out=options.out,
        )
    return 0 if found.end is End.MINIMAL else OTHER


_DO = {
    "list": _list,
    "validate": _validate,
    "plan": _plan,
    "random": _random,
    "replay": _replay,
    "shrink": _shrink,
}


if __name__ == "__main__":
    sys.exit(main())
