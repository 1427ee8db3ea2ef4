"""Faults done to a node through its own memcached: memory, connections, flush, a heavy neighbour.

They go straight to the node, past the proxies. What is done for a kind is in a treatment each;
here is what all have in common: every node of a fault, the words of an error, the cleaning.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from cluster.node import Node
from faults.backends.base import expect_answer, on_each
from faults.backends.memcached_crowd import Crowd, HeavyNeighbour
from faults.backends.memcached_memory import MemoryLimit
from faults.backends.treatment import Treatment, numbers
from faults.errors import FaultError
from faults.helpers.link import Link, LinkError
from faults.planned import PlannedFault

PROBE_TTL_S = 10

T = TypeVar("T")


class Flush(Treatment):
    """Kind flush: an instant; the rest of its duration nothing is done."""

    def __init__(self) -> None:
        super().__init__()
        self._flushes: dict[str, int] = {}  # node -> flushes it had counted before

    def prepare(self, fault: PlannedFault, node: Node) -> Mapping[str, Any]:
        """Nothing brings back what was flushed."""
        self._flushes[node.name] = numbers(node)["cmd_flush"]
        return {}

    def inject(self, fault: PlannedFault, node: Node) -> None:
        """Store a key of our own, then flush."""
        with Link(*node.direct) as link:
            link.ask(b"set %s 0 %d 1\r\nx\r\n" % (_probe_key(), PROBE_TTL_S))
            link.ask(b"flush_all\r\n")

    def read_back(self, fault: PlannedFault, node: Node) -> str:
        """Ask the node for its count of flushes."""
        before, now = self._flushes[node.name], numbers(node)["cmd_flush"]
        if now <= before:
            raise FaultError(f"{node.name} counts no flush")
        return f"flushes of {node.name} rose from {before} to {now}"

    def observe(self, fault: PlannedFault, node: Node) -> str:
        """Ask for the key."""
        with Link(*node.direct) as link:
            if link.ask(b"get %s\r\n" % _probe_key()) != b"END\r\n":
                raise FaultError(f"{node.name} was flushed and still has a key from before")
        return f"a key stored in {node.name} just before is gone"

    def read_back_healed(self, fault: PlannedFault, node: Node) -> str:
        """There is nothing to undo."""
        return f"{node.name} was flushed once and is left as it is"


class MemcachedAdminBackend:
    """Kinds memory, connections, flush and overload, for nodes that memquake may not own."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = {node.name: node for node in nodes}
        self._treatments: dict[str, Treatment] = {
            "memory": MemoryLimit(),
            "connections": Crowd(),
            "flush": Flush(),
            "overload": HeavyNeighbour(),
        }

    def needs(self, fault: PlannedFault) -> str:
        """Look at every node of the fault."""
        treatment = self._treatments[fault.kind]
        try:
            return "; ".join(filter(None, self._each(fault, treatment.needs)))
        except FaultError as why:
            return str(why)

    def stand_in(self, fault: PlannedFault) -> str:
        """Nothing: what is done is what the kind says."""
        return ""

    def undos(self, fault: PlannedFault) -> Mapping[str, Mapping[str, Any]]:
        """Look at the nodes as they are, and start the helpers, idle."""
        treatment = self._treatments[fault.kind]
        try:
            undos = self._each(fault, treatment.prepare)
        except BaseException:
            for name in fault.nodes:
                treatment.clean(self._nodes[name])
            raise
        return {name: undo for name, undo in zip(fault.nodes, undos, strict=True) if undo}

    def inject(self, fault: PlannedFault) -> None:
        """Break the nodes."""
        self._each(fault, self._treatments[fault.kind].inject)

    def read_back(self, fault: PlannedFault) -> str:
        """Ask the nodes, or the helpers that lean on them."""
        return "; ".join(self._each(fault, self._treatments[fault.kind].read_back))

    def observe(self, fault: PlannedFault) -> str:
        """See the effect."""
        return "; ".join(self._each(fault, self._treatments[fault.kind].observe))

    def heal(self, fault: PlannedFault) -> None:
        """Undo it."""
        self._each(fault, self._treatments[fault.kind].heal)

    def read_back_healed(self, fault: PlannedFault) -> str:
        """Ask the nodes."""
        return "; ".join(self._each(fault, self._treatments[fault.kind].read_back_healed))

    def observe_healed(self, fault: PlannedFault) -> str:
        """Go the way of a client until an answer comes."""
        return "; ".join(
            on_each(fault.nodes, lambda name: expect_answer(name, self._nodes[name].address))
        )

    def clean(self) -> list[str]:
        """End every helper of ours and restore the limits that dead runs have lowered."""
        return self._everywhere(lambda treatment, node: treatment.clean(node))

    def leftovers(self) -> list[str]:
        """Name helpers that live and limits that are lowered."""
        return self._everywhere(lambda treatment, node: treatment.leftovers(node))

    def _each(self, fault: PlannedFault, work: Callable[[PlannedFault, Node], T]) -> list[T]:
        return on_each(fault.nodes, lambda name: self._told(work, fault, self._nodes[name]))

    def _told(self, work: Callable[[PlannedFault, Node], T], fault: PlannedFault, node: Node) -> T:
        try:
            return work(fault, node)
        except LinkError as why:
            raise FaultError(f"{node.name}: {why}") from None
        except KeyError as why:
            raise FaultError(f"{node.name} does not tell its {why}") from None

    def _everywhere(self, work: Callable[[Treatment, Node], list[str]]) -> list[str]:
        """Do it for all nodes; one that does not answer is told by those who watch it."""
        found = []
        for node in self._nodes.values():
            for treatment in self._treatments.values():
                try:
                    found += work(treatment, node)
                except LinkError:
                    continue
        return found


def _probe_key() -> bytes:
    return b"memquake-flush-probe:%d" % os.getpid()
