"""A share of a processor by the kernel's own quota, for a node in a group of our own."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from cluster.node import Node
from faults.backends.cgroup import Group, Hierarchy, groups_of_the_dead, make_group
from faults.errors import FaultError
from faults.helpers.link import Link, LinkError

LOOK_S = 0.5  # five periods: the load may want enough by itself
SEEN_WITHIN_S = 3.0
TIMES = 2  # throttled so often it is no chance
SHARE_SLACK = 0.001
KEYS = 90  # absent ones in a request: dear to the node, cheap to ask
REQUESTS = 16  # in one write
BURST = (b"get" + b"".join(b" memquake-%03d-" % i + b"x" * 200 for i in range(KEYS))) + b"\r\n"


class Quota:
    """Limits by cgroup, by node."""

    def __init__(self, hierarchy: Hierarchy) -> None:
        self._hierarchy = hierarchy
        self._groups: dict[str, Group] = {}

    def prepare(self, node: Node, pid: int, share: float, lasts_s: float) -> Mapping[str, Any]:
        """Make an empty group and give the undo that empties and removes it."""
        group = make_group(self._hierarchy, pid, node.name)
        self._groups[node.name] = group
        return group.undo()

    def begin(self, node: Node, pid: int, share: float) -> None:
        """Limit the process."""
        self._groups[node.name].limit(pid, share)

    def read_back(self, node: Node, pid: int, share: float) -> str:
        """Ask the kernel for the quota and for who is under it."""
        group = self._groups[node.name]
        has = group.share()
        if abs(has - share) > SHARE_SLACK or not group.holds(pid):
            raise FaultError(f"memcached of {node.name} was to have {share:.0%} and has {has:.0%}")
        return f"memcached of {node.name} reads back as limited to {has:.0%} of a processor"

    def observe(self, node: Node, pid: int, share: float) -> str:
        """See the kernel hold it back; where the load wants too little, ask for more ourselves."""
        group = self._groups[node.name]
        before = group.throttled()
        time.sleep(LOOK_S)
        asked = ""
        if group.throttled() - before < TIMES:
            asked = ", under a short load of memquake's own"
            self._burst(node, group, before)
        times = group.throttled() - before
        return f"the kernel held memcached of {node.name} back in {times} periods{asked}"

    def end(self, node: Node, pid: int) -> None:
        """Move the process back and remove the group."""
        group = self._groups.get(node.name)
        if group is not None:
            group.remove()

    def read_back_healed(self, node: Node, pid: int) -> str:
        """See the group gone."""
        group = self._groups.pop(node.name, None)
        if group is not None and group.path.exists():
            self._groups[node.name] = group
            raise FaultError(f"the group of {node.name} is still there")
        return f"memcached of {node.name} is back in its own group"

    def clean(self) -> list[str]:
        """Remove groups of ours and of dead runs."""
        cleaned = []
        for group in [*self._groups.values(), *groups_of_the_dead(self._hierarchy)]:
            if group.path.exists():
                group.remove()
                cleaned.append(f"removed the group {group.path.name}")
        self._groups.clear()
        return cleaned

    def leftovers(self) -> list[str]:
        """Name groups of ours and of dead runs."""
        found = [*self._groups.values(), *groups_of_the_dead(self._hierarchy)]
        return [f"the group {group.path.name} is there" for group in found if group.path.exists()]

    def _burst(self, node: Node, group: Group, before: int) -> None:
        deadline = time.monotonic() + SEEN_WITHIN_S
        try:
            with Link(*node.direct, timeout_s=SEEN_WITHIN_S) as link:
                while group.throttled() - before < TIMES:
                    if time.monotonic() > deadline:
                        raise FaultError(
                            f"the kernel never had to hold memcached of {node.name} back: it "
                            "wanted less than its share; give it a smaller one, or more load"
                        )
                    link.send(BURST * REQUESTS)
                    link.drain(REQUESTS, b"END")
        except LinkError as why:
            raise FaultError(f"{node.name}: {why}") from None
