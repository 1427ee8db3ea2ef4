"""A failing plan to a minimal failing one: delta debugging over faults, then times. Pure.

It asks whether a plan fails and knows nothing else: not how a plan is run, nor by what it fails.
Whatever it is told, the plan it gives has been seen to fail; when answers do not depend on chance,
it fails no more once any one of its faults is left out. Faults come one after the other, so the
shortest failing prefix is bisected: its last fault is needed, and the search goes on before it.
That takes about k x log2(n) runs for k faults out of n, and ever shorter ones.

A failure that comes and goes is recognised three ways: the whole plan does not fail again, the
minimum does not, or a try held that contained the minimum, and fails when it is run again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from faults.errors import ScenarioError
from faults.planned import Plan
from faults.smaller import earlier, keep, shorter

REPEATS = 3  # runs of the whole plan before it is said not to fail again
UNSURE_REPEATS = 2  # further runs of a plan whose run proved nothing
MOST_RUNS = 40  # an hour of runs of a minute and a half


_Key = frozenset[tuple[str, float, float]]


def _key(plan: Plan) -> _Key:
    """Give what can differ between the plans of one search."""
    return frozenset((fault.id, fault.at_s, fault.duration_s) for fault in plan.faults)


class Answer(Enum):
    """What a run of a plan said."""

    FAILS = "fails"
    HOLDS = "holds"
    UNSURE = "proves nothing"


class End(Enum):
    """How a search ended."""

    MINIMAL = "minimal"
    FLAKY = "flaky"
    HELD = "did not fail again"
    STOPPED = "stopped"


@dataclass(frozen=True, kw_only=True)
class Try:
    """One run: what for, of which plan, with which answer."""

    number: int
    why: str
    plan: Plan
    answer: Answer


@dataclass(frozen=True, kw_only=True)
class Shrunk:
    """What a search found. `plan` is the smallest that failed; `said` is one line."""

    plan: Plan
    end: End
    said: str
    tries: tuple[Try, ...]

    @property
    def runs(self) -> int:
        """How many runs it took."""
        return len(self.tries)


class _OutOfRunsError(Exception):
    """No run is left."""


class Shrink:
    """One search. `ask` runs a plan; `tell` hears of each try once it is over."""

    def __init__(
        self,
        plan: Plan,
        ask: Callable[[Plan], Answer],
        *,
        most_runs: int = MOST_RUNS,
        tell: Callable[[Try], None] = lambda one: None,
    ) -> None:
        self.plan = plan
        self.best = plan
        self.tries: list[Try] = []
        self._ask = ask
        self._most_runs = most_runs
        self._tell = tell
        self._known: dict[_Key, bool] = {}

    def run(self) -> Shrunk:
        """Search until the plan is minimal, runs are out, or somebody presses Ctrl-C.

        A plan that cannot be run ends it as well, with what was found so far; ScenarioError where
        not even the first could be.
        """
        try:
            return self._search()
        except _OutOfRunsError:
            return self._end(End.STOPPED, f"out of runs after {len(self.tries)}")
        except ScenarioError as why:
            if not self.tries:
                raise
            return self._end(End.STOPPED, f"stopped after {len(self.tries)} runs: {why}")
        except KeyboardInterrupt:
            return self._end(End.STOPPED, f"interrupted after {len(self.tries)} runs")

    def _search(self) -> Shrunk:
        if given_up := self._repeat_whole():
            return given_up
        self._fewer_faults()
        doubt = self._contradiction()
        if doubt is not None and self._run(doubt.plan, f"try {doubt.number} again") is Answer.FAILS:
            return self._end(End.FLAKY, f"the plan of try {doubt.number} held, and then failed")
        self._take(earlier(self.best), "without idle time")
        self._shorter_faults()
        if self._run_until_sure(self.best, "the minimum again") is not Answer.FAILS:
            return self._end(End.FLAKY, "the minimum failed, and did not when it was run again")
        said = "it failed twice, and no longer with any fault left out"
        if doubt is not None:
            said += f"; try {doubt.number} has more faults and held twice: they hide the failure"
        return self._end(End.MINIMAL, said)

    def _end(self, end: End, said: str) -> Shrunk:
        return Shrunk(plan=self.best, end=end, said=said, tries=tuple(self.tries))

    # -- asking -----------------------------------------------------------------------------

    def _run(self, plan: Plan, why: str) -> Answer:
        if len(self.tries) >= self._most_runs:
            raise _OutOfRunsError
        answer = self._ask(plan)
        one = Try(number=len(self.tries) + 1, why=why, plan=plan, answer=answer)
        self.tries.append(one)
        self._tell(one)
        return answer

    def _run_until_sure(self, plan: Plan, why: str) -> Answer:
        answer = self._run(plan, why)
        for _ in range(UNSURE_REPEATS):
            if answer is not Answer.UNSURE:
                break
            answer = self._run(plan, f"{why}, again")
        return answer

    def _fails(self, plan: Plan, why: str) -> bool:
        """Ask once for each plan; what proves nothing in the end counts as held."""
        key = _key(plan)
        if key not in self._known:
            self._known[key] = self._run_until_sure(plan, why) is Answer.FAILS
        return self._known[key]

    def _take(self, plan: Plan, why: str) -> bool:
        """Keep a smaller plan if it fails as well."""
        if plan == self.best or not self._fails(plan, why):
            return False
        self.best = plan
        return True

    # -- the steps --------------------------------------------------------------------------

    def _repeat_whole(self) -> Shrunk | None:
        first = self._run_until_sure(self.plan, "the whole plan")
        if first is Answer.FAILS:
            self._known[_key(self.plan)] = True
            return None
        again = [self._run(self.plan, "the whole plan, again") for _ in range(REPEATS - 1)]
        failed = again.count(Answer.FAILS)
        if failed:
            return self._end(End.FLAKY, f"the whole plan failed in {failed} of {REPEATS} runs")
        return self._end(End.HELD, f"the whole plan did not fail again in {REPEATS} runs")

    def _fewer_faults(self) -> None:
        order = [fault.id for fault in self.plan.faults]
        needed: list[str] = []
        # Invariant: `needed` with all of `before` has failed.
        before = order
        while before:
            if needed and self._take(self._with(needed), "fewer faults"):
                break
            low, high = 1 if needed else 0, len(before)
            while low < high:
                middle = (low + high) // 2
                if self._take(self._with(needed + before[:middle]), "fewer faults"):
                    high = middle
                else:
                    low = middle + 1
            if high == 0:
                break
            needed = [*needed, before[high - 1]]
            before = before[: high - 1]
        self._drop_each()

    def _drop_each(self) -> None:
        """Leave out one fault at a time, until none can be left out."""
        found = True
        while found:
            ids = [fault.id for fault in self.best.faults]
            found = any(
                self._take(self._with([other for other in ids if other != one]), f"without {one}")
                for one in ids
            )

    def _with(self, ids: Sequence[str]) -> Plan:
        return keep(self.plan, ids)

    def _shorter_faults(self) -> None:
        """Halve all lengths at once as long as that works, then each by itself."""
        ids = [fault.id for fault in self.best.faults]
        while ids and self._take(shorter(self.best, ids), "shorter faults"):
            pass
        for one in ids:
            while self._take(shorter(self.best, [one]), f"shorter {one}"):
                pass

    def _contradiction(self) -> Try | None:
        """Give a try that held although it contained everything that is left now."""
        left = _key(self.best)
        held = (one for one in self.tries if one.answer is Answer.HOLDS)
        return next((one for one in held if left <= _key(one.plan)), None)
