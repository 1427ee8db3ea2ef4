"""A locustfile of the user's own, with users that have nothing to do with memcached."""

from __future__ import annotations

import time
from typing import Any

import gevent
from locust import HttpUser, User, constant, task


class Visitor(HttpUser):
    """Visits the page of `--host`."""

    wait_time = constant(0.05)

    @task
    def visit(self) -> None:
        self.client.get("/")


class Sleeper(User):
    """Tells Locust of requests of its own, some of which fail."""

    wait_time = constant(0.05)
    asleep = 0

    @task
    def sleep(self) -> None:
        started = time.perf_counter()
        gevent.sleep(0.002)
        type(self).asleep += 1
        error: Any = ValueError("a bad dream") if self.asleep % 2 else None
        self.environment.events.request.fire(
            request_type="own",
            name="sleep",
            response_time=(time.perf_counter() - started) * 1000,
            response_length=1,
            exception=error,
            context={},
        )


class Unable(User):
    """Cannot be made."""

    def __init__(self, environment: Any) -> None:
        raise ValueError("no database here")

    @task
    def nothing(self) -> None:
        pass
