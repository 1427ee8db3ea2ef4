"""What this machine would do for each fault of a plan, found out without touching anything.

A plan names the usual means. Here the machine is asked: for its packet filter in the way in which
nft only checks, for groups that limit processors by a look at who may write where, for programs by
their files. The nodes are taken to be the embedded cluster's, as no other is known. What only a
trial would show (a kernel that refuses a quota), the run still says before it starts.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from cluster.binaries import find_toxiproxy
from cluster.errors import ClusterError
from cluster.node import Node
from cluster.pods import PodApi
from cluster.toxiproxy import Toxiproxy
from faults.backends.cgroup import find_hierarchy, obstacle
from faults.backends.cpu import halted_words
from faults.backends.kernel import KernelBackend
from faults.backends.nft import CheckingNft, find_nft
from faults.backends.toxiproxy import ToxiproxyBackend
from faults.planned import Plan

NOWHERE = 1  # a port nobody connects to: nothing here opens a connection
BEHIND_PROXIES = frozenset({"toxiproxy", "kernel", "doors", "names"})


@dataclass(frozen=True, kw_only=True)
class Foretold:
    """What is done in place of a fault here, or why it cannot be done."""

    words: str
    is_refusal: bool = False


def foretell(plan: Plan) -> Mapping[str, Foretold]:
    """Give fault id -> what differs from the usual means on this machine; the rest is left out."""
    found = {}
    toxiproxy = _toxiproxy_obstacle()
    kernel = _kernel(plan)
    for fault in plan.faults:
        if fault.backend in BEHIND_PROXIES and toxiproxy:
            found[fault.id] = Foretold(words=toxiproxy, is_refusal=True)
        elif fault.backend == "kernel":
            if missing := kernel.needs(fault):
                found[fault.id] = Foretold(words=missing, is_refusal=True)
            elif words := kernel.stand_in(fault):
                found[fault.id] = Foretold(words=words)
        elif fault.backend == "pods" and PodApi.of_this_pod() is None:
            found[fault.id] = Foretold(words="this is no pod with a token", is_refusal=True)
        elif fault.backend == "cpu" and (words := _cpu_stand_in()):
            found[fault.id] = Foretold(words=words)
    return found


def _toxiproxy_obstacle() -> str:
    try:
        find_toxiproxy()
    except ClusterError as why:
        return str(why)
    return ""


def _kernel(plan: Plan) -> KernelBackend:
    """Give the kernel's backend for nodes that are nowhere, with an nft that only checks."""
    nodes = [
        Node(name=name, address=("127.0.0.1", NOWHERE), direct=("127.0.0.1", NOWHERE), proxy=name)
        for name in plan.nodes
    ]
    api = Toxiproxy(f"http://127.0.0.1:{NOWHERE}")
    program = find_nft()
    return KernelBackend(
        nodes,
        None if program is None else CheckingNft(program),
        ToxiproxyBackend(api, nodes),
        api,
    )


def _cpu_stand_in() -> str:
    hierarchy = find_hierarchy()
    hindrance = (
        "no group that limits the processor can be had here"
        if hierarchy is None
        else obstacle(hierarchy, os.getpid())
    )
    return halted_words(hindrance) if hindrance else ""
