"""Which faults fit into one scenario, by the ways to the nodes that they need. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from faults.kinds import FaultSpec
from faults.kinds.doors import Split
from faults.kinds.names import DnsChange

ONE_DOOR = ("toxiproxy", "kernel")
"""Backends that know one way to a node."""


def misfit(fault: FaultSpec, faults: Sequence[FaultSpec], groups: int) -> str:
    """Say what keeps a fault from a scenario with these faults and groups of users, "" if nothing.

    There are two reasons for a node to have several doors: a door a group, and an old address
    beside a new one. Each needs a name for the node, so there cannot be both; and what acts on one
    way to a node would spare the other.
    """
    changes = [other for other in faults if isinstance(other, DnsChange)]
    return _among_groups(fault, groups) or (_beside(fault, changes[0], groups) if changes else "")


def _among_groups(fault: FaultSpec, groups: int) -> str:
    if isinstance(fault, Split) and groups == 1:
        return f"fault {fault.id} splits groups and there is one: add `groups: 2`"
    if isinstance(fault, Split) and fault.group > groups:
        return f"fault {fault.id} names group {fault.group} and there are {groups}"
    if groups > 1 and fault.backend in ONE_DOOR:
        return (
            f"fault {fault.id} works on the way of one group and would spare the others: use kind "
            "split, or leave groups out"
        )
    return ""


def _beside(fault: FaultSpec, change: DnsChange, groups: int) -> str:
    """Say what keeps a fault from a scenario in which names change, "" when nothing does."""
    if isinstance(fault, DnsChange) and groups > 1:
        return f"fault {fault.id} changes what a name means for everybody: leave groups out"
    if isinstance(fault, DnsChange) and fault is not change:
        return (
            f"fault {fault.id} changes names as fault {change.id} does, and a name changes once: "
            "give one of them all the nodes"
        )
    if fault.backend in ONE_DOOR:
        return (
            f"fault {fault.id} works on one address of a node and fault {change.id} gives it "
            "another: use a kind that breaks the node itself (hang, crash), or leave one out"
        )
    return ""
