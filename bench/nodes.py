"""Three real memcached for the length of a benchmark, and what they counted.

The servers' own counters are the witness that a contender did what it claims: as many gets as it
reports, and no misses.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from memquake.paths import PROGRAMS

READY_WITHIN_S = 10.0
STOP_WITHIN_S = 5.0
MEMORY_MB = "64"  # far more than the few thousand values of a benchmark

Address = tuple[str, int]


class BenchError(Exception):
    """A benchmark that cannot be run or believed; its text is one line."""


def find_memcached() -> str:
    """Give the path of memcached. Raises BenchError."""
    found = shutil.which("memcached", path=f"{PROGRAMS}{os.pathsep}{os.environ.get('PATH', '')}")
    if not found:
        raise BenchError("memcached is not on PATH: run `make setup`")
    return found


@contextmanager
def running(count: int) -> Iterator[list[Address]]:
    """Start memcached servers on free loopback ports and stop them at the end."""
    with ExitStack() as started:
        yield [started.enter_context(one_node()) for _ in range(count)]


@contextmanager
def one_node() -> Iterator[Address]:
    """Start one memcached, ready when it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    user = ["-u", "root"] if os.geteuid() == 0 else []  # memcached refuses root unless told
    process = subprocess.Popen(
        [find_memcached(), "-l", "127.0.0.1", "-p", str(port), "-t", "1", "-m", MEMORY_MB, *user],
        stdin=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + READY_WITHIN_S
        while not answers(("127.0.0.1", port)):
            if process.poll() is not None or time.monotonic() > deadline:
                raise BenchError(f"memcached does not answer on port {port}")
            time.sleep(0.02)
        yield ("127.0.0.1", port)
    finally:
        process.kill()  # memcached takes a second to obey SIGTERM and has nothing to save
        process.wait(STOP_WITHIN_S)


def answers(address: Address) -> bool:
    """Whether a memcached answers `version`."""
    try:
        return ask(address, b"version\r\n", b"\r\n").startswith(b"VERSION ")
    except OSError:
        return False


def ask(address: Address, request: bytes, until: bytes) -> bytes:
    """Send a request and read until the answer ends with `until`."""
    with socket.create_connection(address, timeout=2.0) as connection:
        connection.sendall(request)
        answer = b""
        while not answer.endswith(until):
            chunk = connection.recv(65536)
            if not chunk:
                break
            answer += chunk
        return answer


COMMANDS = (
    *(b"cmd_get", b"cmd_set", b"delete_hits", b"delete_misses"),
    *(b"incr_hits", b"incr_misses"),
)
"""What a load may consist of. `cmd_get` counts keys, however many a request asks for."""


def counters(nodes: Sequence[Address]) -> tuple[int, int]:
    """Give (commands, misses of gets) that all nodes have counted so far."""
    commands = misses = 0
    for node in nodes:
        lines = ask(node, b"stats\r\n", b"END\r\n").split(b"\r\n")
        found = dict(line.split()[1:3] for line in lines if line.startswith(b"STAT "))
        commands += sum(int(found[name]) for name in COMMANDS)
        misses += int(found[b"get_misses"])
    return commands, misses


def to_option(nodes: Sequence[Address]) -> str:
    """Write addresses as `host:port,...`."""
    return ",".join(f"{host}:{port}" for host, port in nodes)


def from_option(text: str) -> list[Address]:
    """Read addresses written by `to_option`."""
    pairs = (item.rsplit(":", 1) for item in text.split(","))
    return [(host, int(port)) for host, port in pairs]
