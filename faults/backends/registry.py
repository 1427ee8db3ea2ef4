"""Which backends a cluster has the means for, and what to do where one is missing.

The one list of backends: a new one is added here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cluster.pods import PodApi
from cluster.toxiproxy import Toxiproxy
from faults.backends.base import Backend
from faults.backends.cpu import CpuBackend
from faults.backends.doors import DoorsBackend
from faults.backends.kernel import kernel_backend
from faults.backends.memcached_admin import MemcachedAdminBackend
from faults.backends.names import NamesBackend
from faults.backends.ordering import Link
from faults.backends.pods import PodsBackend
from faults.backends.process import AgentControl, ProcessBackend, ProcessControl
from faults.backends.toxiproxy import ToxiproxyBackend
from faults.backends.workers import WorkersBackend

WAYS_OUT: Mapping[str, str] = {
    "toxiproxy": "needs proxies in front of the nodes: install toxiproxy-server with "
    "`make setup`, or give --toxiproxy-url",
    "process": "needs nodes that memquake started, or may treat: leave --nodes out, or give "
    "--node-control",
    "cpu": "needs nodes that memquake started: leave --nodes out",
    "doors": "needs proxies in front of the nodes: install toxiproxy-server with `make setup`, "
    "or give --toxiproxy-url",
    "names": "needs proxies in front of the nodes, and load processes that ask for their names: "
    "install toxiproxy-server with `make setup`, or give --toxiproxy-url; start a run of Locust",
    "pods": "needs the nodes' pods and the right to delete them: run it in Kubernetes with the "
    "component k8s/components/pod-chaos, or choose `crash`",
    "workers": "happens in the load processes: start it as a run of Locust",
}
"""Backend -> what a user does who lacks it, as the end of a sentence about a fault."""


STANDS_IN: Mapping[str, str] = {"kernel": "toxiproxy"}
"""Backend -> the one that does its faults where this machine cannot."""


def build_backends(cluster: Any, link: Link | None = None) -> dict[str, Backend]:
    """Give the backends that a cluster (embedded or external) has the means for, by name.

    `link` is the way to the load processes, where there are any.
    """
    backends: dict[str, Backend] = {}
    if cluster.toxiproxy_url and any(node.proxy for node in cluster.nodes):
        api = Toxiproxy(cluster.toxiproxy_url)
        proxies = ToxiproxyBackend(api, cluster.nodes)
        # The kernel's stand-ins are cleaned first: one may hold the port of a closed proxy.
        backends["kernel"] = kernel_backend(cluster.nodes, proxies, api)
        backends["toxiproxy"] = proxies
        names = None
        if link is not None:
            names = backends["names"] = NamesBackend(api, lambda: cluster.nodes, link)
        backends["doors"] = DoorsBackend(
            api, lambda: cluster.nodes, given_up=lambda: names.given_up if names else frozenset()
        )
    else:
        backends["kernel"] = kernel_backend(cluster.nodes)
    if isinstance(cluster, ProcessControl):
        backends["process"] = ProcessBackend(cluster)
        backends["cpu"] = CpuBackend(cluster)
    elif isinstance(cluster, AgentControl):
        backends["process"] = ProcessBackend(cluster)
    backends["memcached_admin"] = MemcachedAdminBackend(cluster.nodes)
    if (pods := PodApi.of_this_pod()) is not None:
        backends["pods"] = PodsBackend(pods, cluster.nodes)
    if link is not None:
        backends["workers"] = WorkersBackend(link)
    return backends
