"""Breakers that do not come back, come back too hard, or move without a reason."""

from __future__ import annotations

import socket
import time
from collections import Counter
from typing import Any
from unittest import mock

import gevent

from tests.integration.client.bad_states.findings import Seen, attempt, comes_true, crowd, kinds
from tests.integration.client.bad_states.lab import Lab, Make
from tests.integration.client.byte_server import ByteServer, Gate, Verdict

OPEN_S = 0.3
OPEN_MAX_S = 0.45
SLACK_S = 1.0  # of a busy machine, over what the settings promise
LEASE_S = 0.5
PROBES = 2
TRIPS_AFTER = 5
QUICK = {
    "open_s": OPEN_S,
    "open_max_s": OPEN_MAX_S,
    "consecutive_failures": TRIPS_AFTER,
    "half_open_probes": PROBES,
    "probe_lease_s": LEASE_S,
}
EDGES = {("closed", "open"), ("open", "half-open"), ("half-open", "open"), ("half-open", "closed")}


def _kill_off(cache: Any, lab: Lab) -> None:
    """Take the first node down and call until the client has noticed."""
    lab.down(lab.nodes[0])
    for _ in range(3 * TRIPS_AFTER):
        attempt(cache.get, "key")


def _put(lab: Lab) -> None:
    with lab.direct(lab.nodes[0]) as past:
        past.set("key", "there", noreply=False)


def _seconds_until_served(cache: Any, within_s: float) -> tuple[float | None, Counter[str]]:
    """Call every 10 ms until a call succeeds; give when, None for never, and what failed."""
    refused: Counter[str] = Counter()
    started = time.monotonic()
    while time.monotonic() - started < within_s:
        call = attempt(cache.get, "key")
        if call.result == b"there":  # a miss would be no service
            return time.monotonic() - started, refused
        refused[call.kind or "false misses"] += 1
        time.sleep(0.01)
    return None, refused


def stuck_open(lab: Lab, make: Make) -> Seen:
    """Heal a dead node and turn the wall clock back: it must be served within its open time."""
    lab.fresh()
    _put(lab)
    node = lab.nodes[0]
    real_time = time.time

    def _an_hour_ago() -> float:
        return real_time() - 3_600.0

    with lab.client(make, [node], breaker=QUICK) as cache:
        attempt(cache.get, "key")
        _kill_off(cache, lab)
        lab.up(node)
        with mock.patch.object(time, "time", _an_hour_ago):
            healthy = lab.is_healthy(node)
            served, refused = _seconds_until_served(cache, OPEN_MAX_S + SLACK_S)
    what = {"healthy": healthy, "served after s": served, **refused}
    return Seen(bad=int(served is None), provoked=int(healthy), what=what)


def stuck_half_open(lab: Lab, make: Make) -> Seen:
    """Kill every probe on its way; the lease must bring the node back."""
    lab.fresh(latency_ms=60)
    _put(lab)
    node = lab.nodes[0]
    with lab.client(make, [node], breaker=QUICK, op_timeout=LEASE_S / 2) as cache:
        attempt(cache.get, "key")
        _kill_off(cache, lab)
        lab.up(node)
        time.sleep(OPEN_MAX_S)
        probes = [gevent.spawn(attempt, cache.get, "key") for _ in range(PROBES)]
        gevent.sleep(0.03)
        for one in probes:
            one.kill()
        killed = sum(isinstance(one.value, gevent.GreenletExit) for one in probes)
        served, refused = _seconds_until_served(cache, LEASE_S + SLACK_S)
    what = {"probes killed": killed, "served after s": served, **refused}
    return Seen(bad=int(served is None), provoked=killed, what=what)


