"""The ceiling: greenlets that send `get` and read the answer, and do nothing else at all.

Whatever a load generator adds, pool, breaker, statistics, verification, it adds to this. Run as
`python -m bench.raw_sockets`, with its task in the environment.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from pathlib import Path

import gevent
from gevent import socket

from bench.nodes import Address, from_option
from bench.steady import KEYS, VALUE, measure

CONNECT_TIMEOUT_S = 5.0
READ_BYTES = 4096  # one answer of 100 bytes fits many times


class Count:
    """A counter that greenlets share."""

    operations = 0


def fill(nodes: Sequence[Address]) -> None:
    """Set every key on the node it belongs to."""
    for place, address in enumerate(nodes):
        with socket.create_connection(address, timeout=CONNECT_TIMEOUT_S) as connection:
            for number in range(place, KEYS, len(nodes)):
                connection.sendall(b"set raw:%d 0 0 %d\r\n%s\r\n" % (number, len(VALUE), VALUE))
                if connection.recv(READ_BYTES) != b"STORED\r\n":
                    raise RuntimeError("memcached did not store a value")


def load(nodes: Sequence[Address], count: Count) -> None:
    """Get random keys over a connection of one's own to each node, for ever."""
    connections = [socket.create_connection(node, timeout=CONNECT_TIMEOUT_S) for node in nodes]
    for connection in connections:
        connection.settimeout(None)
    requests = [b"get raw:%d\r\n" % number for number in range(KEYS)]
    while True:
        number = random.randrange(KEYS)
        connection = connections[number % len(connections)]
        connection.sendall(requests[number])
        answer = connection.recv(READ_BYTES)
        while not answer.endswith(b"END\r\n"):
            answer += connection.recv(READ_BYTES)
        count.operations += 1


def main() -> None:
    """Load with as many greenlets as there are users and measure."""
    nodes = from_option(os.environ["BENCH_NODES"])
    fill(nodes)
    count = Count()
    greenlets = [gevent.spawn(load, nodes, count) for _ in range(int(os.environ["BENCH_USERS"]))]
    seconds = float(os.environ["BENCH_SECONDS"])
    measure(lambda: count.operations, gevent.sleep, seconds, Path(os.environ["BENCH_RESULT"]))
    failed = [greenlet for greenlet in greenlets if greenlet.exception]
    gevent.killall(greenlets)
    if failed:
        raise SystemExit(f"a connection failed: {failed[0].exception}")


if __name__ == "__main__":
    main()
