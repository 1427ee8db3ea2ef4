"""Shrinking a failed run for real: each try is a run of Locust, the result a scenario file.

The search itself is `faults.shrink`. Every try's folder is kept inside the run's own, so that the
evidence for the minimum can be looked at.
"""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from faults.errors import ScenarioError
from faults.planfile import plan_to_yaml
from faults.planned import Plan
from faults.record import Judged, Record, read_record
from faults.rerun import client_folder, locust_options, make_folder, run_again
from faults.shrink import MOST_RUNS, Answer, End, Shrink, Shrunk, Try
from memquake.nearest import nearest
from memquake.paths import LOCUSTFILE
from memquake.units import spell_seconds

OUTPUT = "shrunk.yaml"
SUFFIX = "-shrunk"
LONGEST_NAME = 60
CONFIRMED = "fault_confirmed"  # the check that says whether the faults were really there


class Asker:
    """Runs plans and tells whether they fail by the checks that the first run failed by."""

    def __init__(
        self, record: Record, more: Sequence[str], wanted: Collection[str], into: Path
    ) -> None:
        self.wanted = frozenset(wanted)
        self.last = ""
        self._record = record
        self._more = more
        self._into = into
        self._runs = 0
        self._narrowed = False

    def __call__(self, plan: Plan) -> Answer:
        """Run a plan once."""
        self._runs += 1
        folder = self._into / f"try-{self._runs:02}"
        folder.mkdir()
        began = time.monotonic()
        again = run_again(self._record, plan, self._more, into=folder, shown=False)
        self.last = f"{self._words(again.judged)} ({time.monotonic() - began:.0f} s)"
        return self.answer(again.judged)

    def answer(self, judged: Judged) -> Answer:
        """Say what a verdict means for the search.

        The first run that fails decides by which checks every later one must: those that both
        it and the run before it failed by. A check that fails now and then is not among them.
        """
        both = self.wanted & judged.failed
        if both and not self._narrowed:
            self.wanted, self._narrowed = both, True
        if self.wanted <= judged.failed:
            return Answer.FAILS
        # A run may prove nothing as a whole and still say that these checks hold; but not when
        # a fault was not really there.
        unsure = {name for name, verdict in judged.checks.items() if verdict == "INCONCLUSIVE"}
        held = self.wanted - judged.failed - unsure
        return Answer.HOLDS if held and CONFIRMED not in unsure else Answer.UNSURE

    def _words(self, judged: Judged) -> str:
        by = f" by {', '.join(sorted(judged.failed))}" if judged.failed else ""
        return f"{judged.ruling}{by}"


def shrink(
    folder: Path, more: Sequence[str], *, checks: Sequence[str], most_runs: int, out: Path | None
) -> Shrunk:
    """Shrink a failed run, print each try, write the smallest that failed; ScenarioError."""
    record = read_record(folder)
    if record.plan is None or not record.plan.faults:
        raise ScenarioError(f"{folder}: the run has no faults that could be left out")
    wanted = _wanted(record, checks)
    locust_options(record, more)  # what is missing shows before anything is written
    client_folder(record, more)
    into = make_folder(record, "shrink")
    target = out if out is not None else record.folder / OUTPUT
    _say(
        f"{record.scenario}: {len(record.plan.faults)} faults, FAIL by {', '.join(sorted(wanted))}"
    )
    _say(f"tries in {into}")
    asker = Asker(record, more, wanted, into)

    def tell(one: Try) -> None:
        _say(f"run {one.number:2}  {one.why}: {faults_in_words(one.plan)}: {asker.last}")

    found = Shrink(record.plan, asker, most_runs=most_runs, tell=tell).run()
    if found.end is not End.HELD:
        _write(target, record, found, asker.wanted)
        _say(f"wrote   {target}")
        _say(f"run it  {_command(record, more, target)}")
    _say(f"{found.end.value} after {found.runs} runs: {faults_in_words(found.plan)}")
    _say(found.said)
    return found


def _command(record: Record, more: Sequence[str], target: Path) -> str:
    """Return the command that runs the smallest scenario, for a shell."""
    words = ["python", "-m", "locust", "--headless", "--scenario", str(target)]
    folder = client_folder(record, more)
    if folder is None:
        return shlex.join([*words, *locust_options(record, more)])
    words = ["python", "-P", "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--scenario"]
    words += [str(target.resolve()), *locust_options(record, more)]
    return f"cd {shlex.quote(str(folder))} && {shlex.join(words)}"


def _wanted(record: Record, checks: Sequence[str]) -> frozenset[str]:
    failed = record.judged.failed
    if not failed:
        raise ScenarioError(
            f"{record.folder}: the run ended with {record.judged.ruling}; only one that FAILs by a "
            "check can be shrunk"
        )
    for name in checks:
        if name not in failed:
            raise ScenarioError(
                f"--check {name}: the run did not fail by it ({nearest(name, failed)})"
            )
    return frozenset(checks) or failed


def _write(target: Path, record: Record, found: Shrunk, checks: Collection[str]) -> None:
    name = record.scenario.removesuffix(SUFFIX)[: LONGEST_NAME - len(SUFFIX)] + SUFFIX
    left, all_of_them = len(found.plan.faults), len(record.plan.faults if record.plan else ())
    description = f"{left} of the {all_of_them} faults of {record.scenario}, seed {record.seed}."
    plan = replace(found.plan, scenario=name, description=description)
    head = (
        f"# Shrunk in {found.runs} runs ({found.end.value}): {found.said}.\n"
        f"# FAILs by {', '.join(sorted(checks))} under the options below.\n"
    )
    try:
        target.write_text(head + plan_to_yaml(plan, record.options), encoding="utf-8")
    except OSError as why:
        raise ScenarioError(f"{target} cannot be written ({why.strerror}): give --out") from None


def faults_in_words(plan: Plan) -> str:
    """Name the faults of a plan with their lengths."""
    if not plan.faults:
        return "no fault"
    return ", ".join(
        f"{fault.id} {spell_seconds(fault.duration_s)} on {' '.join(fault.nodes)}"
        for fault in plan.faults
    )


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


__all__ = ["MOST_RUNS", "Asker", "shrink"]
