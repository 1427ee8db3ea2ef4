"""The two kinds of server the harness starts: how each is called, and when it is ready.

Ready means: it answers its own protocol, and the answer comes from the process just started. A
port can be taken between choosing and binding it, and a toxiproxy-server whose port is taken
lives on without it, so both are looked at; then another port is tried.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import time
from collections.abc import Callable

from cluster.errors import ClusterError
from cluster.open_files import connection_limit
from cluster.ports import free_port
from cluster.probe import ProbeError, stats, version
from cluster.processes import Child, Keeper
from cluster.toxiproxy import Toxiproxy
from cluster.toxiproxy_api import ToxiproxyError

HOST = "127.0.0.1"
READY_WITHIN_S = 5.0  # both are ready within 50 ms on an idle machine
POLL_S = 0.01
PORT_TRIES = 5


def memcached_argv(program: str, port: int, memory_mb: int) -> list[str]:
    """Return the command line of one node, on loopback only. Raises ClusterError."""
    argv = [program, "-l", HOST, "-p", str(port), "-U", "0"]
    argv += ["-m", str(memory_mb), "-t", "2", "-c", str(connection_limit())]
    if os.geteuid() == 0:
        # memcached refuses to run as root unless told as whom.
        argv += ["-u", _unprivileged()]
    return argv


def start_memcached(
    program: str, *, memory_mb: int, keeper: Keeper | None, port: int | None = None
) -> tuple[Child, int]:
    """Start a node and wait until it answers; with `port` given on that port or not at all."""

    def launch(at: int) -> Child:
        return Child(memcached_argv(program, at, memory_mb), keeper=keeper)

    def answers(child: Child, at: int) -> bool:
        with contextlib.suppress(ProbeError):
            version((HOST, at), 0.25)
            # Its own `pid` says who answered.
            return stats((HOST, at), 0.25).get("pid") == child.pid
        return False

    return _start("memcached", launch, answers, port)


def start_toxiproxy(program: str, *, keeper: Keeper | None) -> tuple[Child, str]:
    """Start a Toxiproxy without proxies, API on loopback; give it and its base URL."""

    def launch(at: int) -> Child:
        argv = [program, "-host", HOST, "-port", str(at)]
        # At its default level it writes two lines for every connection.
        return Child(argv, keeper=keeper, env={"LOG_LEVEL": "error"})

    def answers(child: Child, at: int) -> bool:
        api = Toxiproxy(f"http://{HOST}:{at}", deadline_s=0.5)
        try:
            with contextlib.suppress(ToxiproxyError):
                return bool(api.identify()) and child.listens_on(at)
            return False
        finally:
            api.close()

    child, port = _start("toxiproxy-server", launch, answers, None)
    return child, f"http://{HOST}:{port}"


def _start(
    name: str,
    launch: Callable[[int], Child],
    answers: Callable[[Child, int], bool],
    port: int | None,
) -> tuple[Child, int]:
    words = ""
    for _ in range(PORT_TRIES if port is None else 1):
        at = port if port is not None else free_port(HOST)
        child = launch(at)
        try:
            if _becomes_ready(child, at, answers):
                return child, at
            words = child.last_words()
        except BaseException:
            child.stop()
            raise
        child.stop()
    raise ClusterError(f"{name} does not start ({words}): try `{name} -h` by hand")


def _becomes_ready(child: Child, port: int, answers: Callable[[Child, int], bool]) -> bool:
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline and child.alive():
        if answers(child, port):
            return True
        if "in use" in child.last_words():
            return False
        time.sleep(POLL_S)
    return False


def _unprivileged() -> str:
    try:
        return pwd.getpwnam("nobody").pw_name
    except KeyError:
        return "root"
