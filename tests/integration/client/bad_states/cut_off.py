"""Callers that are killed or time out in the middle: what they leave behind.

Every reply needs some milliseconds, and every caller here is cut off before it. What the next
caller is then given, or refused, is the finding.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from functools import partial
from typing import Any

import gevent

from tests.integration.client.bad_states.findings import (
    Call,
    Seen,
    attempt,
    comes_true,
    crowd,
    is_cut_off,
    kinds,
)
from tests.integration.client.bad_states.lab import Lab, Make
from users import values

KEYS = [f"key{index}" for index in range(24)]
COUNTERS = {f"counter{index}": index * 1_000_000 for index in range(1, 9)}
SIZE = 100
BIG = bytes(8_000_000)  # more than the buffers between a client and a node that reads nothing


def desync(lab: Lab, make: Make) -> Seen:
    """Cut callers off in mid-read; hold what the next ones get against key and counter."""
    lab.fresh(latency_ms=5)
    node = lab.nodes[0]
    with lab.direct(node) as past:
        for key in KEYS:
            past.set(key, values.make(key, "lab", 1, SIZE), noreply=False)
        for key, start in COUNTERS.items():
            past.set(key, str(start), noreply=False)
    cut = 0
    tally: Counter[str] = Counter()
    names = itertools.cycle(KEYS)
    counters = itertools.cycle(COUNTERS)
    with lab.client(make, [node], pool_size=128, op_timeout=5.0) as cache:
        _judge(cache, next(names), next(counters), tally)
        for turn in range(45):
            aborted = (
                partial(cache.get, next(names)),
                partial(cache.incr, next(counters), 1),
                partial(cache.get_many, [next(names), next(names)]),
            )[turn % 3]
            cut += is_cut_off(aborted, 0.002)
            _judge(cache, next(names), next(counters), tally)
    bad = tally["wrong value"] + tally["wrong counter"] + tally["error"]
    return Seen(bad=bad, provoked=cut, what=dict(tally))


def _judge(cache: Any, name: str, counter: str, tally: Counter[str]) -> None:
    """Read a counter and a value; an error on a healthy node means out of step as well."""
    counted = attempt(cache.incr, counter, 1)
    read = attempt(cache.get, name)
    tally["error"] += (counted.error is not None) + (read.error is not None)
    if counted.error is None:
        start = COUNTERS[counter]
        tally["wrong counter"] += (counted.result or 0) not in range(start, start + 1_000)
    if read.error is None:
        wrong = read.result is None or values.check(name, read.result, SIZE) is not None
        tally["wrong value"] += wrong
    tally["right"] += counted.error is None and read.error is None


def half_written_set(lab: Lab, make: Make, slots: int = 3) -> Seen:
    """Cut callers off in mid-send; hold every write acknowledged later against a direct read."""
    lab.fresh()
    node = lab.nodes[0]
    ledger: dict[str, bytes] = {}
    calls: list[Call] = []
    with lab.client(make, [node], pool_size=64, op_timeout=0.5) as cache:
        crowd(lambda me: cache.set(f"warm{me}", b"v"), slots)
        lab.harm(node, "bandwidth", "upstream", rate=1)
        cut = sum(crowd(lambda me: is_cut_off(lambda: cache.set(f"big{me}", BIG), 0.2), slots))
        lab.heal(node)

        def write(me: int) -> None:
            for index in range(120 // slots):
                key = f"key{me}-{index}"
                value = values.make(key, str(me), index, SIZE)
                call = attempt(cache.set, key, value)
                calls.append(call)
                if call.error is None and call.result:
                    ledger[key] = value

        crowd(write, slots)
        comes_true(lambda: False, 0.1)  # writes without an answer need a moment to arrive
        with lab.direct(node) as past:
            lost = sum(past.get(key) != value for key, value in ledger.items())
    failed = sum(call.error is not None or not call.result for call in calls)
    what = {"acknowledged": len(ledger), "lost": lost, "failed": failed, **kinds(calls)}
    return Seen(bad=lost + failed, provoked=cut, what=what)


def slot_leak(lab: Lab, make: Make) -> Seen:
    """Kill callers that wait, connect, read; then count slots and sockets that are missing."""
    lab.fresh(latency_ms=5)
    node, slots = lab.nodes[0], 4
    before = lab.connections(node)
    rng = random.Random(4)
    killed = 0
    with lab.client(make, [node], pool_size=slots, op_timeout=1.0) as cache:
        for _ in range(10):
            operations = (
                partial(cache.get, "key"),
                partial(cache.incr, "key", 1),
                partial(cache.get_many, KEYS),
                partial(cache.set, "key", b"v"),
            )
            callers = [gevent.spawn(attempt, operations[me % 4]) for me in range(12)]
            gevent.sleep(rng.uniform(0, 0.02))  # from the connect to the second reply
            for one in callers:
                killed += not one.ready()
                one.kill(block=False)
            gevent.joinall(callers, timeout=5.0)
        later = crowd(lambda _: attempt(cache.get, "key"), slots)
        refused = sum(call.error is not None for call in later)
        in_use = _in_use(cache)
        comes_true(lambda: lab.sockets(node) == lab.connections(node) - before, 2.0)
        held, counted = lab.sockets(node), lab.connections(node) - before
    bad = refused + in_use + abs(held - counted) + max(held - slots, 0)
    what = {"in use": in_use, "sockets": held, "server counts": counted, "refused": refused}
    return Seen(bad=bad, provoked=killed, what={**what, **kinds(later)})


def _in_use(cache: Any) -> int:
    """Count connections in use where the client says; 0 where it has no books."""
    if not hasattr(cache, "snapshot"):
        return 0
    return sum(node["pool"]["in_use"] for node in cache.snapshot().values())


def swallowed_timeout(lab: Lab, make: Make) -> Seen:
    """Callers' own Timeouts and kills while a node dies: each raised must come out as it was."""
    lab.fresh()
    node = lab.nodes[0]
    raised = caught = 0
    rng = random.Random(5)

    with lab.client(make, [node], pool_size=40, op_timeout=0.3) as cache:

        def call(me: int) -> None:
            nonlocal raised, caught
            for _ in range(4):
                mine = gevent.Timeout(rng.uniform(0.001, 0.4))
                mine.start()
                try:
                    attempt(cache.get, f"key{me}")
                    gevent.sleep(0.001)
                except gevent.Timeout as error:
                    caught += error is mine
                finally:
                    raised += not mine.pending
                    mine.close()

        lab.harm(node, "timeout", timeout=0)
        victims = [gevent.spawn(attempt, cache.get, f"key{me}") for me in range(20)]
        gevent.sleep(0.05)
        for one in victims:
            one.kill(block=False)
        crowd(call, 30)
        gevent.joinall(victims, timeout=2.0)
        died = sum(isinstance(one.value, gevent.GreenletExit) for one in victims)
    bad = (raised - caught) + (len(victims) - died)
    what = {"Timeouts raised": raised, "caught": caught, "killed": len(victims), "died of it": died}
    return Seen(bad=bad, provoked=raised + len(victims), what=what)
