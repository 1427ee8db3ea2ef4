"""Whether to ask a node at all: permits instead of a wrapped call.

States, storage and listeners are pybreaker's; its `call` is not used, because it holds a lock while
the call runs. Here `acquire` gives a permit and `done` returns it with a verdict; neither does I/O,
neither yields, and calls to one node never wait for each other.

Rule of generations: every permit is a number drawn from one counter. In the closed state all calls
share one; each half-open probe has its own. A state that ends takes its permits with it, so what a
call from an earlier state has to say is no longer on record and changes nothing.

    closed     --too many failures-->            open
    open       --open time is over, next call--> half-open
    half-open  --all probes succeed-->           closed
    half-open  --one probe fails-->              open, for longer

Listeners are queued and called by `deliver`, outside the lock, after the call that moved the state.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Final, NoReturn

import pybreaker

from client.breaker_settings import BreakerSettings
from client.errors import BreakerOpen
from client.window import SlidingWindow

logger = logging.getLogger(__name__)

SUCCESS: Final = 1
FAILURE: Final = 2
IGNORED: Final = 3  # says nothing about the node: a full pool, a call that was cut off

NO_PERMIT: Final = 0

CLOSED: Final = pybreaker.STATE_CLOSED
OPEN: Final = pybreaker.STATE_OPEN
HALF_OPEN: Final = pybreaker.STATE_HALF_OPEN


class Breaker(pybreaker.CircuitBreaker):
    """The circuit breaker of one node."""

    def __init__(
        self,
        settings: BreakerSettings,
        *,
        name: str = "",
        lease_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        self._mutex = threading.Lock()  # guards everything below, for a few instructions at a time
        super().__init__(
            fail_max=settings.consecutive_failures,
            reset_timeout=settings.open_s,
            success_threshold=settings.half_open_probes,
            name=name,
            throw_new_error_on_trip=False,
        )
        self._settings = settings
        self._lease_s = settings.probe_lease_s if lease_s is None else lease_s
        self._clock = clock
        self._rng = rng or random.Random()
        self._states = {state: self._create_new_state(state) for state in (CLOSED, OPEN, HALF_OPEN)}
        self.window = SlidingWindow(settings.window_s, settings.buckets)
        self._serial = 1  # the last permit drawn
        self.permit = 1  # of every call while closed, NO_PERMIT otherwise
        self._probes: dict[int, float] = {}  # permits out while half-open, and when they expire
        self._probe_successes = 0
        self.slow_call_s: float | None = None  # None: a slow call is no failure
        self._failed_rounds = 0  # openings since the breaker was last closed, less one
        self._open_until = 0.0
        self._delivering = False
        self.streak = 0  # consecutive failures
        self.probes_admitted = 0
        self.opened = 0
        self.transitions: Counter[str] = Counter()
        self.events: deque[tuple[str, str]] = deque()

    def acquire(self) -> int:
        """Give a permit, or raise BreakerOpen at once. Every permit goes to `done` once."""
        permit = self.permit
        if permit:
            return permit
        return self._acquire_probe()

    def done(self, permit: int, verdict: int, now: float | None = None) -> bool:
        """Return a permit with SUCCESS, FAILURE or IGNORED; say whether this opened the breaker.

        `now` may be any time during the call; it only places the call in the window.
        """
        if verdict == SUCCESS and permit == self.permit:
            window = self.window
            if now is None:
                now = self._clock()
            if now >= window.ends_at:
                with self._mutex:
                    window.roll(now)
            # Unlocked: a call that another thread's reset overtakes is a call too many or too few
            # in a count, never a permit.
            window.calls += 1
            self.streak = 0
            return False
        with self._mutex:
            if permit in self._probes:
                return self._end_probe(permit, verdict)
            if verdict == FAILURE and permit and permit == self.permit:
                return self._count_failure()
        return False

    def deliver(self) -> None:
        """Tell the listeners what has happened, in order; a listener that raises is passed over."""
        if self._delivering:
            return  # whoever delivers now goes on until the queue is empty
        self._delivering = True
        try:
            while self.events:
                old, new = self.events.popleft()
                for listener in self.listeners:
                    try:
                        listener.state_change(self, self._states[old], self._states[new])
                    except Exception:  # a listener is a guest: it breaks no call and no breaker
                        logger.warning("a breaker listener raised", exc_info=True)
        finally:
            self._delivering = False

    @property
    def status(self) -> str:
        """The state's name as in snapshots: closed, half_open or open."""
        return str(self.current_state).replace("-", "_")

    @property  # type: ignore[misc]  # no setter: pybreaker's would call listeners under its lock
    def state(self) -> Any:
        """The current state as pybreaker's object; reading it moves nothing."""
        return self._states[self.current_state]

    @property
    def fail_counter(self) -> int:
        """The number of consecutive failures."""
        return self.streak

    def open(self) -> bool:
        """Open by hand; it half-opens by itself as usual."""
        return self._force(OPEN)

    def half_open(self) -> None:
        """Half-open by hand: the next calls are probes."""
        self._force(HALF_OPEN)

    def close(self) -> None:
        """Close by hand."""
        self._force(CLOSED)

    def call(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: pybreaker's way runs one call at a time."""
        raise TypeError("use acquire() and done(): call() would serialise all calls to the node")

    calling = call
    call_async = call
    __call__ = call

    def __repr__(self) -> str:
        return f"<Breaker {self.name} {self.status}>"

    def _acquire_probe(self) -> int:
        with self._mutex:
            if self.permit:
                return self.permit
            now = self._clock()
            if self.current_state == OPEN:
                if now < self._open_until:
                    raise BreakerOpen(node=self.name or "")
                self._move(HALF_OPEN)
            # A probe that never came back must not keep its place for ever.
            for lost in [probe for probe, until in self._probes.items() if until <= now]:
                del self._probes[lost]
            if len(self._probes) + self._probe_successes >= self._settings.half_open_probes:
                raise BreakerOpen(node=self.name or "")
            self._serial += 1
            self._probes[self._serial] = now + self._lease_s
            self.probes_admitted += 1
            return self._serial

    def _end_probe(self, permit: int, verdict: int) -> bool:
        del self._probes[permit]
        if verdict == FAILURE:
            self.streak += 1
            self._failed_rounds += 1
            self._move(OPEN)
            return True
        if verdict == SUCCESS:
            self._probe_successes += 1
            if self._probe_successes >= self._settings.half_open_probes:
                self._move(CLOSED)
        return False

    def _count_failure(self) -> bool:
        now = self._clock()
        window = self.window
        if now >= window.ends_at:
            window.roll(now)
        window.calls += 1
        window.failures += 1
        self.streak += 1
        settings = self._settings
        if self.streak < settings.consecutive_failures:
            calls, failures = window.totals(now)
            if calls < settings.minimum_calls or failures < settings.failure_rate * calls:
                return False
        self._move(OPEN)
        return True

    def _move(self, new: str) -> None:
        """Under the mutex: enter a state afresh. Permits of the old one are worth nothing now."""
        old = self.current_state
        self._probes.clear()
        self._probe_successes = 0
        self.permit = NO_PERMIT
        if new == OPEN:
            self.opened += 1
            self._open_until = self._clock() + self._open_time()
        elif new == CLOSED:
            self._serial += 1
            self.permit = self._serial
            self._failed_rounds = 0
            self.window.clear()
            self.streak = 0
        self._state_storage.state = new
        self._state = self._states[new]
        self.transitions[f"{old}>{new}".replace("-", "_")] += 1
        self.events.append((old, new))

    def _open_time(self) -> float:
        settings = self._settings
        grown = settings.open_s
        for _ in range(self._failed_rounds):
            grown *= settings.open_growth
            if grown >= settings.open_max_s or settings.open_growth == 1:
                break
        limited = min(grown, settings.open_max_s)
        return limited * (1.0 - settings.open_jitter * self._rng.random())

    def _force(self, new: str) -> bool:
        with self._mutex:
            moved: bool = self.current_state != new
            if moved:
                self._move(new)
        self.deliver()
        return moved
