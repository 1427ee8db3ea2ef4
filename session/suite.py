"""A suite under way: which scenario is next, what the others came to, its folder.

The master tells it what happened and asks what to do; Locust, the cluster and the clock of the
pause are the master's. The folder is written anew after every scenario, so whatever ends the
process, it says what there was until then.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from report.suite import case_line, spell_time, suite_text
from report.suite_files import SUITE_TABLE, write_suite
from session.folder import LATEST_SUITE, RunFolder
from session.suite_plan import SuitePlan, Turn
from verdict.model import Ruling
from verdict.suite import State, SuiteCase, SuiteResult, case_of

if TYPE_CHECKING:
    from session.run import MasterRun

logger = logging.getLogger("locust.memquake")


class SuiteSession:
    """One suite, from its first scenario to its table."""

    def __init__(self, plan: SuitePlan, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.plan = plan
        self.over = False
        self.stop_asked = ""  # who or what wants it to end before its end
        self.news: list[str] = []  # lines for the terminal, until somebody takes them
        settings = plan.first[0].settings
        self.client = settings.client
        self.folder = RunFolder(settings.runs_dir, plan.name, prefix="suite-", link=LATEST_SUITE)
        self._clock = clock
        self._began = clock()
        self._next = 0  # number of the turn that comes next
        self._turn: Turn | None = None  # the one under way, or the last one that was
        self._cases: list[SuiteCase] = []
        self._is_again = False  # the run under way is of the place that was noted last
        self._noted: set[str] = set()  # ids of runs
        self.news.append(f"suite {plan.name}: {plan.words(spell_time)}")

    # -- what is next -----------------------------------------------------------------------

    def next_turn(self) -> Turn | None:
        """Give what is to be run now, None when the suite has come to its end.

        Raises what resolving a scenario raises.
        """
        if self.stop_asked or self._has_failed_enough() or self._is_late():
            return None
        self._is_again = self._proved_nothing()
        if self._is_again:
            return self.plan.turn(self._next - 1)
        index, self._next = self._next, self._next + 1
        if self.plan.rounds is None or index < self.plan.rounds * len(self.plan.first):
            self._turn = self.plan.label(index)  # for what is said of it when it cannot be
        return self.plan.turn(index)

    @property
    def place(self) -> str:
        """Say which scenario of how many is under way: `2/5`, `round 3, 2/5`."""
        if self._turn is None:
            return ""
        text = f"{self._turn.place}/{len(self.plan.first)}"
        return text if self.plan.rounds == 1 else f"round {self._turn.round}, {text}"

    def _has_failed_enough(self) -> bool:
        if self.plan.keep_going or not self._cases:
            return False
        last = self._cases[-1]
        return last.ruling is Ruling.FAIL or last.state is State.NOT_SET_UP

    def _proved_nothing(self) -> bool:
        """Whether the last place is to be tried again: a verdict is what no run may repeat."""
        if not self._cases:
            return False
        last = self._cases[-1]
        is_vague = last.state is State.JUDGED and last.ruling is Ruling.INCONCLUSIVE
        return is_vague and len(last.vague_runs) < self.plan.retries

    def _is_late(self) -> bool:
        until_s = self.plan.until_s
        return until_s is not None and self._clock() - self._began >= until_s

    # -- what happened ----------------------------------------------------------------------

    def note_run(self, run: MasterRun, *, interrupted: bool) -> None:
        """Take over a finished run with a verdict; once, whoever tells."""
        if run.id in self._noted or run.verdict is None or run.facts is None:
            return
        self._noted.add(run.id)
        case = case_of(
            run.facts,
            run.verdict,
            time_scale=run.settings.time_scale,
            turn=self._turn.round if self._turn else 1,
            run=run.folder.path.name,
            interrupted=interrupted,
        )
        self._note(case)

    def note_refused(self, why: str) -> None:
        """Take note that the scenario under way could not be set up."""
        assert self._turn is not None
        self._note(_case(self._turn, State.NOT_SET_UP, why))

    def _note(self, case: SuiteCase) -> None:
        if self._is_again:
            self._is_again, before = False, self._cases.pop()
            case = dataclasses.replace(case, vague_runs=(*before.vague_runs, before.run))
        self._cases.append(case)
        self.news.append(f"{self.place}: {case_line(case)}")
        if self._proved_nothing():
            self.news.append(f"{self.place}: again, run {len(case.vague_runs) + 2}")
        self._write()

    def end(self) -> None:
        """Write the folder for the last time; nothing is run any more. Safe to repeat."""
        if self.over:
            return
        self.over = True
        self._write()
        try:
            self.folder.write_text(SUITE_TABLE, self.text() + "\n")
            self.folder.point_latest_here()
        except OSError as error:
            logger.warning("memquake: %s: %s", self.folder.path, error)

    def _write(self) -> None:
        try:
            write_suite(self.result(), self.folder.path)
        except OSError as error:
            logger.warning("memquake: %s cannot be written: %s", self.folder.path, error)

    # -- what came of it --------------------------------------------------------------------

    def result(self) -> SuiteResult:
        """Give what there is: what was noted, and the rest as not run."""
        done = len(self._cases)
        return SuiteResult(
            name=self.plan.name,
            client=self.client,
            started=self.folder.started,
            duration_s=self._clock() - self._began,
            cases=[*self._cases, *self._not_run(done)],
            endless=self.plan.rounds is None,
            interrupted=self.stop_asked if self.over else "",
        )

    def text(self) -> str:
        """Return the table in plain characters."""
        return suite_text(self.result(), str(self.folder.path))

    def _not_run(self, done: int) -> list[SuiteCase]:
        """Give the places that were not reached; of an endless suite those of this round."""
        count = len(self.plan.first)
        rounds = self.plan.rounds or max(1, -(-done // count))
        why = self.stop_asked
        if self._has_failed_enough():
            why = "a scenario before it failed: --keep-going goes on all the same"
        labels = [self.plan.label(index) for index in range(done, rounds * count)]
        return [_case(label, State.NOT_RUN, why) for label in labels]


def _case(turn: Turn, state: State, why: str) -> SuiteCase:
    """Give the case of a turn that has no run."""
    return SuiteCase(
        scenario=turn.settings.scenario.name,
        seed=turn.settings.seed,
        time_scale=turn.settings.time_scale,
        round=turn.round,
        state=state,
        why=why,
    )
