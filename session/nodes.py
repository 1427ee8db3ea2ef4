"""The nodes that the user named: a cluster as the settings say how it is reached, or others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from cluster.agents import AgentCluster
from cluster.direct import use
from cluster.external import ExternalCluster
from cluster.node import Address, Node, spell
from cluster.processes import Keeper
from settings import Settings


def given_cluster(settings: Settings, guard: Keeper) -> ExternalCluster:
    """Give the cluster of `--nodes`, not started; one with agents where there are any."""
    assert settings.addresses is not None
    use(settings.access)
    make: Callable[..., ExternalCluster] = ExternalCluster
    if settings.node_control is not None:
        make = partial(AgentCluster, folder=settings.node_control)
    return make(
        settings.addresses,
        toxiproxy_url=settings.toxiproxy_url,
        proxy_bind=settings.proxy_bind,
        proxy_advertise=settings.proxy_advertise,
        with_proxies=settings.needs_proxies,
        guard=guard,
    )


def nodes_at(addresses: Sequence[Address]) -> list[Node]:
    """Return nodes that are no part of the cluster, such as gutters, named by their addresses."""
    places = [(str(host), int(port)) for host, port in addresses]
    return [Node(name=spell(place), address=place, direct=place) for place in places]
