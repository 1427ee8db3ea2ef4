"""Open files: how many a process may have on this machine, and what load that carries.

Every connection is an open file, and one that goes through Toxiproxy is two of its files. A server
that has run out of them accepts nothing, which looks like a fault of the node or of the client.
"""

from __future__ import annotations

import contextlib
import resource
import sys

import psutil

from cluster.errors import ClusterError

RESERVED = 64  # open besides a load's connections: a server has 30, a load process asks nodes too
CONNECTION_LIMIT = 4096  # pools of many workers; memcached's own default of 1024 is soon reached
LEAST_CONNECTIONS = 64  # of a node; below it nothing can be measured
OWN_FILES = 10_000  # what Locust wants for itself
WAY_OUT = "raise the hard limit (`ulimit -Hn`; LimitNOFILE= of a service, --ulimit of a container)"


def hard_limit() -> int:
    """Return how many files a process started here may have open at most."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if hard == resource.RLIM_INFINITY else hard


def raise_own_limit() -> None:
    """Let this process have as many as Locust wants, or as many as the machine allows.

    Locust asks for all or nothing, so that a hard limit below its wish left the soft one as it was.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(OWN_FILES, hard_limit())
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):  # macOS names no limit and has one
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def connection_limit() -> int:
    """Return how many connections a memcached started here may take. Raises ClusterError."""
    allowed = hard_limit() - RESERVED
    if allowed < LEAST_CONNECTIONS:
        raise ClusterError(
            f"a process may have {hard_limit()} open files here, too few for a memcached: {WAY_OUT}"
        )
    return min(CONNECTION_LIMIT, allowed)


def check_load(calls_at_once: int, *, nodes: int, here: bool, proxied: bool) -> None:
    """Raise ClusterError when so many calls at once, to every node, need more open files.

    `here` means from this process, `proxied` through a toxiproxy-server of our own.
    """
    connections = calls_at_once * nodes
    need = {"this process": connections + RESERVED} if here else {}
    if proxied:
        need["toxiproxy-server"] = 2 * connections + RESERVED
    who = max(need, key=lambda name: need[name], default="")
    if who and need[who] > hard_limit():
        raise ClusterError(
            f"{calls_at_once} calls at once to {nodes} nodes can take {need[who]} open files of "
            f"{who}, which may have {hard_limit()}: {WAY_OUT} or lower -u or --pool-size"
        )


def check_server(name: str, pid: int) -> None:
    """Raise ClusterError when a running server has no file left for one more connection."""
    try:
        process = psutil.Process(pid)
        count = process.num_fds()
        # Linux tells its own limit, which an old server has not raised as far as it may.
        limit = process.rlimit(psutil.RLIMIT_NOFILE)[0] if psutil.LINUX else hard_limit()
    except psutil.Error:
        return  # whether it lives is asked elsewhere
    if count >= limit - 2 and limit != resource.RLIM_INFINITY:
        raise ClusterError(f"{name} has {count} of {limit} files open: {WAY_OUT}")
