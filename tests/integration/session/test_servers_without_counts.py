"""Servers that do not count as memcached does: they answer, and what they cannot tell is named."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cluster.node import Node
from session.watch import look_at, without_statistics

MCROUTER = b"STAT version 1.0\r\nSTAT pid 7\r\nSTAT time 1700000000\r\nSTAT uptime 9\r\n"
MCROUTER += b"STAT num_servers 3\r\nSTAT cmd_get_count 5\r\nEND\r\n"


@contextlib.contextmanager
def proxy(words: bytes) -> Iterator[Node]:
    """Answer `version`, and `stats` with these words; without any the connection is closed."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while line := self.rfile.readline():
                if line == b"version\r\n":
                    self.wfile.write(b"VERSION 0.5.0\r\n")
                elif line == b"stats\r\n" and words:
                    self.wfile.write(words)
                else:
                    return

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        host, port = server.server_address[:2]
        yield Node(name="node1", address=(str(host), port), direct=(str(host), port))
        server.shutdown()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        pytest.param(b"", "it does not answer `stats`", id="as twemproxy, which closes"),
        pytest.param(b"ERROR\r\n", "it does not answer `stats`", id="as a server without the word"),
        pytest.param(
            MCROUTER,
            "its `stats` have no evictions, cmd_get, cmd_set, total_connections",
            id="as mcrouter, with numbers of its own",
        ),
    ],
)
def test_a_proxy_is_told_from_a_memcached(words: bytes, why: str) -> None:
    """It is there all the same, and goes on being looked at."""
    with proxy(words) as node:
        assert without_statistics([node]) == {"node1": why}
        assert look_at(node, has_stats=False).is_answered


def test_a_memcached_and_a_dead_node_are_no_proxies(memcached: Callable[..., Any]) -> None:
    """One that is not there has said nothing of what it counts."""
    alive, dead = memcached(), memcached()
    dead.stop()
    nodes = [
        Node(name=name, address=server.address, direct=server.address)
        for name, server in (("node1", alive), ("node2", dead))
    ]
    assert without_statistics(nodes) == {}
