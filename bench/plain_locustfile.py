"""The peers: the Locust users that someone writes who wants to load memcached this afternoon.

pymemcache's HashClient as its documentation shows it, an event per request, nothing verified. They
are given no handicap: no timeouts (they cost timers), no classes of outcomes, no waiting. Mixes,
batches and keys are drawn as the shipped users draw theirs, so both ask for the same things.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
from locust import User, constant, events, task
from pymemcache.client.hash import HashClient

from bench.nodes import from_option
from bench.steady import KEYS, VALUE, measure
from users import keys, mixed, multi_get
from users.presets import MIXED

NODES = from_option(os.environ["BENCH_NODES"])
SECONDS = float(os.environ["BENCH_SECONDS"])
USERS = int(os.environ["BENCH_USERS"])
RESULT = Path(os.environ["BENCH_RESULT"])
SEED = 1


class Ready:
    """How many users have what they need; the measuring begins with the last one."""

    users = 0


class TimedUser(User):
    """Calls a client and tells Locust how long it took."""

    abstract = True
    wait_time = constant(0)

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self.client = HashClient(NODES, use_pooling=True)

    def timed(self, name: str, method: Callable[..., Any], *args: Any) -> None:
        """Call `method` and fire a request event."""
        error: Exception | None = None
        start = time.perf_counter()
        try:
            method(*args)
        except Exception as raised:
            error = raised
        self.environment.events.request.fire(
            request_type="memcached",
            name=name,
            response_time=(time.perf_counter() - start) * 1000,
            response_length=0,
            exception=error,
            context={},
        )


class PlainUser(TimedUser):
    """Gets a random one of a thousand keys, as fast as it goes."""

    def on_start(self) -> None:
        """Have nothing to prepare."""
        Ready.users += 1

    @task
    def get(self) -> None:
        """Get one key and tell Locust how long it took."""
        key = f"plain:{random.randrange(KEYS)}"
        error: Exception | None = None
        value = None
        start = time.perf_counter()
        try:
            value = self.client.get(key)
        except Exception as raised:
            error = raised
        self.environment.events.request.fire(
            request_type="memcached",
            name="get",
            response_time=(time.perf_counter() - start) * 1000,
            response_length=len(value or b""),
            exception=error,
            context={},
        )


class PlainMixedUser(TimedUser):
    """The default mix of MixedUser over as many keys, writes acknowledged."""

    def on_start(self) -> None:
        """Draw the keys and store them."""
        rng = self.rng = random.Random(f"{SEED}/{id(self)}")
        self.client = HashClient(NODES, use_pooling=True, default_noreply=False)
        hot = [f"plain:hot{number}" for number in range(mixed.HOT_KEYS)]
        own = [f"plain:{id(self)}:{number}" for number in range(mixed.OWN_KEYS)]
        counters = [f"plain:{id(self)}:n{number}" for number in range(mixed.COUNTERS)]
        self.client.set_many(dict.fromkeys([*hot, *own], VALUE))
        self.client.set_many(dict.fromkeys(counters, b"0"))
        self.operations = keys.mixed_ops(rng, MIXED)
        self.keys = keys.hot_set(rng, hot, own, mixed.HOT_SHARE)
        self.counters = keys.uniform(rng, counters)
        Ready.users += 1

    @task
    def one(self) -> None:
        """Do one operation of the mix."""
        name = next(self.operations)
        if name == "incr":
            self.timed(name, self.client.incr, next(self.counters), 1)
        elif name == "set":
            ttl_s = self.rng.randint(*mixed.TTL_S)
            self.timed(name, self.client.set, next(self.keys), VALUE, ttl_s)
        else:
            self.timed(name, getattr(self.client, name), next(self.keys))


class PlainMultiGetUser(TimedUser):
    """The batches of MultiGetUser, and its few sets."""

    def on_start(self) -> None:
        """Draw from the keys that all users share."""
        rng = random.Random(f"{SEED}/{id(self)}")
        self.client = HashClient(NODES, use_pooling=True, default_noreply=False)
        shared = [f"plain:b:{number}" for number in range(multi_get.SHARED_KEYS)]
        self.client.set_many(dict.fromkeys(shared, VALUE))
        self.operations = keys.mixed_ops(rng, multi_get.MIX)
        self.batches = keys.batches(rng, shared)
        self.keys = keys.uniform(rng, shared)
        Ready.users += 1

    @task
    def one(self) -> None:
        """Read a batch, or write one key."""
        if next(self.operations) == "get_many":
            self.timed("get_many", self.client.get_many, next(self.batches))
        else:
            self.timed("set", self.client.set, next(self.keys), VALUE)


@events.test_start.add_listener  # type: ignore[untyped-decorator]  # Locust has no types here
def fill_and_measure(environment: Any, **_: Any) -> None:
    """Fill the keys, and measure once all users are there."""
    client = HashClient(NODES, use_pooling=True, default_noreply=False)
    client.set_many({f"plain:{number}": VALUE for number in range(KEYS)})
    client.close()
    gevent.spawn(measure_then_quit, environment)


def measure_then_quit(environment: Any) -> None:
    """Measure the steady part and end the run."""
    runner = environment.runner
    while Ready.users < USERS:
        gevent.sleep(0.05)
    measure(lambda: environment.stats.total.num_requests, gevent.sleep, SECONDS, RESULT)
    runner.quit()
