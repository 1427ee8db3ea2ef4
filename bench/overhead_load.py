"""The load process of P3: the same get with and without pool and breaker, in one event loop.

Run as `python -m gevent.monkey --module bench.overhead_load`, with its task in the environment.
Blocks of gets take turns, so whatever the machine does meets all kinds alike:
  raw     a gevent socket that sends `get` and reads the answer
  bare    a connection of ours that one greenlet keeps: deadline, opaque, reply read and checked
  node    the same through a node: its breaker's permit, its pool, its counts
  client  the same through the client: the key's way to its node
It writes down what each block cost and judges nothing.
"""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import gevent
from gevent import socket
from pymemcache.client.base import Client

from bench.figures import order
from bench.nodes import Address, from_option
from bench.steady import VALUE
from client import ClientSettings, MemcacheClient
from client.breaker import Breaker
from client.node import Node

KEYS = [f"overhead:{number}" for number in range(100)]
BLOCK_GETS = 20  # of each greenlet; a block of all greenlets takes some 25 ms
BLOCK_S = 0.1  # where throughput counts: twenty round trips, too short for the machine to change
LIMIT_S = 5.0

Get = Callable[[str], Any]


def bare_get(connection: Any, clock: Callable[[], float], timeout_s: float) -> Get:
    """Give a get over one connection that belongs to the caller alone."""

    def get(key: str) -> bytes:
        deadline = clock() + timeout_s
        connection.serial = serial = connection.serial + 1
        opaque = b" O%d\r\n" % serial
        data: bytes = connection.ask(b"mg %b v%b" % (key.encode(), opaque), deadline)
        head = data.find(opaque)
        start = head + len(opaque)
        if data[:3] != b"VA " or int(data[3:head]) + start + 2 != len(data):
            raise RuntimeError(f"no hit: {data[:40]!r}")
        return data[start:-2]

    return get


def raw_get(address: Address) -> Get:
    """Give a get over a socket of its own that does nothing else."""
    connection = socket.create_connection(address, timeout=LIMIT_S)
    connection.settimeout(None)

    def get(key: str) -> bytes:
        connection.sendall(b"get %b\r\n" % key.encode())
        answer: bytes = connection.recv(4096)
        while not answer.endswith(b"END\r\n"):
            answer += connection.recv(4096)
        return answer

    return get


def make_node(address: Address, settings: ClientSettings) -> Node:
    """Give a node with a breaker of its own."""
    return Node(address, settings, Breaker(settings.breaker))


def kinds(address: Address, greenlets: int) -> Mapping[str, list[Get]]:
    """Give, for every kind, a get for each greenlet."""
    settings = ClientSettings()
    shared, client = make_node(address, settings), MemcacheClient([address], settings)
    client.set_many(dict.fromkeys(KEYS, VALUE))
    return {
        "raw": [raw_get(address) for _ in range(greenlets)],
        "bare": bare_gets(address, greenlets),
        "node": [lambda key: shared.fetch(key.encode())] * greenlets,
        "client": [client.get] * greenlets,
    }


def bare_gets(address: Address, greenlets: int) -> list[Get]:
    """Take connections out of a node's pool, for good, and give a get over each."""
    settings = ClientSettings(pool_size=greenlets)
    node = make_node(address, settings)
    gets = []
    for _ in range(greenlets):
        now = time.monotonic()
        connection = node.pool.acquire(now, now + LIMIT_S)
        connection.disarm()
        gets.append(bare_get(connection, node.clock, settings.op_timeout))
    return gets


def block(gets: Iterable[Get]) -> float:
    """Run one block and give the CPU microseconds of a get."""

    def some(get: Get) -> None:
        for key in itertools.islice(itertools.cycle(KEYS), BLOCK_GETS):
            if not get(key):
                raise RuntimeError("a miss")

    gets = list(gets)
    before = time.process_time()
    greenlets = [gevent.spawn(some, get) for get in gets]
    gevent.joinall(greenlets, raise_error=True)
    return (time.process_time() - before) / (len(gets) * BLOCK_GETS) * 1e6


def costs(address: Address, greenlets: int, seconds: float) -> dict[str, list[float]]:
    """Run blocks of all kinds in turn and give what each cost."""
    gets = kinds(address, greenlets)
    found: dict[str, list[float]] = {name: [] for name in gets}
    in_turn(gets, block, seconds, found)
    return found


def in_turn(
    gets: Mapping[str, Iterable[Get]],
    run: Callable[[Iterable[Get]], float],
    seconds: float,
    found: Mapping[str, list[float]],
) -> None:
    """Run a block of each kind after the other, each time in another order, for `seconds`."""
    for some in gets.values():
        run(some)  # connections are opened, code is warm
    until = time.monotonic() + seconds
    turn = 0
    while time.monotonic() < until or not turn:
        for name in order(list(gets), turn):
            found[name].append(run(gets[name]))
        turn += 1


def timed_block(gets: Iterable[Get]) -> float:
    """Get for BLOCK_S and give the gets a second."""
    until = time.monotonic() + BLOCK_S
    done = itertools.count()

    def some(get: Get) -> None:
        for key in itertools.cycle(KEYS):
            get(key)
            next(done)
            if time.monotonic() >= until:
                return

    started = time.monotonic()
    gevent.joinall([gevent.spawn(some, get) for get in gets], raise_error=True)
    return next(done) / (time.monotonic() - started)


def speeds(address: Address, greenlets: int, seconds: float) -> dict[str, list[float]]:
    """Compare one client for all greenlets with a bare client for each, in turn."""
    client = MemcacheClient([address])
    client.set_many(dict.fromkeys(KEYS, VALUE))
    peers = [Client(address, no_delay=True) for _ in range(greenlets)]
    gets: dict[str, list[Get]] = {
        "shared": [client.get] * greenlets,
        "bare": bare_gets(address, greenlets),
        "pymemcache": [peer.get for peer in peers],
    }
    found: dict[str, list[float]] = {name: [] for name in gets}
    in_turn(gets, timed_block, seconds, found)
    return found


def main() -> None:
    """Measure costs on a node next door, then speeds on one behind a delay."""
    near, far = from_option(os.environ["BENCH_NODES"])
    seconds = float(os.environ["BENCH_SECONDS"]) / 2
    found = {
        "cost_us": costs(near, int(os.environ["BENCH_USERS"]), seconds),
        "gets_per_s": speeds(far, int(os.environ["BENCH_GREENLETS"]), seconds),
    }
    Path(os.environ["BENCH_RESULT"]).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
