"""Whether to ask a node at all: permits instead of a wrapped call.

`acquire` gives a permit and `done` returns it with a verdict; neither does I/O, neither yields, and
calls to one node never wait for each other. What pybreaker's users see is in breaker_face.py, the
rules are in breaker_policy.py.

Rule of generations: every permit is a number drawn from one counter. In the closed state all calls
share one; each half-open probe has its own. A state that ends takes its permits with it: what a
call from an earlier state has to say changes nothing. A probe keeps its place until it is back,
though, even when another one has failed its round, so that the node never has more than
`half_open_probes` of them to answer at once.

    closed     --too many failures or slow calls-->   open (unless the guard refuses)
    open       --open time is over, next call-->      half-open
    half-open  --all probes succeed-->                closed
    half-open  --one probe fails or is slow-->        open, for longer

Time is monotonic. A clock that goes back or stands still is time that does not pass: what waits
waits on, and goes on when the clock does.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable

import pybreaker

from client.breaker_face import CLOSED, HALF_OPEN, OPEN, PybreakerFace
from client.breaker_policy import FAILURE, IGNORED, SUCCESS, open_seconds, trips
from client.breaker_settings import BreakerSettings
from client.errors import BreakerOpen
from client.guard import ShareGuard
from client.window import SlidingWindow

__all__ = ["FAILURE", "IGNORED", "NO_PERMIT", "SUCCESS", "Breaker"]

NO_PERMIT = 0


class Breaker(PybreakerFace):
    """The circuit breaker of one node.

    `permit`, `streak`, `slow_call_s` and the counts of `window` are public for callers that write
    out the usual case of `acquire` and `done` in line. `name` is the node's, `lease_s` stands in
    for the settings' `probe_lease_s`, and `storage` is told of each move. `clock` must not block:
    it is asked under the breaker's lock.
    """

    def __init__(
        self,
        settings: BreakerSettings,
        *,
        name: str = "",
        lease_s: float | None = None,
        guard: ShareGuard | None = None,
        storage: pybreaker.CircuitBreakerStorage | None = None,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        super().__init__(settings, name=name, storage=storage)
        self._settings = settings
        self._lease_s = settings.probe_lease_s if lease_s is None else lease_s
        self._guard = guard
        self._clock = clock
        self._clock_at = clock()
        self._clock_lag = 0.0  # seconds by which the clock has gone back so far
        self._rng = rng or random.Random()
        self._serial = 1  # the last permit drawn
        self._probes: dict[int, float] = {}  # permits out, oldest first, and when they expire
        self._late: dict[int, float] = {}  # those of failed rounds: they hold a place, no say
        self._probe_successes = 0
        self._failed_rounds = 0  # openings since the breaker was last closed, less one
        self._open_until = 0.0
        self.permit = 1  # of every call while closed, NO_PERMIT otherwise
        self.window = SlidingWindow(settings.window_s, settings.buckets)
        self.streak = 0  # consecutive failures
        self.slow_call_s = settings.slow_call_s  # None: slow calls do not count
        self.probes_admitted = 0
        self.opened = 0
        self.opens_refused = 0  # failures on which it would have opened but for the guard
        self.transitions: Counter[str] = Counter()
        if guard is not None:
            guard.join(self)
        if self._current != CLOSED:
            self._enter(self._current)

    def acquire(self) -> int:
        """Give a permit, or raise BreakerOpen at once. Every permit goes to `done` once."""
        return self.permit or self._acquire_probe()

    def done(
        self, permit: int, verdict: int, now: float | None = None, elapsed: float = 0.0
    ) -> bool:
        """Return a permit with SUCCESS, FAILURE or IGNORED; say whether this opened the breaker.

        `now` may be any time during the call; it only places a success in the window. `elapsed` is
        how many seconds the node took, without any wait for a connection.
        """
        if (
            verdict == SUCCESS
            and permit == self.permit
            and permit
            and (not elapsed or self.slow_call_s is None or elapsed < self.slow_call_s)
        ):
            window = self.window
            if now is None:
                now = self._clock()
            if now >= window.ends_at:
                with self._mutex:
                    if now >= window.ends_at:
                        window.roll(now)
            # Unlocked: a call that another thread's reset overtakes is a call too many or too few
            # in a count, never a permit.
            window.calls += 1
            self.streak = 0
            return False
        if verdict == IGNORED and permit == self.permit:
            return False
        with self._mutex:
            self._late.pop(permit, None)
            is_slow = self.slow_call_s is not None and elapsed >= self.slow_call_s
            if permit in self._probes:
                return self._end_probe(permit, verdict, is_slow)
            if permit and permit == self.permit:
                return self._count(verdict == FAILURE, is_slow)
        return False

    def retire(self) -> None:
        """Leave the guard's sums: the node was removed. The breaker itself goes on working."""
        if self._guard is not None:
            self._guard.leave(self)

    @property
    def fail_counter(self) -> int:
        """The number of consecutive failures."""
        return self.streak

    @property
    def success_counter(self) -> int:
        """The number of probes of this half-open state that succeeded."""
        return self._probe_successes

    @property
    def probes_out(self) -> int:
        """The number of probes that have neither come back nor been written off."""
        return len(self._probes) + len(self._late)

    def __repr__(self) -> str:
        probes = self._settings.half_open_probes
        told = {
            CLOSED: f"{self.streak} failed in a row",
            OPEN: f"opened {self.opened} times",
            HALF_OPEN: f"{self.probes_out} of {probes} probes out, {self._probe_successes} well",
        }
        return f"<Breaker {self.name} {self.status}: {told[self._current]}>"

    def _acquire_probe(self) -> int:
        with self._mutex:
            if self.permit:
                return self.permit
            now = self._time()
            if self._current == OPEN:
                if now < self._open_until:
                    raise BreakerOpen(node=self.name or "")
                self._move(HALF_OPEN)
            # A probe that never came back must not keep its place for ever.
            for probes in (self._late, self._probes):
                while probes and probes[oldest := next(iter(probes))] <= now:
                    del probes[oldest]
            # Late ones are never all (the one that failed the round is back), so there is a place.
            most = self._settings.half_open_probes
            if self.probes_out >= most or len(self._probes) + self._probe_successes >= most:
                raise BreakerOpen(node=self.name or "")
            self._serial += 1
            self._probes[self._serial] = now + self._lease_s
            self.probes_admitted += 1
            return self._serial

    def _end_probe(self, permit: int, verdict: int, is_slow: bool) -> bool:
        del self._probes[permit]
        if verdict == IGNORED:
            return False
        if verdict == FAILURE or is_slow:
            self.streak += 1
            self._failed_rounds += 1
            self._move(OPEN)
            return True
        self._probe_successes += 1
        if self._probe_successes >= self._settings.half_open_probes:
            self._move(CLOSED)
        return False

    def _count(self, is_failure: bool, is_slow: bool) -> bool:
        now = self._clock()
        self.window.add(now, failed=is_failure, slow=is_slow)
        self.streak = self.streak + 1 if is_failure else 0
        if not trips(self._settings, self.streak, *self.window.totals(now)):
            return False
        if self._guard is not None and not self._guard.take_out(self):
            self.opens_refused += 1
            return False
        self._move(OPEN)
        return True

    def _move(self, new: str) -> None:
        old = self._current
        self._enter(new)
        self.transitions[f"{old}>{new}".replace("-", "_")] += 1
        self.events.append((old, new))

    def _enter(self, new: str) -> None:
        """Begin a state afresh. Permits of the old one are worth nothing now."""
        self._late.update(self._probes)
        self._probes.clear()
        self._probe_successes = 0
        self.permit = NO_PERMIT
        self._current = new
        if new == CLOSED:
            self._serial += 1
            self._failed_rounds = 0
            self._late.clear()
            self.window.clear()
            self.streak = 0
            self.permit = self._serial
        elif new == OPEN:
            self.opened += 1
            spread = self._rng.random()
            self._open_until = self._time() + open_seconds(
                self._settings, self._failed_rounds, spread
            )
        if self._guard is not None:
            if new == CLOSED:
                self._guard.put_back(self)
            else:
                self._guard.take_out(self, by_hand=True)  # a second time changes nothing

    def _time(self) -> float:
        """Under the mutex: give a time that never goes back."""
        now = self._clock()
        if now < self._clock_at:
            self._clock_lag += self._clock_at - now
        self._clock_at = now
        return now + self._clock_lag
