"""The breaker said a second time, as plainly as can be: what the state machines hold it against.

A model decides nothing by chance. It is told what the breaker answered, says whether it may, and
follows. `replay` does that with a whole log. Times are exact as long as they are sums of 1/64 s.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from client.breaker import FAILURE, IGNORED, SUCCESS
from client.breaker_settings import BreakerSettings
from client.window import SlidingWindow

ROUNDING = 1e-9


class Entry(NamedTuple):
    """One line of an outcome log. `passed` is time that never goes back; `now` is the clock."""

    what: str  # "acquire" or "done"
    passed: float
    now: float
    permit: int | None
    verdict: int = IGNORED
    elapsed: float = 0.0


class ModelGuard:
    """The nodes out, by name."""

    def __init__(self, share: float | None, members: int) -> None:
        self.limit = float("inf") if share is None else share * members
        self.out: set[str] = set()


class Model:
    def __init__(
        self, settings: BreakerSettings, lease_s: float, guard: ModelGuard, name: str = "node"
    ) -> None:
        self.settings = settings
        self.lease_s = lease_s
        self.guard = guard
        self.name = name
        self.state = "closed"
        self.moves: list[tuple[str, str]] = []
        self.refused = 0
        self.streak = 0
        self.shared: int | None = None  # the permit of all calls of this closed state, once seen
        self.seen: set[int] = set()
        self.probes: dict[int, float] = {}  # and when they expire
        self.late: dict[int, float] = {}  # those of rounds that have failed
        self.successes = 0
        self.rounds = 0
        self.opened_at = 0.0
        self.window = SlidingWindow(settings.window_s, settings.buckets)

    def acquired(self, permit: int | None, passed: float) -> None:
        """Follow an `acquire` that gave `permit`, or None when it refused."""
        if self.state == "closed":
            assert permit, "a closed breaker refused"
            if self.shared is None:
                assert permit not in self.seen, "a permit of an earlier state was given again"
                self.shared = permit
            assert permit == self.shared
            self.seen.add(permit)
            return
        if self.state == "open":
            shortest, longest = self.open_limits()
            waited = passed - self.opened_at
            if permit is None:
                assert waited < longest + ROUNDING, f"still open after {waited} s of {longest}"
                return
            assert waited > shortest - ROUNDING, f"no longer open after {waited} s of {shortest}"
            self._move("half-open", passed)
        self.probes = {probe: end for probe, end in self.probes.items() if end > passed}
        self.late = {probe: end for probe, end in self.late.items() if end > passed}
        has_room = (
            len(self.probes) + max(self.successes, len(self.late)) < self.settings.half_open_probes
        )
        assert (permit is not None) == has_room, f"room for a probe: {has_room}, gave {permit}"
        if permit is not None:
            assert permit not in self.seen, "a probe's permit was given twice"
            self.seen.add(permit)
            self.probes[permit] = passed + self.lease_s

    def returned(
        self, permit: int, verdict: int, elapsed: float, *, passed: float, now: float
    ) -> bool:
        """Follow a `done`; give what it has to return."""
        slow_call_s = self.settings.slow_call_s
        is_slow = slow_call_s is not None and elapsed >= slow_call_s
        self.late.pop(permit, None)
        if verdict == IGNORED:
            self.probes.pop(permit, None)
        elif permit in self.probes:
            del self.probes[permit]
            return self._probe_ended(verdict == FAILURE or is_slow, passed)
        elif self.state == "closed" and permit == self.shared:
            return self._call_ended(verdict == FAILURE, is_slow, passed, now)
        return False

    def open_limits(self) -> tuple[float, float]:
        """Give the shortest and the longest this open state may last."""
        settings = self.settings
        longest = min(settings.open_s * settings.open_growth**self.rounds, settings.open_max_s)
        return longest * (1 - settings.open_jitter), longest

    def _probe_ended(self, has_failed: bool, passed: float) -> bool:
        if has_failed:
            self.streak += 1
            self.rounds += 1
            self._move("open", passed)
            return True
        self.successes += 1
        if self.successes == self.settings.half_open_probes:
            self._move("closed", passed)
        return False

    def _call_ended(self, has_failed: bool, is_slow: bool, passed: float, now: float) -> bool:
        window, settings = self.window, self.settings
        self.streak = self.streak + 1 if has_failed else 0
        if not has_failed and not is_slow:
            if now >= window.ends_at:
                window.roll(now)
            window.calls += 1
            return False
        window.add(now, failed=has_failed, slow=is_slow)
        calls, failures, slow = window.totals(now)
        is_bad = self.streak >= settings.consecutive_failures or (
            calls >= settings.minimum_calls
            and (
                failures / calls >= settings.failure_rate
                or (settings.slow_call_s is not None and slow / calls >= settings.slow_call_rate)
            )
        )
        if is_bad and len(self.guard.out) > self.guard.limit:
            self.refused += 1
            return False
        if is_bad:
            self._move("open", passed)
        return is_bad

    def _move(self, new: str, passed: float) -> None:
        self.moves.append((self.state, new))
        self.state = new
        self.late = {} if new == "closed" else self.late | self.probes
        self.probes = {}
        self.successes = 0
        self.shared = None
        if new == "open":
            self.opened_at = passed
        if new == "closed":
            self.guard.out.discard(self.name)
            self.streak = self.rounds = 0
            self.window.clear()
        else:
            self.guard.out.add(self.name)


def replay(log: Iterable[Entry], settings: BreakerSettings, lease_s: float) -> list[Any]:
    """Give the moves that an outcome log leads to; raise AssertionError where it cannot be."""
    model = Model(settings, lease_s, ModelGuard(None, 1))
    for entry in log:
        if entry.what == "acquire":
            model.acquired(entry.permit, entry.passed)
        else:
            assert entry.permit is not None
            model.returned(
                entry.permit, entry.verdict, entry.elapsed, passed=entry.passed, now=entry.now
            )
    return model.moves


VERDICTS = (SUCCESS, FAILURE, IGNORED)
