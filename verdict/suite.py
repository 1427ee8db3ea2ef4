"""From the verdicts of runs to the end of a suite: what each came to, and the worst of them.

A case is a place in the suite: judged, interrupted, not set up, or never run. FAIL wins over what
could not be set up, that over INCONCLUSIVE, that over PASS. What was not run proves nothing, so a
suite that was cut short is no PASS; one that goes round until it is stopped has no other end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from verdict.model import EXIT_CODES, CheckResult, Contributor, Ruling, RunFacts, Verdict

SET_UP_ERROR = 2
"""Exit code of a suite in which nothing is worse than a scenario that could not be set up."""


class State(StrEnum):
    """What became of a place in a suite."""

    JUDGED = "judged"
    INTERRUPTED = "interrupted"  # and judged as far as it went
    NOT_SET_UP = "not set up"
    NOT_RUN = "not run"


@dataclass(frozen=True, kw_only=True)
class SuiteCase:
    """One scenario of a suite. Figures are None where there is nothing to tell."""

    scenario: str
    seed: int
    state: State
    time_scale: float = 1.0
    round: int = 1
    ruling: Ruling | None = None  # None for what was not judged
    check: str = ""  # the first check that decided against it
    why: str = ""  # one line: that check's evidence, or what kept it from being judged
    evidence: tuple[Contributor, ...] = ()  # that check's
    more: int = 0  # further checks that decided the same
    run: str = ""  # name of the run's folder
    vague_runs: tuple[str, ...] = ()  # folders of the runs before it, all INCONCLUSIVE
    duration_s: float = 0.0
    operations: int | None = None
    error_rate: float | None = None  # share of operations, while a fault was on
    recovery_time_s: float | None = None  # of the slowest node
    emulated_by: tuple[str, ...] = ()  # what really was done, once for each way


@dataclass(frozen=True, kw_only=True)
class SuiteResult:
    """A suite, over or under way. Places not reached yet are not run."""

    name: str
    client: str
    started: str  # wall clock, ISO 8601 UTC: a label
    duration_s: float
    cases: Sequence[SuiteCase]
    endless: bool = False  # goes round until it is stopped
    interrupted: str = ""  # who or what ended it before its end

    @property
    def ruling(self) -> Ruling:
        """The worst of all places."""
        rulings = {case.ruling for case in self.cases}
        if Ruling.FAIL in rulings:
            return Ruling.FAIL
        counted = [case for case in self.cases if not self._is_loose_end(case)]
        is_whole = all(case.state is State.JUDGED for case in counted)
        if counted and is_whole and all(case.ruling is Ruling.PASS for case in counted):
            return Ruling.PASS
        return Ruling.INCONCLUSIVE

    @property
    def exit_code(self) -> int:
        """Process exit code: 1, then 2 for a scenario that could not be set up, then 3, then 0."""
        is_set_up = all(case.state is not State.NOT_SET_UP for case in self.cases)
        ruling = self.ruling
        return EXIT_CODES[ruling] if ruling is Ruling.FAIL or is_set_up else SET_UP_ERROR

    def _is_loose_end(self, case: SuiteCase) -> bool:
        return self.endless and case.state in (State.INTERRUPTED, State.NOT_RUN)


def case_of(
    facts: RunFacts,
    verdict: Verdict,
    *,
    time_scale: float,
    turn: int,
    run: str,
    interrupted: bool,
) -> SuiteCase:
    """Give the place of a run that was judged; `turn` is the round, `run` its folder's name."""
    bad = [check for check in verdict.checks if check.verdict is verdict.ruling]
    first: CheckResult | None = bad[0] if bad and verdict.ruling is not Ruling.PASS else None
    return SuiteCase(
        scenario=facts.scenario,
        seed=facts.seed,
        time_scale=time_scale,
        round=turn,
        state=State.INTERRUPTED if interrupted else State.JUDGED,
        ruling=verdict.ruling,
        check=first.name if first else "",
        why=first.why if first else "",
        evidence=first.evidence if first else (),
        more=len(bad) - 1 if first else 0,
        run=run,
        duration_s=facts.duration_s,
        operations=verdict.totals["operations"],
        error_rate=_error_rate(verdict),
        recovery_time_s=_recovery_time(verdict),
        emulated_by=tuple(dict.fromkeys(record.emulated_by for record in facts.faults)),
    )


def _error_rate(verdict: Verdict) -> float | None:
    """Give the share while a fault was on, without any the baseline's."""
    for name in ("error_rate_during", "error_rate_baseline"):
        figure = verdict.figures.get(name)
        if figure is not None and figure.value is not None:
            return figure.value
    return None


def _recovery_time(verdict: Verdict) -> float | None:
    """Return that of the slowest node; None where one of them was not seen to recover."""
    took = [
        figure.value
        for name, figure in verdict.figures.items()
        if name.startswith("recovery_time_")
    ]
    known = [value for value in took if value is not None]
    return max(known) if known and len(known) == len(took) else None
