"""A thousand callers, killed and timed out at random, over three nodes: nothing is left behind.

MEMQUAKE_KILL_SECONDS says for how long (a few seconds here, 30 by hand). Every caller is replaced
when it was killed. In the middle one node is cut off for a moment, so that breakers open and their
probes are killed as well. What the servers count is asked past the proxies.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import gevent
import pytest

from client import MemcacheClient, MemcacheClientError, build
from tests.integration.client import twins
from tests.integration.client.bad_states.findings import comes_true
from tests.integration.client.bad_states.lab import Lab, Make
from users import values

SECONDS = float(os.environ.get("MEMQUAKE_KILL_SECONDS", "6"))
CALLERS = 1_000
KEYS = [f"key{index}" for index in range(300)]
COUNTERS = {f"counter{index}": index * 10**9 for index in range(1, 31)}
SIZE = 120
POOL_SIZE = 200
# On a hub with no time to spare every reply has come before the next caller looks, and what a kill
# leaves behind is found stale instead of being met: callers pause, and the wire is slow.
WIRE_MS = 20
THINK_S = 0.15
TWIN_SECONDS = 1.5
EXPECTED = {  # of one node that is cut off for a moment, and of a machine that is busy
    "ConnectionClosed", "ConnectRefused", "BreakerOpen", "PoolExhausted", "OperationTimeout",
    "ConnectTimeout",
}  # fmt: skip
SETTINGS = {
    "pool_size": POOL_SIZE,
    "op_timeout": 4.0,  # a thousand callers on a small machine wait for each other
    "connect_timeout": 2.0,
    "breaker": {"open_s": 0.2, "open_max_s": 0.3},
}


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Give three nodes behind a Toxiproxy."""
    lab = Lab()
    try:
        yield lab
    finally:
        lab.stop()


