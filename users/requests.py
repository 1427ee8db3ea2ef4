"""Tell Locust's statistics of the requests: in bulk where nobody can notice, else one by one.

Firing Locust's request event costs as much as the rest of a call. Its own listener only adds
numbers up, so where that listener is the only one the numbers are added up here and merged many at
a time, which ends in the same entries. Whoever else listens gets every event: the list of listeners
is looked at on every call, and any doubt about what stands behind it means firing.

Rule: requests merged together ended in the same tenth of a second of the wall clock, so everything
Locust keeps by the second stays as it was.
"""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import locust.stats
from locust.event import EventHook
from locust.stats import RequestStats, StatsEntry, StatsError

from client.operation import UNATTEMPTED

STEP_S = 0.1  # how old the numbers in Locust's tables may be; a divisor of a second
_OWN_LISTENER = ("locust.runners", "Runner.__init__.<locals>.on_request")
_NEVER: list[Any] = [None]  # equal to no list of listeners


class Tally:
    """What came of one kind of call since the last merge."""

    __slots__ = ("errors", "last", "length", "nones", "times")

    def __init__(self) -> None:
        self.times: list[float] = []  # response times in ms, in order
        self.nones = 0  # requests without one: never sent
        self.length = 0  # bytes of the answers
        self.errors: dict[str, int] = defaultdict(int)  # by outcome or class
        self.last = 0.0  # when the last one ended, monotonic


class Requests:
    """The requests of one Locust environment in one process.

    In bulk while `listeners == expected`; `merge_at` is when the next merge is due (monotonic).
    """

    def __init__(
        self,
        environment: Any,
        errors: Mapping[str, Exception],
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._stats: Any = getattr(environment, "stats", None)
        self._event = environment.events.request
        self._errors = errors  # by outcome or class, as the events carry them
        self._clock = clock
        self._wall = wall
        self._tallies: dict[tuple[str, str], Tally] = {}
        self.listeners: list[Any] = getattr(environment.events.request, "_handlers", [])
        self.expected = _NEVER
        self.merge_at = -math.inf
        if _is_untouched(environment):
            self.expected = list(self.listeners)
            # Before Locust's own listener takes the numbers for the master, or sets them to zero:
            # what came before that must not be counted after it.
            events = environment.events
            for event in (events.report_to_master, events.spawning_complete, events.reset_stats):
                event._handlers.insert(0, self._before_change)

    def tally(self, kind: str, op: str) -> Tally:
        """Give the tally of one row of Locust's table."""
        key = (op, kind)
        found = self._tallies.get(key)
        if found is None:
            found = self._tallies[key] = Tally()
        return found

    def tell(  # noqa: PLR0917 - positional arguments are the cheapest call there is
        self,
        kind: str,
        op: str,
        outcome: str,
        response_ms: float,
        ended: float,
        length: int,
        *,
        error: str = "",
    ) -> None:
        """Tell Locust of one request that ended at `ended` (monotonic) after `response_ms`.

        `error` names what failed where that is not the outcome.
        """
        error = error or outcome
        # A call that was never sent took no time, and would drag every percentile down.
        was_sent = outcome not in UNATTEMPTED
        if self.listeners != self.expected:
            self.merge()  # what came before the other listener did
            self._event.fire(
                request_type=kind,
                name=op,
                response_time=response_ms if was_sent else None,
                response_length=length,
                exception=self._errors.get(error),
                context={},
            )
            return
        if ended >= self.merge_at:
            self.merge()
        tally = self.tally(kind, op)
        if not tally.times and not tally.nones:
            self._stats.entries[op, kind]  # made now: an entry's time begins with its first request
        tally.last = ended
        tally.length += length
        if was_sent:
            tally.times.append(response_ms)
        else:
            tally.nones += 1
        if error in self._errors:
            tally.errors[error] += 1

    def merge(self) -> None:
        """Put everything that has come since the last merge into Locust's statistics."""
        now, wall = self._clock(), self._wall()
        for (op, kind), tally in self._tallies.items():
            if tally.times or tally.nones:
                self._merge(op, kind, tally, wall - (now - tally.last))
        self.merge_at = now + STEP_S - wall % STEP_S

    def _before_change(self, **_: Any) -> None:
        self.merge()

    def _merge(self, op: str, kind: str, tally: Tally, at: float) -> None:
        times, nones, length = tally.times, tally.nones, tally.length
        errors = dict(tally.errors)
        tally.times, tally.nones, tally.length = [], 0, 0
        tally.errors.clear()
        buckets = Counter(map(locust.stats.bucket_response_time, times))
        failures = sum(errors.values())
        for entry in (self._stats.total, self._stats.entries[op, kind]):
            _add(entry, times, nones, length, buckets, at)
            if failures:
                entry.num_failures += failures
                entry.num_fail_per_sec[int(at)] += failures
        for outcome, count in errors.items():
            self._add_error(kind, op, self._errors[outcome], count)

    def _add_error(self, kind: str, op: str, error: Exception, count: int) -> None:
        key = StatsError.create_key(kind, op, error)
        entry = self._stats.errors.get(key)
        if entry is None:
            entry = self._stats.errors[key] = StatsError(kind, op, error)
        entry.occurred()  # keeps its own times
        entry.occurrences += count - 1


def _add(  # noqa: PLR0917 - the parts of one sum
    entry: StatsEntry,
    times: list[float],
    nones: int,
    length: int,
    buckets: Mapping[Any, int],
    at: float,
) -> None:
    """Do what `StatsEntry.log` would have done for each of the requests."""
    second = int(at)
    last = entry.last_request_timestamp
    if entry.use_response_times_cache and last and second > int(last):
        entry._cache_response_times(second - 1)
    entry.num_requests += len(times) + nones
    entry.num_none_requests += nones
    entry.num_reqs_per_sec[second] += len(times) + nones
    entry.last_request_timestamp = at
    entry.total_content_length += length
    if times:
        # Locust's annotations say whole milliseconds; it is given fractions of them.
        found: Any = entry
        found.total_response_time = sum(times, found.total_response_time)
        least = min(times)
        known = found.min_response_time
        found.min_response_time = least if known is None else min(known, least)
        most = max(times)
        found.max_response_time = max(found.max_response_time, most)
        for bucket, count in buckets.items():
            found.response_times[bucket] += count


def _is_untouched(environment: Any) -> bool:
    """Say whether everything between the event and the entries is Locust's own."""
    event, stats = environment.events.request, getattr(environment, "stats", None)
    return (
        type(event) is EventHook
        and "fire" not in vars(event)
        and type(stats) is RequestStats
        and not {"log_request", "log_error"} & vars(stats).keys()
        and len(event._handlers) == 1
        and _name_of(event._handlers[0]) == _OWN_LISTENER
    )


def _name_of(listener: Any) -> tuple[str, str]:
    return getattr(listener, "__module__", ""), getattr(listener, "__qualname__", "")


def requests_of(environment: Any, errors: Mapping[str, Exception]) -> Requests:
    """Give the one `Requests` of an environment."""
    found: Requests | None = getattr(environment, "memquake_requests", None)
    if found is None:
        found = environment.memquake_requests = Requests(environment, errors)
    return found
