"""One more way to a node, for one more group of users: a proxy on another address of loopback."""

from __future__ import annotations

from cluster.errors import ClusterError
from cluster.node import Address, Door, spell
from cluster.toxiproxy import OWN_PREFIX, Toxiproxy
from cluster.toxiproxy_api import ToxiproxyError


def make_door(api: Toxiproxy, node: Address, name: str, listen: Address) -> Door:
    """Make a proxy named after `name` that listens there and sends to the node; ClusterError."""
    try:
        api.create(name=OWN_PREFIX + name, listen=spell(listen), upstream=spell(node))
    except ToxiproxyError as why:
        raise ClusterError(f"no door to the node for one more group of users: {why}") from None
    return Door(address=listen, proxy=OWN_PREFIX + name)
