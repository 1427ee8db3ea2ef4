"""A node's name that gets another address, after the old one has stopped answering.

The node has two doors: clients find the old one by its name, everything else of the harness only
knows the new one. The fault shuts the old door; its end is the change of the record, in every load
process, and the old door stays shut for the rest of the run. So a door that is shut is no leftover
once its name has left it, and the next run opens it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cluster.node import Node
from cluster.toxiproxy import Toxiproxy
from faults.backends.base import expect_answer, on_each
from faults.backends.ordering import Link, Words, await_words, count_processes
from faults.backends.toxiproxy import ToxiproxyBackend
from faults.planned import PlannedFault

KINDS = ("dns_change",)
OLD, NEW = 1, 0  # doors, as in the load processes
FOR_S = 86_400.0  # a record that has changed stays changed as long as any run


class NamesBackend:
    """Kind dns_change. `nodes` is asked anew each time: a cluster makes doors when they are needed.

    What is done at the old door is done by Toxiproxy's own backend, to a node that is only there.
    """

    def __init__(
        self,
        api: Toxiproxy,
        nodes: Callable[[], Sequence[Node]],
        link: Link,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._api = api
        self._nodes = nodes
        self._link = link
        self._clock = clock
        self._sleep = sleep
        self._given_up: set[str] = set()  # nodes whose name leads elsewhere now

    @property
    def given_up(self) -> frozenset[str]:
        """Proxies at addresses that no name leads to any more."""
        return frozenset(
            str(node.doors[OLD].proxy) for node in self._two_doors() if node.name in self._given_up
        )

    def needs(self, fault: PlannedFault) -> str:
        """Every node of the fault needs an old address and a new one."""
        bare = [
            node.name
            for node in self._nodes()
            if node.name in fault.nodes
            and (len(node.doors) < 2 or any(door.proxy is None for door in node.doors))
        ]
        return f"{', '.join(bare)} has no proxies at two addresses" if bare else ""

    def stand_in(self, fault: PlannedFault) -> str:
        """Nothing: what is done is what the kind says."""
        return ""

    def undos(self, fault: PlannedFault) -> Mapping[str, Mapping[str, Any]]:
        """Open the old doors."""
        return self._at_old_doors().undos(_shutting(fault))

    def inject(self, fault: PlannedFault) -> None:
        """Shut the old doors, and let every process say what the names lead to."""
        self._at_old_doors().inject(_shutting(fault))
        self._link.order(_order(fault, "old"))

    def read_back(self, fault: PlannedFault) -> str:
        """Ask the server for the old doors, and every process for the names."""
        shut = self._at_old_doors().read_back(_shutting(fault))
        return f"{shut}; {self._names_lead_to(fault, OLD)}"

    def observe(self, fault: PlannedFault) -> str:
        """Go to both addresses: the old one does not answer, the new one does."""
        seen = self._at_old_doors().observe(_shutting(fault))
        return f"at the old address {seen}; {self._new_answers(fault)}"

    def heal(self, fault: PlannedFault) -> None:
        """Change the records."""
        self._given_up.update(fault.nodes)
        self._link.order(_order(fault, "new"))
        self._link.withdraw(_order(fault, "old")["id"])

    def read_back_healed(self, fault: PlannedFault) -> str:
        """Ask every process what the names lead to now."""
        return self._names_lead_to(fault, NEW)

    def observe_healed(self, fault: PlannedFault) -> str:
        """Go to the new address until an answer comes."""
        return self._new_answers(fault)

    def clean(self) -> list[str]:
        """Open what is shut of the old doors that names lead to; those of an earlier run too."""
        return [f"{line} (old address)" for line in self._at_old_doors(spare=True).clean()]

    def leftovers(self) -> list[str]:
        """Name what is shut of the old doors that names lead to."""
        left = self._at_old_doors(spare=True).leftovers()
        return [f"{line} (old address)" for line in left]

    def _names_lead_to(self, fault: PlannedFault, door: int) -> str:
        wanted = {
            node.name: node.doors[door].address[0]
            for node in self._two_doors()
            if node.name in fault.nodes
        }

        def is_so(word: Words | None) -> bool:
            return word is not None and word.get("leads_to") == wanted

        which = _order(fault, "new" if door == NEW else "old")["id"]
        told = ", ".join(f"the name of {name} leads to {host}" for name, host in wanted.items())
        words = await_words(
            self._link,
            which,
            is_so,
            f"does not say that {told}",
            clock=self._clock,
            sleep=self._sleep,
        )
        return f"{told} in {count_processes(len(words))}"

    def _new_answers(self, fault: PlannedFault) -> str:
        addresses = {node.name: node.doors[NEW].address for node in self._two_doors()}

        def look(name: str) -> str:
            expect_answer(f"{name} at its new address", addresses[name])
            return f"{name} answers at its new address"

        return "; ".join(on_each(fault.nodes, look))

    def _two_doors(self) -> list[Node]:
        return [node for node in self._nodes() if len(node.doors) > OLD]

    def _at_old_doors(self, *, spare: bool = False) -> ToxiproxyBackend:
        """Give Toxiproxy's backend for the nodes as they are at their old addresses."""
        nodes = [
            replace(node, address=node.doors[OLD].address, proxy=node.doors[OLD].proxy)
            for node in self._two_doors()
            if not (spare and node.name in self._given_up)
        ]
        return ToxiproxyBackend(self._api, nodes)


def _shutting(fault: PlannedFault) -> PlannedFault:
    """Give what is done at the old address, as a fault of Toxiproxy's.

    Silence is dropped requests: an address that was given up never delivers what it held.
    """
    if fault.attributes.get("old") == "refuses":
        return replace(fault, kind="down", attributes={})
    return replace(fault, kind="timeout", attributes={"direction": "upstream"})


def _order(fault: PlannedFault, address: str) -> dict[str, Any]:
    return {
        "id": f"{fault.id}:{address}",  # no id of a fault has a colon
        "kind": fault.kind,
        "attributes": {"nodes": list(fault.nodes), "to": address},
        "for_s": FOR_S,
    }
