"""A load process of P2: greenlets that get 24 keys at a time over one client that they share.

Run as `python -m gevent.monkey --module bench.batch_load`, with its task in the environment. Which
keys make a batch is drawn beforehand: drawing is no client's cost.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import gevent
from pymemcache.client.hash import HashClient

from bench.nodes import Address, from_option
from bench.steady import measure
from client import MemcacheClient
from users.values import check, make

BATCH_KEYS = 24
SHARED_KEYS = 2_000
BATCHES = 500
SIZE = 100
SEED = 1
KEYS = [f"batch:{number}" for number in range(SHARED_KEYS)]


class Count:
    """The keys that all greenlets have read."""

    keys = 0


def make_client(name: str, nodes: Sequence[Address]) -> Any:
    """Give the client that a contender's name stands for."""
    if name == "memquake":
        return MemcacheClient(nodes)
    return HashClient(list(nodes), use_pooling=True, default_noreply=False)


def fill(client: Any) -> None:
    """Store every key, each with a value that proves it."""
    failed = client.set_many({key: make(key, "bench", 1, SIZE) for key in KEYS})
    if failed:
        raise RuntimeError(f"{len(failed)} keys were not stored")


def drawn() -> list[list[str]]:
    """Draw batches of distinct keys, the same in every run."""
    rng = random.Random(SEED)
    return [rng.sample(KEYS, BATCH_KEYS) for _ in range(BATCHES)]


def load(
    get_many: Callable[[list[str]], Any], batches: list[list[str]], count: Count, *, verified: bool
) -> None:
    """Get batches for ever; every key must be there, and right if that is looked at."""
    for keys in cycle(batches):
        found = get_many(keys)
        if len(found) != BATCH_KEYS:
            raise RuntimeError(f"{BATCH_KEYS - len(found)} keys of a batch are missing")
        if verified:
            for key, value in found.items():
                if check(key, value, SIZE) is not None:
                    raise RuntimeError(f"a wrong value for {key}")
        count.keys += BATCH_KEYS


def main() -> None:
    """Load with as many greenlets as there are users and measure keys."""
    client = make_client(os.environ["BENCH_CLIENT"], from_option(os.environ["BENCH_NODES"]))
    verified = os.environ["BENCH_VERIFIED"] == "yes"
    fill(client)
    count = Count()
    users = int(os.environ["BENCH_USERS"])
    batches = drawn()
    greenlets = [
        gevent.spawn(load, client.get_many, batches[at:] + batches[:at], count, verified=verified)
        for at in range(users)
    ]
    seconds = float(os.environ["BENCH_SECONDS"])
    measure(lambda: count.keys, gevent.sleep, seconds, Path(os.environ["BENCH_RESULT"]))
    failed = [greenlet for greenlet in greenlets if greenlet.exception]
    gevent.killall(greenlets)
    if failed:
        raise SystemExit(f"a batch failed: {failed[0].exception}")


if __name__ == "__main__":
    main()
