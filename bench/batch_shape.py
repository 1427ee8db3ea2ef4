"""The second load process of P2: how long one batch takes when the network or a node is slow.

Run as `python -m gevent.monkey --module bench.batch_shape`, with its task in the environment. Three
things in a row, all through Toxiproxy: every node 100 ms away; one node a black hole with its
breaker closed; the same with its breaker open. It writes down times and which keys came, and judges
nothing.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.batch_load import BATCH_KEYS, KEYS, fill, make_client
from bench.nodes import from_option
from client import MemcacheClient
from cluster.toxiproxy import Toxiproxy

LATENCY_MS = 100
TIMES = 5
WARM_UP = 20
FIRST_BATCHES = 20  # enough failures for any breaker, each at most a deadline long
OPEN_BATCHES = 20
TOXIC = "memquake-bench"


def timed(call: Callable[[], Any]) -> float:
    """Give the seconds a call takes."""
    started = time.monotonic()
    call()
    return time.monotonic() - started


def spread_keys(client: MemcacheClient) -> list[str]:
    """Give the keys of a batch that touches every node evenly."""
    by_node: dict[str, list[str]] = {}
    for key in KEYS:
        by_node.setdefault(client.node_for(key), []).append(key)
    share = BATCH_KEYS // len(by_node)
    return [key for keys in by_node.values() for key in keys[:share]]


def far(client: Any, keys: list[str]) -> dict[str, list[float]]:
    """Time single gets and batches in turn; every node is far."""
    singles, batches = [], []
    for number in range(TIMES):
        singles.append(timed(lambda key=keys[number]: client.get(key)))  # type: ignore[misc]
        batches.append(timed(lambda: client.get_many(keys)))
    return {"single_s": singles, "batch_s": batches}


def one_batch(client: MemcacheClient, keys: list[str], dead: str) -> dict[str, Any]:
    """Get a batch one of whose nodes is dead: its time, and whether the right keys came."""
    lost = [key for key in keys if client.node_for(key) == dead]
    before = client.snapshot()[dead]["breaker"]
    started = time.monotonic()
    found = client.get_many(keys)
    took = time.monotonic() - started
    return {
        "took_s": took,
        "open": before == client.snapshot()[dead]["breaker"] == "open",
        "complete": sorted(found) == sorted(set(keys) - set(lost)),
        "failed_right": sorted(found.failed) == sorted(lost),
    }


def hole(client: MemcacheClient, keys: list[str], dead: str) -> list[dict[str, Any]]:
    """Get batches from the first after the injection on, until enough met an open breaker."""
    batches = []
    for _ in range(FIRST_BATCHES):
        batches.append(one_batch(client, keys, dead))
        if client.snapshot()[dead]["breaker"] == "open":
            break
    return batches + [one_batch(client, keys, dead) for _ in range(OPEN_BATCHES)]


def main() -> None:
    """Measure one thing after the other and write it down."""
    nodes = from_option(os.environ["BENCH_NODES"])
    proxies = os.environ["BENCH_PROXIES"].split(",")
    api = Toxiproxy(os.environ["BENCH_TOXIPROXY"])
    ours = MemcacheClient(nodes)
    peer = make_client("HashClient", nodes)
    fill(ours)
    keys = spread_keys(ours)
    peer.set_many({key: ours.get(key) for key in keys})  # it places keys elsewhere
    near = [timed(lambda: ours.get_many(keys)) for _ in range(WARM_UP)]
    for proxy in proxies:
        api.add_toxic(proxy, TOXIC, "latency", {"latency": LATENCY_MS}, "downstream")
    found: dict[str, Any] = {"near_s": near, "far": far(ours, keys), "far_peer": far(peer, keys)}
    for proxy in proxies:
        api.remove_toxic(proxy, TOXIC)
    found["op_timeout_s"] = ours.settings.op_timeout
    api.add_toxic(proxies[0], TOXIC, "timeout", {"timeout": 0}, "downstream")
    host, port = nodes[0]
    found["hole"] = hole(ours, keys, f"{host}:{port}")
    api.remove_toxic(proxies[0], TOXIC)
    api.close()
    Path(os.environ["BENCH_RESULT"]).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
