"""Takes processor time from a node: by a quota of the kernel, or by halting it in turns.

Only processes that the harness started are treated so. Which way is taken is found out on the
machine before anything is broken, and said. Both keep periods of 100 ms; halting in turns leaves a
node its share of the time, whatever it would have used of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cluster.node import Node
from faults.backends.base import expect_answer, on_each
from faults.backends.cgroup import Hierarchy, find_hierarchy, try_out
from faults.backends.cpu_halting import Halting
from faults.backends.cpu_quota import Quota
from faults.backends.process import ProcessControl
from faults.errors import FaultError
from faults.planned import PlannedFault


def halted_words(hindrance: str) -> str:
    """Say what is done where no quota can be set, and why none can."""
    return f"memcached is halted and woken in turn (SIGSTOP, SIGCONT), because {hindrance}"


class CpuBackend:
    """Kind cpu. `halting` chooses the stand-in whatever the machine can do."""

    def __init__(self, control: ProcessControl, *, halting: bool = False) -> None:
        self._control = control
        self._hierarchy: Hierarchy | None = None if halting else find_hierarchy()
        self._hindrances: dict[float, str] = {}  # share -> what keeps a quota from being set
        self._halting = Halting()
        self._quota = Quota(self._hierarchy) if self._hierarchy else None

    def needs(self, fault: PlannedFault) -> str:
        """Nothing: where no quota can be set the node is halted in turns."""
        return ""

    def stand_in(self, fault: PlannedFault) -> str:
        """Say that a node is halted in turns, and what keeps a quota from being set."""
        hindrance = self._hindrance(fault)
        if not hindrance:
            return ""
        return halted_words(hindrance)

    def undos(self, fault: PlannedFault) -> Mapping[str, Mapping[str, Any]]:
        """Make the groups, or start the helpers; nothing is limited yet."""
        way, share = self._way(fault), self._share(fault)
        try:
            undos = on_each(
                fault.nodes,
                lambda name: way.prepare(
                    self._node(name), self._pid(name), share, fault.duration_s
                ),
            )
            return dict(zip(fault.nodes, undos, strict=True))
        except BaseException:
            for name in fault.nodes:
                way.end(self._node(name), self._pid(name))
            raise

    def inject(self, fault: PlannedFault) -> None:
        """Limit the nodes."""
        way, share = self._way(fault), self._share(fault)
        on_each(fault.nodes, lambda name: way.begin(self._node(name), self._pid(name), share))

    def read_back(self, fault: PlannedFault) -> str:
        """Ask the kernel, or who halts."""
        way, share = self._way(fault), self._share(fault)
        return "; ".join(
            on_each(
                fault.nodes, lambda name: way.read_back(self._node(name), self._pid(name), share)
            )
        )

    def observe(self, fault: PlannedFault) -> str:
        """See the node held back."""
        way, share = self._way(fault), self._share(fault)
        return "; ".join(
            on_each(fault.nodes, lambda name: way.observe(self._node(name), self._pid(name), share))
        )

    def heal(self, fault: PlannedFault) -> None:
        """Give the nodes their time back."""
        way = self._way(fault)
        on_each(fault.nodes, lambda name: way.end(self._node(name), self._pid(name)))

    def read_back_healed(self, fault: PlannedFault) -> str:
        """See the groups gone, or the processes running."""
        way = self._way(fault)
        return "; ".join(
            on_each(
                fault.nodes, lambda name: way.read_back_healed(self._node(name), self._pid(name))
            )
        )

    def observe_healed(self, fault: PlannedFault) -> str:
        """Go the way of a client until an answer comes."""
        return "; ".join(
            on_each(fault.nodes, lambda name: expect_answer(name, self._node(name).address))
        )

    def clean(self) -> list[str]:
        """End what is ours and remove the groups of dead runs."""
        return [*(self._quota.clean() if self._quota else ()), *self._halting.clean()]

    def leftovers(self) -> list[str]:
        """Name nodes that are still held back, and groups of dead runs."""
        return [*(self._quota.leftovers() if self._quota else ()), *self._halting.leftovers()]

    def _hindrance(self, fault: PlannedFault) -> str:
        share, name = self._share(fault), fault.nodes[0]
        if self._hierarchy is None:
            return "no group that limits the processor can be had here"
        if share not in self._hindrances:
            self._hindrances[share] = try_out(self._hierarchy, self._pid(name), name, share)
        return self._hindrances[share]

    def _way(self, fault: PlannedFault) -> Quota | Halting:
        if self._quota is None or self._hindrance(fault):
            return self._halting
        return self._quota

    def _share(self, fault: PlannedFault) -> float:
        return float(fault.attributes["cpu_share"])

    def _pid(self, name: str) -> int:
        pid = self._control.pids().get(name)
        if pid is None:
            raise FaultError(f"{name} has no process")
        return pid

    def _node(self, name: str) -> Node:
        return next(node for node in self._control.nodes if node.name == name)
