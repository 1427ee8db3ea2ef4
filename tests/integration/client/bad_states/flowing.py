"""Work that is done one by one, too slowly, too often, or while nobody else may run."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any

import gevent
from gevent import monkey

from tests.integration.client.bad_states.findings import Seen, attempt, crowd, kinds
from tests.integration.client.bad_states.lab import Lab, Make
from tests.integration.client.bad_states.names import name_server
from tests.integration.client.byte_server import ByteServer

native_sleep = monkey.get_original("time", "sleep")
native_start = monkey.get_original("_thread", "start_new_thread")

TICK_S = 0.01
OVERDUE_S = 0.1
BLOCKED_FOR_S = 0.2  # a scheduler's hiccup is shorter, what the detector provokes is longer


def serialisation(lab: Lab, make: Make) -> Seen:
    """Many callers at 20 ms round trip: they must overlap. One round trip each, all at once.

    One by one the calls would take callers x round trips; counted as bad are the calls' worth of
    time beyond a third of that.
    """
    callers, rounds, wire_s = 30, 2, 0.02
    lab.fresh(latency_ms=round(wire_s * 1000))
    with lab.client(make, pool_size=callers, op_timeout=5.0) as cache:
        crowd(lambda me: attempt(cache.get, f"key{me}"), callers)  # connects

        def call(me: int) -> int:
            return sum(attempt(cache.get, f"key{me}").error is not None for _ in range(rounds))

        started = time.monotonic()
        failed = sum(crowd(call, callers))
        took = time.monotonic() - started
    alone = callers * rounds * wire_s
    overlap = alone / took
    late = round(max(took - alone / 3, 0.0) / wire_s)
    what = {"calls at once": overlap, "took s": took, "one by one s": alone, "failed": failed}
    return Seen(bad=late + failed, provoked=callers * rounds, what=what)


def serial_batches(lab: Lab, make: Make) -> Seen:
    """Batch over three nodes at 40 ms round trip: it takes one round trip, not three."""
    wire_s, keys = 0.04, [f"key{index}" for index in range(24)]
    lab.fresh(latency_ms=round(wire_s * 1000))
    with lab.client(make, pool_size=len(keys), op_timeout=5.0) as cache:
        crowd(lambda me: attempt(cache.set, keys[me], b"v"), len(keys))
        calls = [attempt(cache.get_many, keys) for _ in range(6)]
    missing = sum(call.error is not None or len(call.result) != len(keys) for call in calls)
    # The quickest of some: noise makes a batch slower, never quicker.
    round_trips = min(call.took_s for call in calls) / wire_s
    what = {"round trips a batch": round_trips, "not whole": missing, **kinds(calls)}
    return Seen(bad=missing + max(round(round_trips) - 1, 0), provoked=len(calls), what=what)


def reconnect_storm(lab: Lab, make: Make) -> Seen:
    """50 callers while a node hangs up on everybody, then comes back: count connections.

    Allowed are one for each caller at first, then what a breaker's probes need: 10 a second.
    After the fault, a pool's worth and as many again.
    """
    callers, slots, fault_s = 50, 10, 1.0
    lab.fresh()
    server = ByteServer(lambda connection: connection.recv(1) and None)
    try:
        with lab.client(make, [server.address], pool_size=slots) as cache:
            attempts = _call_for(cache, callers, fault_s)
        knocks = len(server.accepted)
    finally:
        server.stop()
    node = lab.nodes[0]
    before = lab.connections_ever(node)
    with lab.client(make, [node], pool_size=slots, op_timeout=2.0) as cache:
        _call_for(cache, callers, 0.2)
        lab.down(node)
        lab.up(node)
        _call_for(cache, callers, 0.3)
        taken = lab.connections_ever(node) - before - 1
    too_many = max(knocks - callers - round(10 * fault_s), 0) + max(taken - 4 * slots, 0)
    what = {"calls": attempts, "connects a second": knocks / fault_s, "after the fault": taken}
    return Seen(bad=too_many, provoked=attempts, what=what)


def _call_for(cache: Any, callers: int, seconds: float) -> int:
    until = time.monotonic() + seconds

    def call(me: int) -> int:
        calls = 0
        while time.monotonic() < until:
            attempt(cache.get, f"key{me}")
            calls += 1
            time.sleep(0.002)
        return calls

    return sum(crowd(call, callers))


def slow_drip(lab: Lab, make: Make) -> Seen:
    """Let replies come a byte at a time, or slowly: no call may outlast its deadline."""
    op_timeout, slack_s, guard_s = 0.2, 0.25, 0.6
    lab.fresh()
    node = lab.nodes[0]
    with lab.direct(node) as past:
        past.set("short", b"x" * 40, noreply=False)
        past.set("long", b"x" * 40_000, noreply=False)
    took: list[float] = []

    def measure(cache: Any, key: str, batch: bool) -> None:
        started = time.monotonic()
        with gevent.Timeout(guard_s, False):  # a client without a deadline is not waited for
            attempt(cache.get_many, [key]) if batch else attempt(cache.get, key)
        took.append(time.monotonic() - started)

    drips: list[tuple[str, str, dict[str, int]]] = [
        ("short", "slicer", {"average_size": 1, "size_variation": 0, "delay": 10_000}),
        ("long", "bandwidth", {"rate": 20}),
    ]
    for key, kind, attributes in drips:
        with lab.client(make, [node], op_timeout=op_timeout) as cache:
            attempt(cache.get, "warm")
            lab.harm(node, kind, **attributes)
            crowd(lambda me: measure(cache, key, me % 2 == 1), 4)  # noqa: B023 - ends in here
        time.sleep(0.5)  # a slicer that is taken away in mid-slice stops the whole Toxiproxy
        lab.heal(node)
    over = sum(one > op_timeout + slack_s for one in took)
    what = {"longest s": max(took), "deadline s": op_timeout}
    return Seen(bad=over, provoked=sum(one > op_timeout / 2 for one in took), what=what)


class _Ticker:
    """A greenlet that ticks every 10 ms, and a thread of the system that sees when it does not.

    The thread counts only what it saw while it ran on time itself, so a process that got no
    processor is not taken for one that blocks.
    """

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._is_over = False
        self.ticks = 0
        self.blocked_s = 0.0
        self._greenlet = gevent.spawn(self._tick)
        native_start(self._watch, ())

    def _tick(self) -> None:
        while True:
            self._last = time.monotonic()
            self.ticks += 1
            gevent.sleep(TICK_S)

    def _watch(self) -> None:
        while not self._is_over:
            before = time.monotonic()
            native_sleep(TICK_S)
            now = time.monotonic()
            if now - before < 3 * TICK_S and now - self._last > OVERDUE_S:
                self.blocked_s += now - before

    def stop(self) -> None:
        self._is_over = True
        self._greenlet.kill()


def hub_blocked(lab: Lab, make: Make) -> Seen:
    """Call by a slow name server and into a black hole: everybody else must go on."""
    lab.fresh()
    done = threading.Event()
    server = ByteServer(lambda connection: done.wait(5.0) and None)
    with name_server(slow=lab.nodes[0].address, hole=server.address) as names:
        names.delay_s = 0.25
        ticker = _Ticker()
        counted: Counter[str] = Counter()
        try:
            for name in ("slow.test", "hole.test"):
                port = lab.nodes[0].address[1]
                with lab.client(
                    make, [(name, port)], op_timeout=0.25, connect_timeout=0.15
                ) as cache:
                    calls = crowd(lambda me: attempt(cache.get, f"key{me}"), 3)
                    calls.append(attempt(cache.get_many, ["a", "b"]))
                    time.sleep(0.2)  # the look-up has ended
                    calls += crowd(lambda me: attempt(cache.get, f"key{me}"), 3)
                    counted.update(kinds(calls))
        finally:
            ticker.stop()
            done.set()
            server.stop()
    blocked = ticker.blocked_s if ticker.blocked_s >= BLOCKED_FOR_S else 0.0
    what = {"blocked s": ticker.blocked_s, "ticks": ticker.ticks, **counted}
    return Seen(bad=round(blocked / TICK_S), provoked=names.asked, what=what)
