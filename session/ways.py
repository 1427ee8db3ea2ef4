"""The ways from a load process to the nodes: looked at before a run, each in one line when missing.

The master has seen every node from where it stands; a worker on another machine stands elsewhere.
What it cannot reach would otherwise show as a client that does not work. Not asked in mid-run,
when a fault may have cut a way on purpose.
"""

from __future__ import annotations

from collections.abc import Sequence

import gevent

from cluster.errors import ClusterError
from cluster.node import Address, Node, spell
from cluster.probe import ProbeError, version

ANSWER_WITHIN_S = 5.0  # the master asks with 2 s; here all nodes are asked at once

PROXIES = (
    "let the proxies listen where workers reach them (--proxy-bind), and say under which host they "
    "do (--proxy-advertise)"
)
NODES = "workers need a way to every node of --nodes"


def look(nodes: Sequence[Node]) -> None:
    """Try the way of the clients and the way past the proxies to every node; ClusterError."""
    ways: dict[Address, tuple[Node, str]] = {}
    for node in nodes:
        ways[node.direct] = (node, NODES)
        if node.proxy is not None:
            ways |= {door.address: (node, PROXIES) for door in node.doors}
    tries = {way: gevent.spawn(_trouble, way) for way in ways}
    gevent.joinall(list(tries.values()))
    for way, (node, way_out) in ways.items():
        if trouble := tries[way].value:
            what = node.name if way == node.direct else f"the proxy of {node.name}"
            raise ClusterError(f"no way to {what} at {spell(way)} ({trouble}): {way_out}")


def _trouble(way: Address) -> str:
    try:
        version(way, ANSWER_WITHIN_S)
    except (ProbeError, OSError) as why:
        return str(why)
    return ""
