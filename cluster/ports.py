"""Free loopback ports for the servers of one run.

Taken from below the system's ephemeral range: a node's port lies free while the node is down, and
an outgoing connection that got it as its own would keep the node from coming back, or even connect
to itself and echo a client's request back as the answer.
"""

from __future__ import annotations

import errno
import random
import socket
from pathlib import Path

from cluster.errors import ClusterError

LOWEST = 15_000  # above the well-known ports of servers a developer may have running
RANGE_FILE = Path("/proc/sys/net/ipv4/ip_local_port_range")
ASSUMED_EPHEMERAL_FROM = 32_768  # where the file is missing: Linux's default, below macOS's 49152
ATTEMPTS = 200
_NOT_OURS = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})

# Not seeded: two runs with one seed must not reach for the same ports.
_rng = random.SystemRandom()


def free_port(host: str = "127.0.0.1") -> int:
    """Give a port that nobody listened on a moment ago; whoever binds it must expect to retry."""
    highest = _ephemeral_from() - 1
    if highest - LOWEST < ATTEMPTS:
        highest = 65_535
    for _ in range(ATTEMPTS):
        port = _rng.randint(LOWEST, highest)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            try:
                sock.bind((host, port))
            except PermissionError:
                continue
            except OSError as why:
                if why.errno in _NOT_OURS:
                    raise ClusterError(
                        f"cannot listen on {host}: it is no address of this machine"
                    ) from None
                continue
            return port
    raise ClusterError(f"no free port found on {host} between {LOWEST} and {highest}")


def likely_free_port() -> int:
    """Give a port for a listener on another machine, whose ports cannot be tried from here.

    Out of the same range, for the same reason; whoever asks for it must expect to retry.
    """
    return _rng.randint(LOWEST, min(_ephemeral_from(), ASSUMED_EPHEMERAL_FROM) - 1)


def _ephemeral_from() -> int:
    try:
        return int(RANGE_FILE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return ASSUMED_EPHEMERAL_FROM
