"""The load process of P4: paced users on three nodes, one of which stops answering for a while.

Run as `python -m gevent.monkey --module bench.outage_load`, with its task in the environment.
Whichever user is idle takes the next slot, as in a run of the harness. It writes down every call
and the moments of the fault, and judges nothing. Then it hammers a server that never answers,
whose own counting is the result.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import gevent

from bench.nodes import Address, from_option
from bench.steady import VALUE, WARM_UP_S
from client import BreakerOpen, MemcacheClient, MemcacheClientError
from cluster.toxiproxy import Toxiproxy

RATE = 1_000.0  # gets a second of all users: far from what the machine can do
KEYS = [f"outage:{number}" for number in range(300)]
OVERDUE_S = 0.05  # slots later than this are given up: a backlog would pass for throughput
HEALED_S = 4.0  # how long the load goes on after the heal; the goal is 2 s
REJECTED_PAUSE_S = 0.001  # between calls that the breaker refused
TOXIC = "memquake-bench"


class Load:
    """Users that get keys at an even rate, and what became of each get."""

    def __init__(self, client: MemcacheClient) -> None:
        self.client = client
        self.calls: list[tuple[float, float, int, bool]] = []  # started, ended, node, is a hit
        self.stopping = False
        self._started = time.monotonic()
        self._slot = 0
        labels = list(client.snapshot())
        self._places = [labels.index(client.node_for(key)) for key in KEYS]

    def user(self) -> None:
        """Take slot after slot."""
        while not self.stopping:
            now = time.monotonic()
            oldest = int((now - OVERDUE_S - self._started) * RATE)
            slot = self._slot = max(self._slot + 1, oldest)
            gevent.sleep(max(0.0, self._started + slot / RATE - now))
            self._get(slot % len(KEYS))

    def _get(self, number: int) -> None:
        started = time.monotonic()
        try:
            is_hit = self.client.get(KEYS[number]) == VALUE
        except MemcacheClientError:
            is_hit = False
        self.calls.append((started, time.monotonic(), self._places[number], is_hit))


def outage(nodes: list[Address], users: int, seconds: float) -> dict[str, Any]:
    """Load, make the first node a black hole for `seconds`, heal it, and load on."""
    api = Toxiproxy(os.environ["BENCH_TOXIPROXY"])
    proxy = os.environ["BENCH_PROXY"]
    client = MemcacheClient(nodes)
    client.set_many(dict.fromkeys(KEYS, VALUE))
    load = Load(client)
    greenlets = [gevent.spawn(load.user) for _ in range(users)]
    gevent.sleep(WARM_UP_S)
    begun = time.monotonic()
    gevent.sleep(seconds)
    injecting = time.monotonic()
    api.add_toxic(proxy, TOXIC, "timeout", {"timeout": 0}, "downstream")
    if api.proxy(proxy).known_toxic(TOXIC) is None:
        raise SystemExit("Toxiproxy did not take the fault")
    injected = time.monotonic()
    gevent.sleep(seconds)
    healing = time.monotonic()
    api.remove_toxic(proxy, TOXIC)
    healed = time.monotonic()
    gevent.sleep(HEALED_S)
    ended = time.monotonic()
    load.stopping = True
    gevent.joinall(greenlets, timeout=client.settings.op_timeout * 2)
    api.close()
    client.close()
    return {
        "moments": {
            "begun": begun,
            "injecting": injecting,
            "injected": injected,
            "healing": healing,
            "healed": healed,
            "ended": ended,
        },
        "calls": load.calls,
        "op_timeout_s": client.settings.op_timeout,
        "probes": client.settings.breaker.half_open_probes,
    }


class Opened:
    """A breaker listener that remembers when the breaker first opened."""

    at: float | None = None

    def state_change(self, _: Any, __: Any, new: Any) -> None:
        """Note the first opening."""
        if new.name == "open" and self.at is None:
            self.at = time.monotonic()


def hammer(address: Address, users: int, seconds: float) -> float | None:
    """Call a server that never answers without a pause; give when the breaker first opened."""
    client = MemcacheClient([address])
    opened = Opened()
    client.add_listener(opened)
    until = time.monotonic() + seconds

    def user() -> None:
        while time.monotonic() < until:
            try:
                client.get("k")
            except BreakerOpen:
                gevent.sleep(REJECTED_PAUSE_S)
            except MemcacheClientError:
                continue

    gevent.joinall([gevent.spawn(user) for _ in range(users)], raise_error=True)
    client.close()
    return opened.at


def main() -> None:
    """Measure one after the other and write it down."""
    *nodes, silent = from_option(os.environ["BENCH_NODES"])
    users, seconds = int(os.environ["BENCH_USERS"]), float(os.environ["BENCH_SECONDS"])
    found = outage(nodes, users, seconds)
    found["opened"] = hammer(silent, users, seconds)
    Path(os.environ["BENCH_RESULT"]).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
