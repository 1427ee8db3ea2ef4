"""Calls of the client cut off at random moments, the way a service cuts off its own.

While it is ordered, a `CuttingClient` stands between the users and the client under test; at other
times nothing does, so nothing costs anything. A chosen call is ended by a `gevent.Timeout` raised
into its greenlet, or runs in a greenlet of its own that is killed. Rule: whatever comes of a call
that was cut off is the harness's doing and leaves here as `CutOffError`; only an answer that came
all the same is judged, because a wrong one would be the client's.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gevent

from users.strangers import ends_the_user

OPERATIONS = frozenset(
    {
        *("get", "gets", "get_many", "gets_many", "get_or_lease"),
        *("set", "add", "replace", "cas", "touch", "set_many"),
        *("delete", "delete_many", "incr", "decr"),
    }
)
"""Methods that are cut off; what is said about the client itself (snapshot, close) is not."""

FIRST_USUAL_S = 0.0005  # a call on loopback; the first few calls correct it
USUAL_STEP = 1.05  # each call moves the running median by this factor, so no outlier drags it
LATEST = 1.2  # a cut comes within so many usual lengths of a call, so some come too late
FIRST_IN_LINE = 1  # priority on the hub: where a cut and a reply are due at once, the cut comes
MOST_OWED = 2.0  # cuts that could not be made are made up for, but never in a burst

Call = Callable[..., Any]


class CutOffError(Exception):
    """The harness cut this call off; nobody knows whether it happened."""


@dataclass(slots=True)
class Cuts:
    """Calls seen while cutting, and what became of those that were hit."""

    calls: int = 0
    by_timeout: int = 0
    by_kill: int = 0
    answered: int = 0  # hit, and answered all the same

    @property
    def cut(self) -> int:
        """Calls that ended because they were cut off."""
        return self.by_timeout + self.by_kill


class Knife:
    """Chooses calls and moments from a seed, cuts, and counts. One a process.

    `share` of all calls (0-1) are to be cut off. A call that ends before its moment is not cut;
    another one is in its place.
    """

    def __init__(
        self, share: float, rng: random.Random, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.cuts = Cuts()
        self._share = share
        self._rng = rng
        self._clock = clock
        self._owed = 0.0
        self._usual_s = FIRST_USUAL_S

    def call(self, method: Call, *args: Any, **kwargs: Any) -> Any:
        """Make one call, cut off or not. Raises CutOffError, or whatever the call raises."""
        self.cuts.calls += 1
        self._owed = min(MOST_OWED, self._owed + self._share)
        if self._rng.random() >= self._owed:
            return self._whole(method, args, kwargs)
        delay_s = self._rng.uniform(0.0, LATEST * self._usual_s)
        if self._rng.random() < 0.5:
            hit, ended_well, came = _run(method, args, kwargs, delay_s, None)
            return self._told(hit, ended_well, came, "by_timeout")
        return self._told(*_run_apart(method, args, kwargs, delay_s), "by_kill")

    def _whole(self, method: Call, args: Any, kwargs: Any) -> Any:
        began = self._clock()
        result = method(*args, **kwargs)
        is_longer = self._clock() - began > self._usual_s
        self._usual_s *= USUAL_STEP if is_longer else 1 / USUAL_STEP
        return result

    def _told(self, hit: bool, ended_well: bool, came: Any, how: str) -> Any:
        """Give or raise what a chosen call came to, and count it."""
        if not hit:
            if ended_well:
                return came
            raise came
        self._owed -= 1.0
        if ended_well and _is_answer(came):
            self.cuts.answered += 1
            return came
        setattr(self.cuts, how, getattr(self.cuts, how) + 1)
        raise CutOffError


def _run(
    method: Call, args: Any, kwargs: Any, delay_s: float, thrown: BaseException | None
) -> tuple[bool, bool, Any]:
    """Make a call with a cut in `delay_s`: (was it hit, did it return, result or error).

    A kill of the user itself, at the end of the run, passes through.
    """
    timer = gevent.Timeout(delay_s, thrown, priority=FIRST_IN_LINE)
    timer.start()
    try:
        try:
            result = method(*args, **kwargs)
        except BaseException as error:
            hit = not timer.pending
            if thrown is None and isinstance(error, gevent.GreenletExit | KeyboardInterrupt):
                raise
            return hit, False, error
        return not timer.pending, True, result
    finally:
        timer.close()


def _run_apart(method: Call, args: Any, kwargs: Any, delay_s: float) -> tuple[bool, bool, Any]:
    """Make a call in a greenlet of its own that is killed in `delay_s`."""
    job = gevent.spawn(_run, method, args, kwargs, delay_s, gevent.GreenletExit())
    try:
        job.join()
    except BaseException:
        job.kill(block=False)
        raise
    found = job.value
    # Killed from outside (the end of the run) it has nothing to tell.
    return found if isinstance(found, tuple) else (True, False, None)


def _is_answer(result: Any) -> bool:
    """Tell whether a call that was cut off brought something that can be judged."""
    try:
        return bool(result) and not getattr(result, "failed", None)
    except BaseException as error:  # a stranger's object
        if ends_the_user(error):
            raise
        return False


class CuttingClient:
    """The client under test with a knife at its calls; everything else is its own."""

    def __init__(self, inner: Any, knife: Knife) -> None:
        self._inner = inner
        self._knife = knife

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in OPERATIONS:
            return found
        call = self._knife.call

        def cut(*args: Any, **kwargs: Any) -> Any:
            return call(found, *args, **kwargs)

        self.__dict__[name] = cut  # found without this way round the next time
        return cut
