"""The watchdog's own thread beside a real hub that stands still."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent.monkey import get_original

from session.sampling import TICK_S
from session.watchdog import Watchdog

blocking_sleep: Callable[[float], None] = get_original("time", "sleep")
BLOCK_S = 0.4  # four times what counts: a busy machine takes its share


class Hub:
    """A ticker, as the sampler of a load process has one, and a watchdog that looks at it."""

    def __init__(self, parts: list[Any]) -> None:
        self.ticked_at = time.monotonic()
        self.watchdog = Watchdog(lambda: self.ticked_at, TICK_S, parts)
        self.watchdog.start()
        self.ticker = gevent.spawn(self._tick)

    def _tick(self) -> None:
        while True:
            self.ticked_at = time.monotonic()
            gevent.sleep(TICK_S)

    def runs(self, work: Callable[[], None]) -> dict[str, Any]:
        """Let a greenlet work, twice, and give what the watchdog says then."""
        for _ in range(2):
            gevent.spawn(work).join()
            gevent.sleep(0.1)
        self.stop()
        return self.watchdog.report(0.0)

    def stop(self) -> None:
        self.watchdog.stop()
        self.ticker.kill()


@pytest.fixture
def make_hub() -> Iterator[Callable[[list[Any]], Hub]]:
    made: list[Hub] = []

    def make(parts: list[Any]) -> Hub:
        made.append(Hub(parts))
        return made[-1]

    yield make
    for hub in made:
        hub.stop()


def sleeps() -> None:
    blocking_sleep(BLOCK_S)


def computes() -> None:
    until = time.thread_time() + BLOCK_S
    while time.thread_time() < until:
        sum(range(300))


@pytest.mark.parametrize("work", [sleeps, computes])
def test_a_hub_that_the_client_stops_is_the_clients_doing(
    make_hub: Callable[[list[Any]], Hub], work: Callable[[], None]
) -> None:
    """Asleep in the system or busy: it is seen, with the place."""
    said = make_hub([__name__]).runs(work)
    assert said["watched"]
    assert said["client"] >= 1, said
    assert f" in {work.__name__}" in said["kept"][0]["place"]


def test_a_hub_that_somebody_else_stops_is_not(make_hub: Callable[[list[Any]], Hub]) -> None:
    """The same stall without a frame of the client is counted, and nobody's."""
    said = make_hub([]).runs(sleeps)
    assert (said["client"], said["kept"]) == (0, [])
    assert said["others"] >= 1


def test_nothing_is_left_of_a_watchdog(make_hub: Callable[[list[Any]], Hub]) -> None:
    """Its thread ends and its files are closed."""
    before = len(os.listdir("/proc/self/fd"))
    hub = make_hub([])
    gevent.sleep(0.1)
    threads = len(os.listdir("/proc/self/task"))
    hub.stop()
    limit = time.monotonic() + 5.0
    while len(os.listdir("/proc/self/task")) >= threads and time.monotonic() < limit:
        gevent.sleep(0.02)
    assert len(os.listdir("/proc/self/task")) < threads
    assert len(os.listdir("/proc/self/fd")) <= before


def test_no_collection_runs_while_a_stack_is_looked_at() -> None:
    """A collection's callbacks let the hub's thread go on, and the stack under the look go away."""

    class Asleep:
        def is_asleep(self) -> bool:
            return False

    watchdog = Watchdog(time.monotonic, TICK_S, ["json"])
    threshold = gc.get_threshold()
    collected: list[str] = []
    look = watchdog._owners.of_client

    def looks(frame: Any) -> Any:
        kept = [[] for _ in range(100)]  # each may start a collection
        assert len(kept) == 100
        collected.append("looked")
        return look(frame)

    watchdog._owners.of_client = looks  # type: ignore[method-assign]
    on_collection = lambda phase, _: collected.append(phase)  # noqa: E731
    gc.callbacks.append(on_collection)
    gc.set_threshold(1)
    try:
        begun = len(collected)
        watchdog._sample(Asleep())  # type: ignore[arg-type]
        seen = collected[begun:]
    finally:
        gc.set_threshold(*threshold)
        gc.callbacks.remove(on_collection)
    assert "looked" in seen
    assert gc.isenabled()
    looked = seen.index("looked")
    before, during = seen[:looked], seen[looked:]
    assert before.count("start") <= 1  # on the way there
    assert "start" not in during[:1]
    assert seen.count("start") <= 2, seen  # on the way there and back
