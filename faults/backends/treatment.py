"""What one kind of fault does to one node through its own memcached; memcached_admin has several.

Rule: `prepare` looks at the node as it is and gives the undo for the guard, `inject` breaks it,
`heal` is fine again and again. Helpers are kept by fault and node, so that every one that was
started is ended. Trouble of a connection is raised as LinkError and told by the backend.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cluster.node import Node
from faults.backends.helper import Helper
from faults.errors import FaultError
from faults.helpers.link import Link
from faults.planned import PlannedFault


class Treatment:
    """Does nothing to a node; kinds override what they need."""

    def __init__(self) -> None:
        self._helpers: dict[tuple[str, str], Helper] = {}

    def needs(self, fault: PlannedFault, node: Node) -> str:
        """Say what is missing, "" when nothing is."""
        return ""

    def prepare(self, fault: PlannedFault, node: Node) -> Mapping[str, Any]:
        """Give the undo for the guard, empty where there is nothing to undo."""
        return {}

    def inject(self, fault: PlannedFault, node: Node) -> None:
        """Break the node."""

    def read_back(self, fault: PlannedFault, node: Node) -> str:
        """Give the evidence that the fault is in place, or raise."""
        return ""

    def observe(self, fault: PlannedFault, node: Node) -> str:
        """Give the evidence that it has an effect, or raise."""
        return ""

    def heal(self, fault: PlannedFault, node: Node) -> None:
        """Mend the node; one that is not broken is fine."""
        helper = self._helpers.pop((fault.id, node.name), None)
        if helper is not None:
            helper.end()

    def read_back_healed(self, fault: PlannedFault, node: Node) -> str:
        """Give the evidence that it is gone, or raise."""
        return f"nothing of it is left at {node.name}"

    def clean(self, node: Node) -> list[str]:
        """Mend what is still broken at a node, whoever broke it; say what was."""
        cleaned = []
        for key in [key for key in self._helpers if key[1] == node.name]:
            self._helpers.pop(key).end()
            cleaned.append(f"ended what leaned on {node.name} for fault {key[0]}")
        return cleaned

    def leftovers(self, node: Node) -> list[str]:
        """Name what is still broken at a node."""
        return [
            f"fault {fault} still leans on {name}"
            for (fault, name), helper in self._helpers.items()
            if name == node.name and helper.alive()
        ]

    def _start(
        self, role: str, fault: PlannedFault, node: Node, **settings: Any
    ) -> Mapping[str, Any]:
        """Start an idle helper for a node and give the undo that ends it."""
        host, port = node.direct
        where = {"host": host, "port": port}
        helper = Helper(role, {**where, **settings}, fault.duration_s)
        self._helpers[fault.id, node.name] = helper
        return helper.undo()

    def _helper(self, fault: PlannedFault, node: Node) -> Helper:
        helper = self._helpers.get((fault.id, node.name))
        if helper is None:
            raise FaultError(f"nothing leans on {node.name}")
        return helper


def numbers(node: Node, what: str = "") -> dict[str, int]:
    """Ask a node for the whole numbers of `stats`, past the proxies."""
    with Link(*node.direct) as link:
        return link.numbers(what)
