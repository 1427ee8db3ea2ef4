"""The cluster of nodes that the user named, as the settings say how it is reached."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from cluster.agents import AgentCluster
from cluster.external import ExternalCluster
from cluster.processes import Keeper
from settings import Settings


def given_cluster(settings: Settings, guard: Keeper) -> ExternalCluster:
    """Give the cluster of `--nodes`, not started; one with agents where there are any."""
    assert settings.addresses is not None
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
