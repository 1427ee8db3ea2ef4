"""`python -m memquake judge RUN`: the verdict of a run or a suite, made again from its facts.

The same checks say the same words of the same facts, or other ones under other budgets. Nothing of
the run is changed: what is written goes into a folder of its own. No server is asked, and Locust is
not imported.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from faults.printing import while_somebody_reads
from memquake.limits import LimitError, parse_budget
from report.atomic import write_text
from report.facts_file import read_facts
from report.outcome import print_suite, print_summary, write_outcome
from report.reading import OutcomeError, run_of_suite
from report.suite import suite_text
from report.suite_files import SUITE, SUITE_TABLE, read_suite, write_suite
from verdict.model import EXIT_CODES, Ruling, RunFacts, Verdict
from verdict.suite import State, SuiteCase, case_of
from verdict.verdict import judge

USAGE_ERROR = 2
JUDGED = "judged"
"""The folder in that of the run for what is written, unless another one is named."""


def main(words: Sequence[str]) -> int:
    """Judge what the words name and return the exit code of the verdict, 2 for bad words."""
    options = _parser().parse_args(list(words)[1:])
    try:
        again = _Again(options.run, options.out, dict(map(parse_budget, options.budget)))
        return again.suite() if (options.run / SUITE).is_file() else again.run()
    except (OutcomeError, LimitError) as why:
        return _refuse(str(why))
    except OSError as error:
        return _refuse(f"{error.filename}: {error.strerror}: name another folder with --out")


def _refuse(line: str) -> int:
    sys.stderr.write(f"memquake judge: {line}\n")
    return USAGE_ERROR


class _OneLine(argparse.ArgumentParser):
    """A parser that complains in one line, without the usage before it."""

    def error(self, message: str) -> None:  # type: ignore[override]  # ends by SystemExit
        self.exit(USAGE_ERROR, f"{self.prog}: {message} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _OneLine(
        prog="memquake judge",
        description="Judge a run or a suite again from its facts; exit code as that of a run.",
    )
    parser.add_argument(
        "run", type=Path, metavar="RUN", help="folder of a run or a suite, or a facts.json.gz"
    )
    parser.add_argument(
        "--budget",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="limit of a check in place of the run's own; repeatable",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help=f"what is written goes here. Default: RUN/{JUDGED}"
    )
    return parser


class _Again:
    """One judgement: of which place, into which folder, under which budgets beside the run's.

    Raises OutcomeError for what cannot be judged and OSError for a folder that cannot be made.
    """

    def __init__(self, place: Path, out: Path | None, budgets: Mapping[str, float]) -> None:
        self._place = place
        self._out = out or (place if place.is_dir() else place.parent) / JUDGED
        self._budgets = budgets
        if self._out.resolve() in (place.resolve(), place.resolve().parent):
            raise OutcomeError(f"--out {self._out} holds the run itself: name another folder")
        self._unwritten: list[str] = []

    def run(self) -> int:
        """Judge a run and return its exit code."""
        facts, verdict = self._judge(self._place, self._out)
        with while_somebody_reads():
            print_summary(verdict, facts, self._out, sys.stdout)
        return self._exit_code(verdict.exit_code)

    def suite(self) -> int:
        """Judge every run of a suite and return its exit code."""
        place = self._place.resolve()
        told = read_suite(place)
        result = dataclasses.replace(told, cases=[self._case(place, case) for case in told.cases])
        self._out.mkdir(parents=True, exist_ok=True)
        write_suite(result, self._out)
        write_text(self._out / SUITE_TABLE, suite_text(result, str(self._out)) + "\n")
        with while_somebody_reads():
            print_suite(result, self._out, sys.stdout)
        return self._exit_code(result.exit_code)

    def _case(self, suite: Path, case: SuiteCase) -> SuiteCase:
        """Judge the runs of a place in their order, until one proves something."""
        runs = [*case.vague_runs, *([case.run] if case.run else [])]
        for number, name in enumerate(runs):
            facts, verdict = self._judge(run_of_suite(suite, name), self._out / name)
            if verdict.ruling is Ruling.INCONCLUSIVE and name != case.run:
                continue
            found = case_of(
                facts,
                verdict,
                time_scale=case.time_scale,
                turn=case.round,
                run=name,
                interrupted=name == case.run and case.state is State.INTERRUPTED,
            )
            return dataclasses.replace(found, vague_runs=tuple(runs[:number]))
        return case

    def _judge(self, place: Path, out: Path) -> tuple[RunFacts, Verdict]:
        facts = read_facts(place)
        facts = dataclasses.replace(facts, budgets={**facts.budgets, **self._budgets})
        verdict = judge(facts)
        out.mkdir(parents=True, exist_ok=True)
        self._unwritten += write_outcome(out, facts, verdict, report=True)
        return facts, verdict

    def _exit_code(self, code: int) -> int:
        for line in self._unwritten:
            sys.stderr.write(f"memquake judge: {line}\n")
        return code or (EXIT_CODES[Ruling.INCONCLUSIVE] if self._unwritten else 0)
