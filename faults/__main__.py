"""`python -m faults`: look at scenarios without touching any node.

    list                     the scenarios, a line each
    validate FILE...         check scenario files
    plan NAME                print what would happen, to which node and when

Exit code 0, or 2 with one line for whatever cannot be used.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from faults.budgets import DEFAULT_RECOVERS_WITHIN_S
from faults.errors import ScenarioError
from faults.plan import make_plan, plan_text
from faults.scenario import Scenario, check_own_load, list_scenarios, load_scenario

USAGE_ERROR = 2
MOST_NODES = 1000
USUAL_NODES = 3  # of an embedded cluster


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; give the exit code."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "list":
            _list()
        elif options.command == "validate":
            return _validate(options.file)
        else:
            _plan(options.name, options.seed, options.time_scale, options.nodes)
    except ScenarioError as why:
        print(f"faults: {why}", file=sys.stderr)
        return USAGE_ERROR
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = _OneLine(prog="faults", description="Look at fault scenarios; touches no node.")
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_OneLine)
    commands.add_parser("list", help="the scenarios, a line each")
    validate = commands.add_parser("validate", help="check scenario files")
    validate.add_argument("file", nargs="+", help="scenario file or name")
    plan = commands.add_parser("plan", help="print what would happen, to which node and when")
    plan.add_argument("name", help="scenario name or file")
    plan.add_argument("--seed", type=int, default=1, help="chooses the nodes. Default: 1")
    plan.add_argument(
        "--time-scale", type=float, default=1.0, help="factor on the scenario's times. Default: 1"
    )
    plan.add_argument("--nodes", type=int, default=3, help="number of nodes. Default: 3")
    return parser


class _OneLine(argparse.ArgumentParser):
    """A parser that complains in one line, without the usage before it."""

    def error(self, message: str) -> None:  # type: ignore[override]  # ends by SystemExit
        self.exit(USAGE_ERROR, f"{self.prog}: {message} (see {self.prog} --help)\n")


def _list() -> None:
    found = list_scenarios()
    width = max((len(scenario.name) for scenario in found), default=0)
    for scenario in found:
        print(f"{scenario.name:<{width}}  {scenario.description}")


def _validate(files: Sequence[str]) -> int:
    worst = 0
    for file in files:
        try:
            scenario = load_scenario(file)
            check_own_load(scenario)
            _resolve(scenario, seed=1, time_scale=1.0, nodes=_enough_nodes(scenario))
        except ScenarioError as why:
            print(f"faults: {why}", file=sys.stderr)
            worst = USAGE_ERROR
        else:
            print(f"{file}: fine, {len(scenario.slots())} faults")
    return worst


def _enough_nodes(scenario: Scenario) -> int:
    """Give three nodes, or as many as the scenario names."""
    most = USUAL_NODES
    for fault in scenario.faults:
        names = fault.target.nodes or ()
        numbers = [int(n[4:]) for n in names if n.startswith("node") and n[4:].isdecimal()]
        most = max([most, fault.target.count(USUAL_NODES), *numbers])
    return min(most, MOST_NODES)


def _plan(name: str, seed: int, time_scale: float, nodes: int) -> None:
    if not 1 <= nodes <= MOST_NODES:
        raise ScenarioError(f"--nodes {nodes} is out of range: give 1 to {MOST_NODES}")
    scenario = load_scenario(name)
    check_own_load(scenario, nodes)
    if not scenario.has_phases:
        print(f"scenario {scenario.name}: no phases and no faults; it runs until it is stopped")
        return
    print(_resolve(scenario, seed=seed, time_scale=time_scale, nodes=nodes), end="")


def _resolve(scenario: Scenario, *, seed: int, time_scale: float, nodes: int) -> str:
    plan = make_plan(
        scenario,
        seed=seed,
        nodes=[f"node{number}" for number in range(1, nodes + 1)],
        time_scale=time_scale,
        recovers_within_s=scenario.budgets.get("recovers_within", DEFAULT_RECOVERS_WITHIN_S),
    )
    return plan_text(plan)


if __name__ == "__main__":
    sys.exit(main())