def probe_stampede(lab: Lab, make: Make) -> Seen:
    """50 callers on a node that is silent: count, on the node, how many ask at once."""
    callers = 50
    now: Counter[str] = Counter()

    def silent(connection: socket.socket) -> None:
        if not connection.recv(100):
            return
        now["in flight"] += 1
        now["most"] = max(now["most"], now["in flight"])
        try:
            while connection.recv(100):
                pass
        finally:
            now["in flight"] -= 1

    server = ByteServer(silent)
    try:
        with lab.client(
            make, [server.address], pool_size=callers, op_timeout=0.2, breaker=QUICK
        ) as cache:
            first = crowd(lambda _: attempt(cache.get, "key"), callers)
            comes_true(lambda: now["in flight"] == 0, 2.0)
            now["most"] = 0
            until = time.monotonic() + 2 * OPEN_MAX_S

            def call(_: int) -> int:
                calls = 0
                while time.monotonic() < until:
                    attempt(cache.get, "key")
                    calls += 1
                    time.sleep(0.005)
                return calls

            calls = sum(crowd(call, callers))
    finally:
        server.stop()
    what = {"most at once": now["most"], "allowed": PROBES, "calls": calls, **kinds(first)}
    return Seen(bad=max(now["most"] - PROBES, 0), provoked=calls, what=what)


class _Edges:
    """A pybreaker listener that writes down every change of state."""

    def __init__(self) -> None:
        self.log: list[tuple[str, str]] = []

    def state_change(self, _: Any, old: Any, new: Any) -> None:
        self.log.append((old.name, new.name))


def phantom_transitions(lab: Lab, make: Make) -> Seen:
    """Let calls of an earlier state fail late, in half-open and in closed: nothing moves.

    The listener's log must be the replay of the outcomes that count, and nothing else.
    """
    lab.fresh()

    def judge(request: bytes) -> Verdict:
        if b"slow" in request:
            return Verdict.HOLD
        return Verdict.HANG_UP if b"bad" in request else Verdict.PASS

    edges = _Edges()
    replay: list[tuple[str, str]] = []
    refused: list[Any] = []
    stale = 0
    gate = Gate(lab.nodes[0].direct, judge, 0.002)
    settings = {**QUICK, "open_s": 0.1, "open_max_s": 0.1, "minimum_calls": 1_000}
    try:
        with lab.client(
            make, [gate.address], pool_size=40, op_timeout=8.0, breaker=settings
        ) as cache:
            if hasattr(cache, "add_listener"):
                cache.add_listener(edges)
            for good_before in (1, PROBES, 1, PROBES):  # half-open, then closed
                late = [gevent.spawn(attempt, cache.get, f"slow{me}") for me in range(10)]
                comes_true(lambda: gate.held == 10, 0.5)
                for _ in range(TRIPS_AFTER):
                    attempt(cache.get, "bad")
                time.sleep(0.12)
                good = [attempt(cache.get, "good") for _ in range(good_before)]
                gate.let_go()
                gevent.joinall(late, timeout=5.0)
                stale += sum(one.value.error is not None for one in late)
                good += [attempt(cache.get, "good") for _ in range(PROBES)]
                refused += [call for call in good if call.error is not None]
                replay += [("closed", "open"), ("open", "half-open"), ("half-open", "closed")]
            counted = _transitions(cache)
    finally:
        gate.stop()
    if not hasattr(cache, "add_listener"):
        return Seen(bad=0, provoked=stale, what={"breaker": "none", "failed later": len(refused)})
    illegal = sum(edge not in EDGES for edge in edges.log)
    broken = sum(old[1] != new[0] for old, new in zip(edges.log, edges.log[1:], strict=False))
    phantom = abs(len(edges.log) - len(replay)) or int(edges.log != replay)
    miscounted = abs(counted - len(edges.log))
    what = {
        "transitions": len(edges.log), "replayed": len(replay), "illegal": illegal,
        "gaps": broken, "refused after": len(refused), "miscounted": miscounted,
    }  # fmt: skip
    bad = illegal + broken + phantom + miscounted + len(refused)
    return Seen(bad=bad, provoked=stale, what=what)


def _transitions(cache: Any) -> int:
    if not hasattr(cache, "snapshot"):
        return 0
    return sum(sum(node["transitions"].values()) for node in cache.snapshot().values())
