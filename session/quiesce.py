"""A look at what is connected when the calls have ended and the clients are still open.

What the servers count once the users have ended as well is what the pools hold: a slot that was
lost with a call shows as a connection that no call will ever use. A library that keeps a connection
for each greenlet keeps none then. And whatever this process holds to a node while the users are
there, by any way or past its proxy, is the client's, but for what the harness connected itself.
"""

from __future__ import annotations

import gc
import ipaddress
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence

import gevent
import psutil

from cluster.direct import own_ports
from cluster.names import look_up
from cluster.node import Address, Node, is_unix
from cluster.probe import ProbeError, stats

SEEN_S = 0.1  # the servers need a moment to see connections go
ASK_LIMIT_S = 0.5
LOOK_EVERY_S = 5.0
LOOK_LIMIT_S = 2.0  # for all of it: the end of a run waits


def let_go() -> None:
    """Let what belonged to greenlets that are gone go with them, at the latest now."""
    gc.collect()
    gevent.sleep(SEEN_S)


def open_connections(nodes: Sequence[Node]) -> dict[str, int]:
    """Return node -> the server's curr_connections, of those that answer; after users have ended.

    A node that does not answer in time is left out.
    """
    let_go()
    jobs = {node.name: gevent.spawn(_open_at, node) for node in nodes}
    gevent.joinall(list(jobs.values()), timeout=LOOK_LIMIT_S)
    return {name: job.value for name, job in jobs.items() if job.value is not None}


def _open_at(node: Node) -> int | None:
    try:
        return stats(node.direct, ASK_LIMIT_S).get("curr_connections")
    except (ProbeError, OSError):
        return None


def past_proxies(nodes: Sequence[Node]) -> dict[str, int] | None:
    """Count the connections of this process that lead to a node and through no proxy of its.

    None where the system does not tell; a node without a proxy has none.
    """
    ways = {
        node.direct: node.name
        for node in nodes
        if node.direct not in {door.address for door in node.doors}
    }
    return _counted(ways)


def connections(nodes: Sequence[Node]) -> dict[str, int] | None:
    """Count the client's connections to each node, through its proxies or not.

    None where the system does not tell. One to a unix socket is not seen.
    """
    return _counted(
        {
            address: node.name
            for node in nodes
            for address in (node.direct, *(door.address for door in node.doors))
        }
    )


class HeldConnections:
    """The most connections that the client was seen to hold to each node, in `most`."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.most: dict[str, int] = {}
        self._nodes = nodes
        self._due = 0.0

    def count(self, *, while_full: bool) -> None:
        """Look once more; while a node is full, at most every few seconds.

        A look costs milliseconds, and what fills a node slowly is still there at the next.
        """
        if while_full and time.monotonic() < self._due:
            return
        self._due = time.monotonic() + LOOK_EVERY_S
        for node, held in (connections(self._nodes) or {}).items():
            self.most[node] = max(held, self.most.get(node, 0))


def _counted(ways: Mapping[Address, str]) -> dict[str, int] | None:
    """Count this process's connections by the node that their far end stands for."""
    owners = {
        place: name
        for address, name in ways.items()
        if not is_unix(address)
        for place in _places(address)
    }
    try:
        found = psutil.Process(os.getpid()).net_connections("tcp") if owners else []
    except (psutil.Error, OSError):
        return None
    own = own_ports()
    held = Counter(
        owners[place]
        for each in found
        if each.status == psutil.CONN_ESTABLISHED and each.laddr.port not in own
        if (place := (_plain(each.raddr.ip), each.raddr.port)) in owners
    )
    return dict(held)


def _places(address: Address) -> list[Address]:
    """Return the addresses, as numbers, that a name stands for."""
    try:
        found = look_up(*address, within_s=ASK_LIMIT_S)
    except (OSError, UnicodeError):
        return []
    return [(_plain(str(entry[4][0])), int(entry[4][1])) for entry in found]


def _plain(host: str) -> str:
    """Return an address without its scope, an IPv4 one as such."""
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)