class Crowd:
    """The callers, what they saw, and who kills them."""

    def __init__(self, cache: MemcacheClient, seed: int) -> None:
        self.cache = cache
        self.rng = random.Random(seed)
        self.tally: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.findings: list[str] = []
        self.is_over = False
        self.callers = [gevent.spawn(self.work, me) for me in range(CALLERS)]

    def work(self, me: int) -> None:
        rng = random.Random(self.rng.random())
        while not self.is_over:
            gevent.sleep(rng.uniform(0.0, 2 * THINK_S))
            mine = gevent.Timeout(rng.uniform(0.0, 0.05)) if rng.random() < 0.2 else None
            try:
                if mine is not None:
                    mine.start()
                self.call(me, rng)
            except gevent.Timeout as error:
                self.tally["timeouts caught"] += 1
                if error is not mine:
                    self.findings.append("a Timeout of another caller")
            except MemcacheClientError as error:
                self.errors[type(error).__name__] += 1
            finally:
                if mine is not None:
                    self.tally["timeouts raised"] += not mine.pending
                    mine.close()

    def call(self, me: int, rng: random.Random) -> None:
        key = rng.choice(KEYS)
        self.tally["operations"] += 1
        match rng.randrange(10):
            case 0 | 1:
                self.cache.set(key, values.make(key, f"caller{me}", rng.randrange(10**6), SIZE))
            case 2 | 3:
                counter = rng.choice(list(COUNTERS))
                start, number = COUNTERS[counter], self.cache.incr(counter, 1)
                if number is None or not start < number < start + 10**8:
                    self.findings.append(f"{counter} is {number}")
            case 4:
                asked = rng.sample(KEYS, 12)
                found = self.cache.get_many(asked)
                self.errors.update(type(error).__name__ for error in found.failed.values())
                for name in asked:
                    if name not in found.failed:
                        self.hold(name, found.get(name))
            case _:
                self.hold(key, self.cache.get(key))

    def hold(self, key: str, value: Any) -> None:
        """Hold a value against its key; every key is there at all times."""
        wrong = "a miss" if value is None else values.check(key, value, SIZE)
        if wrong is not None:
            self.findings.append(f"{key}: {wrong}")

    def kill_for(self, seconds: float) -> None:
        """Kill a caller every few milliseconds and put another in its place."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for _ in range(self.rng.randint(1, 8)):
                at = self.rng.randrange(CALLERS)
                self.bury(self.callers[at])
                self.callers[at] = gevent.spawn(self.work, at)
            gevent.sleep(self.rng.uniform(0.001, 0.01))

    def bury(self, victim: gevent.Greenlet) -> None:
        self.tally["kills"] += 1
        victim.link(self.autopsy)
        victim.kill(block=False)

    def autopsy(self, victim: gevent.Greenlet) -> None:
        self.tally["died of it"] += isinstance(victim.value, gevent.GreenletExit)
        if not isinstance(victim.value, gevent.GreenletExit):
            self.findings.append(f"a kill ended in {victim.exception or victim.value!r}")

    def problems(self) -> list[str]:
        """Give what was seen that must not be, and provocations that did not come about."""
        tally = self.tally
        found = list(self.findings)
        if out := set(self.errors) - EXPECTED:
            found.append(f"healthy nodes, and yet {sorted(out)}")
        if tally["hanging"] or tally["failed"]:
            found.append(f"{tally['hanging']} callers hang, {tally['failed']} failed")
        if not tally["kills"] == tally["died of it"] > 100:
            found.append(f"{tally['kills']} kills, {tally['died of it']} died of it")
        if not tally["timeouts raised"] == tally["timeouts caught"] > 10:
            found.append("injected Timeouts were swallowed")
        if tally["operations"] < 1_000:
            found.append("too few operations to prove anything")
        return found

    def end(self) -> None:
        """Kill half of the callers in one go, then let the others finish their call.

        A busy hub delivers kills late, and a caller that ends by itself before has not ignored it.
        """
        for victim in self.callers[::2]:
            self.bury(victim)
        gevent.joinall(self.callers[::2], timeout=10.0)
        comes_true(lambda: self.tally["died of it"] == self.tally["kills"], 5.0)
        self.is_over = True
        gevent.joinall(self.callers, timeout=15.0)
        self.tally["hanging"] = sum(not one.dead for one in self.callers)
        self.tally["failed"] = sum(one.exception is not None for one in self.callers)


def test_random_kills_leave_nothing_behind(lab: Lab) -> None:
    """In use 0, sockets as the servers count them, permits back, no wrong value, all gone."""
    assert problems(lab, build, SECONDS) == []


def test_random_kills_catch_a_broken_twin(lab: Lab) -> None:
    """The same run finds what a client leaves behind that reuses connections after a kill."""
    assert problems(lab, twins.reuses_after_kill, TWIN_SECONDS) != []


def problems(lab: Lab, make: Make, seconds: float) -> list[str]:
    """Run a crowd for so long and give what was wrong during the run and after it."""
    lab.fresh(latency_ms=WIRE_MS)
    before = [lab.connections(node) for node in lab.nodes]
    with lab.client(make, **SETTINGS) as cache:
        first = {key: values.make(key, "lab", 1, SIZE) for key in KEYS}
        assert cache.set_many(first | {key: str(start) for key, start in COUNTERS.items()}) == []
        crowd = Crowd(cache, seed=11)
        crowd.kill_for(seconds / 2)
        lab.down(lab.nodes[0])
        crowd.kill_for(min(0.6, seconds / 6))
        lab.up(lab.nodes[0])
        crowd.kill_for(seconds / 2)
        crowd.end()
        is_served = comes_true(lambda: _serves_everywhere(cache), 5.0 if make is build else 0.5)
        comes_true(lambda: _sockets(lab) == _counted(lab, before), 3.0)
        found = [*crowd.problems(), *_left(lab, cache, before)]
        if not is_served:
            found.append("a node is not served by all its permits")
        sys.stdout.write(
            f"\n{make.__name__}: {dict(crowd.tally)}\nerrors {dict(crowd.errors)}\n"
            f"sockets {_sockets(lab)}, servers count {_counted(lab, before)}\n"
            f"problems {len(found)}: {found[:5]}\n"
        )
    comes_true(lambda: not sum(_sockets(lab)), 2.0)
    if sum(_sockets(lab)):
        found.append("sockets are open after the client was closed")
    return found


def _left(lab: Lab, cache: MemcacheClient, before: list[int]) -> list[str]:
    """Hold the client's books against each other and against what the servers count."""
    found = []
    for label, node in cache.snapshot().items():
        pool = node["pool"]
        if (pool["in_use"], pool["waiting"], node["breaker"]) != (0, 0, "closed"):
            found.append(f"{label} at rest is {node['breaker']}, {pool}")
        if not pool["total"] == pool["idle"] <= POOL_SIZE:
            found.append(f"{label} has {pool}")
    held, counted = _sockets(lab), _counted(lab, before)
    if not held == counted == [node["pool"]["total"] for node in cache.snapshot().values()]:
        found.append(f"sockets {held}, servers count {counted}")
    return found


def _serves_everywhere(cache: MemcacheClient) -> bool:
    """Read from every node until each breaker is closed: its permits are all back then."""
    found = cache.get_many(KEYS)
    states = {node["breaker"] for node in cache.snapshot().values()}
    return not found.failed and states == {"closed"}


def _sockets(lab: Lab) -> list[int]:
    return [lab.sockets(node) for node in lab.nodes]


def _counted(lab: Lab, before: list[int]) -> list[int]:
    return [lab.connections(node) - was for node, was in zip(lab.nodes, before, strict=True)]
