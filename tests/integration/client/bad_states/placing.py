"""Keys, names and connections that point to the wrong place, and failures called misses."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from cluster.node import Node
from tests.integration.client.bad_states.findings import (
    Call,
    Seen,
    attempt,
    comes_true,
    crowd,
    kinds,
)
from tests.integration.client.bad_states.lab import Lab, Make
from tests.integration.client.bad_states.names import name_server

KEYS = [f"key{index}" for index in range(60)]
BREAKER = {"open_s": 0.2, "open_max_s": 0.3, "consecutive_failures": 3}
KEEP_S = 0.3  # how long a client told so keeps the address of a name
FOLLOWED_WITHIN_S = KEEP_S + BREAKER["open_max_s"] + 1.0
TOO_LARGE = bytes(2_000_000)  # twice the item limit


def stale_connections(lab: Lab, make: Make) -> Seen:
    """Restart a node, and close everybody's idle connections: no call may fail afterwards."""
    lab.fresh()
    node, slots = lab.nodes[0], 8
    calls: list[Call] = []
    closed = 0
    with lab.client(make, [node], pool_size=slots, op_timeout=0.3) as cache:
        for harm in (_restart, _close_all):
            crowd(lambda _: attempt(cache.get, "key"), slots)
            closed += lab.sockets(node)
            harm(lab, node)
            calls += [attempt(cache.get, "key") for _ in range(10)]
    failed = sum(call.error is not None for call in calls)
    what = {"calls": len(calls), "failed after recovery": failed, **kinds(calls)}
    return Seen(bad=failed, provoked=closed, what=what)


def _restart(lab: Lab, node: Node) -> None:
    lab.restart(node)


def _close_all(lab: Lab, node: Node) -> None:
    lab.down(node)
    lab.up(node)
    time.sleep(0.05)  # the ends of the streams arrive


def stale_dns(lab: Lab, make: Make) -> Seen:
    """Change a name's record while its old peer dies: the new peer must answer in time."""
    lab.fresh()
    old, new = lab.nodes[0], lab.nodes[1]
    _say_who(lab, (old, new))
    with (
        name_server(cache=old.address) as names,
        lab.client(
            make, [("cache.test", old.address[1])], breaker=BREAKER, dns_keep_s=KEEP_S
        ) as cache,
    ):
        first = attempt(cache.get, "who").result
        names.records["cache.test"] = [new.address]
        lab.down(old)
        after = _seconds_until(cache, b"node2", FOLLOWED_WITHIN_S)
    what = {"at first": first, "followed after s": after, "looked up": names.asked}
    return Seen(bad=int(after is None), provoked=int(first == b"node1"), what=what)


def moved_name(lab: Lab, make: Make) -> Seen:
    """Change a name's record while its old peer lives on: the client must move all the same."""
    lab.fresh()
    old, new = lab.nodes[0], lab.nodes[1]
    _say_who(lab, (old, new))
    where = [("cache.test", old.address[1])]
    settings = {"dns_keep_s": KEEP_S, "maintenance_s": 0.2}
    with name_server(cache=old.address) as names, lab.client(make, where, **settings) as cache:
        first = attempt(cache.get, "who").result
        names.records["cache.test"] = [new.address]
        after = _seconds_until(cache, b"node2", FOLLOWED_WITHIN_S)
    what = {"at first": first, "followed after s": after, "looked up": names.asked}
    return Seen(bad=int(after is None), provoked=int(first == b"node1"), what=what)


def _say_who(lab: Lab, nodes: Sequence[Any]) -> None:
    for node in nodes:
        with lab.direct(node) as past:
            past.set("who", node.name, noreply=False)


def _seconds_until(cache: Any, answer: bytes, within_s: float) -> float | None:
    started = time.monotonic()
    while time.monotonic() - started < within_s:
        if attempt(cache.get, "who").result == answer:
            return time.monotonic() - started
        time.sleep(0.02)
    return None


def stale_ring(lab: Lab, make: Make) -> Seen:
    """Let a node die, write meanwhile, let it come back: nobody may read what was before.

    The golden table is where each key lived at first, found by direct reads.
    """
    lab.fresh()
    dead = lab.nodes[0]
    acknowledged: dict[str, bytes] = {}
    with lab.client(make, op_timeout=0.5, breaker=BREAKER) as cache:
        for key in KEYS:
            if attempt(cache.set, key, b"1").error is None:
                acknowledged[key] = b"1"
        golden = _where(lab)
        lab.down(dead)
        for key in KEYS * 2:  # twice, so that a client that drops dead nodes has done so
            if attempt(cache.set, key, b"2").result:
                acknowledged[key] = b"2"
        lab.up(dead)
        comes_true(lambda: attempt(cache.get, _key_on(golden, dead.name)).error is None, 2.5)
        time.sleep(0.6)
        stale = strayed = 0
        for key in KEYS:
            read = attempt(cache.get, key)
            stale += read.error is None and read.result != acknowledged[key]
            attempt(cache.set, key, b"3")
        strayed = sum(homes != golden[key] for key, homes in _where(lab, b"3").items())
    moved = sum(golden[key] == {dead.name} for key in KEYS)
    what = {"old values after revival": stale, "strayed keys": strayed, "on the dead node": moved}
    return Seen(bad=stale + strayed, provoked=moved, what=what)


def _where(lab: Lab, value: bytes | None = None) -> dict[str, set[str]]:
    """Ask every node directly which keys it has, with this value where one is given."""
    homes: dict[str, set[str]] = {key: set() for key in KEYS}
    for node in lab.nodes:
        with lab.direct(node) as past:
            for key, found in past.get_many(KEYS).items():
                if value in (None, found):
                    homes[key].add(node.name)
    return homes


def _key_on(homes: dict[str, set[str]], node: str) -> str:
    return next(key for key, where in homes.items() if node in where)


def masked_failure(lab: Lab, make: Make) -> Seen:
    """Ask a dead node for keys that are known to be there, and write what cannot be stored."""
    lab.fresh()
    dead = lab.nodes[0]
    misses = batch_misses = calls = 0
    with lab.client(make, op_timeout=0.3, breaker=BREAKER) as cache:
        for key in KEYS:
            attempt(cache.set, key, b"1")
        homes = _where(lab)
        there = [key for key in KEYS if homes[key] == {dead.name}]
        write = attempt(cache.set, "too-large", TOO_LARGE)
        pretended = int(bool(write.error is None and write.result))
        lab.down(dead)
        for key in there:
            read = attempt(cache.get, key)
            misses += read.error is None and read.result is None
        batch = attempt(cache.get_many, there)
        if batch.error is None:
            told = set(batch.result) | set(getattr(batch.result, "failed", ()))
            batch_misses = len(set(there) - told)
        calls = len(there)
    what = {
        "false misses": misses, "in batches": batch_misses, "false stores": pretended,
        "asked": calls, **kinds([write]),
    }  # fmt: skip
    return Seen(bad=misses + batch_misses + pretended, provoked=calls, what=what)
