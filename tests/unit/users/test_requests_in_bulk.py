"""Bulk and one by one end in the same statistics; whoever listens gets every event."""

from __future__ import annotations

import copy
import random
from typing import Any

import locust.stats
import pytest
from locust.env import Environment

from client.operation import UNATTEMPTED, Outcome
from users.base import _ERRORS
from users.requests import Requests


class Time:
    """A wall clock and a monotonic one that move together."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return 1_700_000_000.0 + self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    """Locust's statistics on a clock that the test moves."""
    made = Time()
    monkeypatch.setattr(locust.stats.time, "time", made.wall)
    return made


def environment() -> Environment:
    made = Environment()
    made.create_local_runner()
    return made


def calls(seed: int) -> list[tuple[float, tuple[str, str, str, float, int]]]:
    """Make calls over several seconds: seconds since the last, and what came of each."""
    rng = random.Random(seed)
    outcomes = [Outcome.HIT] * 8 + [Outcome.TIMEOUT, Outcome.BREAKER_OPEN]
    return [
        (
            rng.choice([0.0001, 0.003, 0.04]),
            (
                rng.choice(["mixed", "hot_key"]),
                rng.choice(["get", "set"]),
                str(rng.choice(outcomes)),
                rng.expovariate(0.5) * 3,
                rng.randrange(200),
            ),
        )
        for _ in range(600)
    ]


def fire(made: Environment, call: tuple[str, str, str, float, int]) -> None:
    """Do what a user does one by one."""
    kind, op, outcome, ms, length = call
    made.events.request.fire(
        request_type=kind,
        name=op,
        response_time=None if outcome in UNATTEMPTED else ms,
        response_length=length,
        exception=_ERRORS.get(outcome),
        context={},
    )


def tell(requests: Requests, now: float, call: tuple[str, str, str, float, int]) -> None:
    """Do what a user does in bulk."""
    kind, op, outcome, ms, length = call
    requests.tell(kind, op, outcome, ms, now, length)


def state(made: Environment) -> dict[str, Any]:
    """Everything Locust knows, errors by their text."""
    entries = {"total": made.stats.total} | {str(k): e for k, e in made.stats.entries.items()}
    found: dict[str, Any] = {}
    for name, entry in entries.items():
        fields = copy.copy(vars(entry))
        del fields["stats"]
        fields["total_response_time"] = pytest.approx(fields["total_response_time"])
        fields["last_request_timestamp"] = pytest.approx(fields["last_request_timestamp"])
        found[name] = fields
    errors = {(e.method, e.name, str(e.error)): e.occurrences for e in made.stats.errors.values()}
    return {"entries": found, "errors": errors}


@pytest.mark.parametrize("seed", range(5))
def test_both_ways_end_in_the_same_entries(time: Time, seed: int) -> None:
    """Counts by second, times, percentile caches, failures and errors are equal, entry by entry."""
    singly, bulk = environment(), environment()
    requests = Requests(bulk, _ERRORS, clock=time.monotonic, wall=time.wall)
    assert requests.listeners == requests.expected
    for after, call in calls(seed):
        time.now += after
        fire(singly, call)
        tell(requests, time.now, call)
    requests.merge()
    one, many = state(singly), state(bulk)
    assert one["errors"] == many["errors"]
    assert one["entries"].keys() == many["entries"].keys()
    for name, entry in one["entries"].items():
        for field, value in entry.items():
            assert many["entries"][name][field] == value, (name, field)


def test_a_percentile_is_the_same_both_ways(time: Time) -> None:
    """What the tables show follows from equal entries."""
    singly, bulk = environment(), environment()
    requests = Requests(bulk, _ERRORS, clock=time.monotonic, wall=time.wall)
    for after, call in calls(11):
        time.now += after
        fire(singly, call)
        tell(requests, time.now, call)
    requests.merge()
    for share in (0.5, 0.95, 0.99):
        assert bulk.stats.total.get_response_time_percentile(
            share
        ) == singly.stats.total.get_response_time_percentile(share)
        assert bulk.stats.total.get_current_response_time_percentile(
            share
        ) == singly.stats.total.get_current_response_time_percentile(share)


def test_the_report_to_the_master_misses_nothing(time: Time) -> None:
    """What is not merged yet is merged before a worker's numbers are taken."""
    made = environment()
    locust.stats.setup_distributed_stats_event_listeners(made.events, made.stats)
    requests = Requests(made, _ERRORS, clock=time.monotonic, wall=time.wall)
    requests.merge()
    tell(requests, time.now, ("mixed", "get", "hit", 1.0, 10))
    data: dict[str, Any] = {}
    made.events.report_to_master.fire(client_id="w1", data=data)
    assert data["stats_total"]["num_requests"] == 1


def _listen(made: Environment) -> None:
    made.events.request.add_listener(lambda **_: None)


def _replace_listener(made: Environment) -> None:
    made.events.request._handlers[:] = [lambda **_: None]


def _replace_fire(made: Environment) -> None:
    made.events.request.fire = lambda **_: None


def _replace_log(made: Environment) -> None:
    made.stats.log_request = lambda *_: None


@pytest.mark.parametrize(
    "doubt", [_listen, _replace_listener, _replace_fire, _replace_log], ids=lambda f: f.__name__
)
def test_any_doubt_means_one_by_one(doubt: Any) -> None:
    """Another listener, or anything of Locust's replaced before the first user: no bulk."""
    made = environment()
    doubt(made)
    requests = Requests(made, _ERRORS)
    assert requests.listeners != requests.expected


def test_a_listener_that_comes_later_hears_everything_from_then_on() -> None:
    """The list is looked at on every call, so a plugin is blind to nothing after it came."""
    made = environment()
    requests = Requests(made, _ERRORS)
    heard: list[Any] = []

    def listener(**event: Any) -> None:
        heard.append(event)

    assert requests.listeners == requests.expected
    made.events.request.add_listener(listener)
    assert requests.listeners != requests.expected
    made.events.request.remove_listener(listener)
    assert requests.listeners == requests.expected


def _by_spawning(made: Environment) -> None:
    made.reset_stats = True
    made.events.spawning_complete.fire(user_count=1)


def _by_button(made: Environment) -> None:
    made.events.reset_stats.fire()
    made.stats.reset_all()


@pytest.mark.parametrize("reset", [_by_spawning, _by_button], ids=lambda f: f.__name__)
def test_what_came_before_a_reset_is_not_counted_after_it(time: Time, reset: Any) -> None:
    """Locust sets its numbers to zero when all users are there, or when it is told to."""
    singly, bulk = Environment(reset_stats=True), Environment(reset_stats=True)
    for made in (singly, bulk):
        made.create_local_runner()
    requests = Requests(bulk, _ERRORS, clock=time.monotonic, wall=time.wall)
    requests.merge()
    early, late = ("mixed", "get", "timeout", 500.0, 0), ("mixed", "get", "hit", 1.0, 10)
    for now, call in ((0.01, early), (0.02, late)):
        if call is late:
            reset(singly)
            reset(bulk)
        time.now += now
        fire(singly, call)
        tell(requests, time.now, call)
    requests.merge()
    assert state(bulk) == state(singly)
    assert bulk.stats.total.num_requests == 1
