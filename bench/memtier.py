"""D, the yardstick in C: `memtier_benchmark` with one thread, where the machine has it.

It speaks to one node, gets keys that are there, and prints a table; its CPU time is asked of the
kernel. A machine without it measures everything else.
"""

from __future__ import annotations

import re
import resource
import shutil
import socket

from bench.figures import Measure
from bench.nodes import Address, BenchError
from bench.processes import execute, last_line
from bench.steady import KEYS, VALUE

PROGRAM = "memtier_benchmark"
PREFIX = "memtier:"
THREADS = 1
TIMEOUT_S = 5.0
_GETS = re.compile(r"^Gets\s+([\d.]+)", re.MULTILINE)


def is_there() -> bool:
    """Whether the program is on PATH."""
    return shutil.which(PROGRAM) is not None


def run(node: Address, *, users: int, seconds: float) -> Measure:
    """Run it against one node. Raises BenchError."""
    fill(node)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    output = execute("D", command(node, users=users, seconds=seconds), seconds=seconds)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    speed = gets_per_s(output)
    return Measure(
        operations=round(speed * seconds),
        seconds=seconds,
        operations_per_s=speed,
        cpu_us_per_operation=cpu_s / (speed * seconds) * 1e6,
    )


def command(node: Address, *, users: int, seconds: float) -> list[str]:
    """Give the command line: single gets, no pipelining, as many connections as users."""
    host, port = node
    return [
        *[PROGRAM, "-s", host, "-p", str(port), "-P", "memcache_text"],
        *["-t", str(THREADS), "-c", str(users), "--ratio", "0:1", "--pipeline", "1"],
        *["--key-prefix", PREFIX, "--key-minimum", "1", "--key-maximum", str(KEYS)],
        *["--test-time", str(max(1, round(seconds))), "--hide-histogram"],
    ]


def gets_per_s(output: str) -> float:
    """Find the gets a second in what it printed. Raises BenchError."""
    found = _GETS.search(output)
    if not found or not float(found[1]):
        raise BenchError(f"D printed no gets a second: {last_line(output)}")
    return float(found[1])


def fill(node: Address) -> None:
    """Set every key that it will ask for."""
    with socket.create_connection(node, timeout=TIMEOUT_S) as connection:
        for number in range(1, KEYS + 1):
            connection.sendall(
                b"set %s%d 0 0 %d\r\n%s\r\n" % (PREFIX.encode(), number, len(VALUE), VALUE)
            )
            if connection.recv(64) != b"STORED\r\n":
                raise BenchError("memcached did not store a value")
