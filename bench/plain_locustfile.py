"""The peer: the Locust user that someone writes who wants to load memcached this afternoon.

pymemcache's HashClient as its documentation shows it, an event per request, nothing verified. It
is given no handicap: no timeouts (they cost timers), no classes of outcomes, no waiting.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import Any

import gevent
from locust import User, constant, events, task
from pymemcache.client.hash import HashClient

from bench.nodes import from_option
from bench.steady import KEYS, VALUE, measure

NODES = from_option(os.environ["BENCH_NODES"])
SECONDS = float(os.environ["BENCH_SECONDS"])
USERS = int(os.environ["BENCH_USERS"])
RESULT = Path(os.environ["BENCH_RESULT"])


class PlainUser(User):
    """Gets a random one of a thousand keys, as fast as it goes."""

    wait_time = constant(0)

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self.client = HashClient(NODES, use_pooling=True)

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
    while runner.user_count < USERS:
        gevent.sleep(0.05)
    measure(lambda: environment.stats.total.num_requests, gevent.sleep, SECONDS, RESULT)
    runner.quit()
