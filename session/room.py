"""Whether the nodes have room for the keys of a run: one that must evict proves nothing.

Asked twice: before any key is stored, by what the users say they keep and the slab classes of each
node, and while keys are stored, by what the nodes have evicted. A scenario that takes memory away
wants evictions and is let through.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from locust.runners import WorkerNode

from cluster.embedded import MEMORY_MB
from cluster.errors import ClusterError
from cluster.node import Node
from cluster.probe import ProbeError, settings
from cluster.slabs import Items, Slabs
from faults.plan import Plan
from session.riders import RIDERS_A_PROCESS
from users.context import LoadSettings
from users.ledger import LedgerUser

if TYPE_CHECKING:
    from session.run import MasterRun

ANSWER_WITHIN_S = 2.0
MB = 1024 * 1024
WAY_OUT = (
    "give fewer users (-u), a smaller --value-size, more nodes, or more memory a node (memcached "
    f"-m; own nodes have {MEMORY_MB} MB each)"
)


def wants_evictions(plan: Plan | None) -> bool:
    """Tell whether a plan takes memory from the nodes."""
    return plan is not None and any(fault.kind == "memory" for fault in plan.faults)


def refuse_what_does_not_fit(run: MasterRun) -> None:
    """Raise ClusterError when a node has less memory than its share of the keys needs."""
    if wants_evictions(run.settings.plan):
        return
    items = kept_items(run)
    share = [replace(some, count=some.count / len(run.cluster.nodes)) for some in items]
    rooms = {node.name: slabs for node in run.cluster.nodes if (slabs := _slabs(node)) is not None}
    for name, slabs in rooms.items():
        refuse_large_values(name, slabs, items)
    needed = {name: slabs.bytes_for(share) for name, slabs in rooms.items()}
    full = [name for name, slabs in rooms.items() if needed[name] > slabs.limit_bytes]
    if full:
        keys = sum(some.count for some in items)
        there = ", ".join(f"{rooms[name].limit_bytes // MB} MB on {name}" for name in full)
        raise ClusterError(
            f"the keys do not fit into the nodes' memory: {keys:,.0f} keys, most with values of "
            f"{max(some.value for some in items):,} bytes, need {needed[full[0]] // MB:,} MB on "
            f"each node, and there are {there}: {WAY_OUT}"
        )


def refuse_large_values(name: str, slabs: Slabs, items: Sequence[Items]) -> None:
    """Raise ClusterError when a node takes no item of one of the sizes."""
    for some in items:
        if not slabs.takes(some.key, some.value):
            raise ClusterError(
                f"{name} takes items of {slabs.most_item_bytes:,} bytes at most, and one with a "
                f"value of {some.value:,} bytes has {slabs.item_bytes(some.key, some.value):,}: "
                "give a smaller --value-size, or start memcached with a larger -I"
            )


def refuse_overflow(run: MasterRun) -> None:
    """Raise ClusterError when a node has evicted more, while keys were stored, than it had before.

    What it held then may have been of no use to anybody.
    """
    if wants_evictions(run.settings.plan):
        return
    names = [node.name for node in run.cluster.nodes]
    for name, count in run.monitor.evicted(names).items():
        if count > run.servers.items_before.get(name, 0):
            raise ClusterError(
                f"the keys do not fit into the memory of {name}: it evicted {count:,} items while "
                f"they were stored: {WAY_OUT}"
            )


def kept_items(run: MasterRun) -> list[Items]:
    """Return what all users of a run keep in the nodes."""
    load = LoadSettings(**run.settings.load, run_id=run.id)
    rate = run.settings.target_rate / max(1, run.expected_users)
    processes = max(1, int(getattr(run.runner, "worker_count", 1)))
    counts = {**users_by_class(run.environment, run.expected_users)}
    counts[LedgerUser] = RIDERS_A_PROCESS * processes
    return [
        some
        for kind, users in counts.items()
        if users and (kept := getattr(kind, "kept", None)) is not None
        for some in kept(load, users, rate)
    ]


def users_by_class(environment: Any, users: int) -> Mapping[Any, int]:
    """Return how many users of each class Locust makes of so many."""
    classes = {kind.__name__: kind for kind in environment.user_classes}
    dispatcher = environment.dispatcher_class([WorkerNode("one")], list(classes.values()))
    dispatcher.new_dispatch(users, float(max(1, users)))
    counts: dict[str, int] = {}
    for dispatched in dispatcher:
        counts = dispatched["one"]
    return {classes[name]: count for name, count in counts.items()}


def _slabs(node: Node) -> Slabs | None:
    try:
        return Slabs.of(settings(node.direct, ANSWER_WITHIN_S))
    except ProbeError:
        return None  # a server that tells nothing of itself: the nodes are watched all the same
