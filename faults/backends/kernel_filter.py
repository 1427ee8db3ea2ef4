"""Kernel faults as they are meant: nftables rules on the ports that clients connect to.

One table a fault and door, named after this process, so that faults overlap freely and an undo
deletes a table. Rules that nobody removed expire by themselves; tables of dead processes are
removed by the next run. Only packets of this machine are met, so the doors have to be here. Whether
the kernel can do it is tried with the very rules, in a table that its own transaction removes.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import socket
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from cluster.node import Node
from faults.backends.base import expect_answer, on_each
from faults.backends.kernel_doors import (
    Door,
    connected,
    doors_of,
    is_here,
    knocking,
)
from faults.backends.kernel_looks import look
from faults.backends.kernel_rules import (
    Count,
    counted,
    counts,
    family_of,
    missing,
    rules_of,
    script,
)
from faults.backends.nft import Nft, Table, is_orphan, owner_name
from faults.errors import FaultError
from faults.planned import PlannedFault

EXPIRES_AFTER_S = 10.0  # beyond its planned end; the guard is due after 5

_instances = itertools.count(1)


class PacketFilter:
    """Kinds loss, partition, duplicate, reset and no_connect by nft. `nft` None: not installed."""

    def __init__(self, nodes: Sequence[Node], nft: Nft | None) -> None:
        self._nodes = {node.name: node for node in nodes}
        self._nft = nft
        self._own = f"{owner_name()}{next(_instances)}_"
        self._tried: dict[tuple[str, str], str] = {}  # (kind, family) -> why it cannot be
        self._known: dict[str, list[Door]] = {}
        self._first: dict[tuple[str, Door], Mapping[str, Count]] = {}  # as of the read-back
        self._last: dict[str, list[str]] = {}  # fault -> what healing found in the counters
        self._open: dict[tuple[str, Door], socket.socket] = {}  # to live through a fault
        self._made = False

    def needs(self, fault: PlannedFault) -> str:
        """Nft, the right to use it, a kernel that knows the rules, and doors on this machine."""
        if self._nft is None:
            return "nft is not installed"
        for door in self._doors(fault):
            if not door.hosts:
                return f"{door} cannot be resolved"
            if not all(is_here(host) for host in door.hosts):
                return f"{door} is not on this machine"
            why = self._try(fault, door.hosts[0])
            if why:
                return why
        return ""

    def stand_in(self, fault: PlannedFault) -> str:
        """Nothing: what is done is what the kind says."""
        return ""

    def undos(self, fault: PlannedFault) -> Mapping[str, Mapping[str, Any]]:
        """Delete the tables of each node."""
        program = self._filter().program
        return {
            node: {
                "kind": "nft",
                "nft": program,
                "tables": [self._table(fault, door) for door in self._doors_of(node)],
            }
            for node in fault.nodes
        }

    def inject(self, fault: PlannedFault) -> None:
        """Load all tables of the fault in one transaction."""
        if fault.attributes.get("open_connections") == "keep":
            for door in self._doors(fault):
                self._open[fault.id, door] = connected(door)
        life_s = fault.duration_s + EXPIRES_AFTER_S
        self._made = True
        self._filter().load(
            "".join(
                script(fault, self._table(fault, door), door.address[1], door.hosts, life_s)
                for door in self._doors(fault)
            )
        )

    def read_back(self, fault: PlannedFault) -> str:
        """Ask nft for every rule, and for what they did to one connect of our own."""
        found = []
        # A brief fault is over before silence proves it; what became of a SYN is known at once.
        with knocking(self._doors(fault)):
            for door in self._doors(fault):
                listed = self._listed(fault, door)
                rules = rules_of(fault.kind, fault.attributes, door.hosts)
                if lacks := missing(rules, listed):
                    raise FaultError(f"{door} reads back wrong: {lacks}")
                self._first[fault.id, door] = counts(listed)
                found.append(f"{len(rules)} nftables rules read back for {door}")
        return "; ".join(found)

    def observe(self, fault: PlannedFault) -> str:
        """Go the way of a client, or count what happened to the packets of one."""
        doors = {str(door): door for door in self._doors(fault)}
        return "; ".join(on_each(list(doors), lambda name: self._look(fault, doors[name])))

    def heal(self, fault: PlannedFault) -> None:
        """Delete the tables; what their counters said is kept as evidence."""
        told = []
        for door in self._doors(fault):
            with contextlib.suppress(FaultError):  # counting keeps nobody from healing
                told.append(f"{door.node}: {counted(counts(self._listed(fault, door)))}")
        self._filter().delete([self._table(fault, door) for door in self._doors(fault)])
        if told:
            self._last[fault.id] = told
        self._close(fault.id)

    def read_back_healed(self, fault: PlannedFault) -> str:
        """Ask nft whether the tables are gone."""
        for door in self._doors(fault):
            if self._filter().table(self._table(fault, door)) is not None:
                raise FaultError(f"the nftables rules for {door} are still there")
        told = "; ".join(self._last.get(fault.id, []))
        return f"the rules are gone from {', '.join(fault.nodes)}" + (f" ({told})" if told else "")

    def observe_healed(self, fault: PlannedFault) -> str:
        """Go the way of a client until an answer comes."""
        doors = {str(door): door for door in self._doors(fault)}
        return "; ".join(
            on_each(list(doors), lambda name: expect_answer(name, doors[name].address))
        )

    def clean(self) -> list[str]:
        """Delete what this object made and has not deleted, and the tables of dead processes."""
        found = self._left()
        if found:
            self._filter().delete(found)
        for fault, _ in list(self._open):
            self._close(fault)
        return [f"removed nftables table {name}" for _, name in found]

    def leftovers(self) -> list[str]:
        """Name the tables that `clean` would delete."""
        try:
            return [f"nftables table {name}" for _, name in self._left()]
        except FaultError as why:
            return [f"nftables cannot be read back: {why}"]

    def _left(self) -> list[Table]:
        if self._nft is None:
            return []
        try:
            tables = self._nft.tables()
        except FaultError:
            if self._made:
                raise
            return []  # whoever may not use nft has made nothing
        return [table for table in tables if table[1].startswith(self._own) or is_orphan(table[1])]

    def _filter(self) -> Nft:
        if self._nft is None:
            raise FaultError("nft is not installed")
        return self._nft

    def _doors_of(self, node: str) -> list[Door]:
        if node not in self._known:
            self._known[node] = doors_of(self._nodes[node])
        return self._known[node]

    def _doors(self, fault: PlannedFault) -> list[Door]:
        return [door for node in fault.nodes for door in self._doors_of(node)]

    def _table(self, fault: PlannedFault, door: Door) -> Table:
        # nft takes letters, digits and _ only; the sum keeps `a-b` apart from `a.b`.
        word = re.sub(r"[^A-Za-z0-9]", "_", fault.id)
        number = zlib.crc32(fault.id.encode())
        name = f"{self._own}{word}_{number:08x}_{door.address[1]}"
        return family_of(fault.kind, door.hosts[0]), name

    def _listed(self, fault: PlannedFault, door: Door) -> list[Mapping[str, Any]]:
        listed = self._filter().table(self._table(fault, door))
        if listed is None:
            raise FaultError(f"the nftables rules for {door} are gone")
        return listed

    def _try(self, fault: PlannedFault, host: str) -> str:
        key = (fault.kind, family_of(fault.kind, host))
        if key not in self._tried:
            table = (key[1], f"{self._own}trial")
            text = script(fault, table, 1, [host], 1.0)
            try:
                self._filter().load(f"{text}delete table {table[0]} {table[1]}\n")
                self._tried[key] = ""
            except FaultError as why:
                self._tried[key] = _in_plain_words(str(why))
        return self._tried[key]

    def _look(self, fault: PlannedFault, door: Door) -> str:
        return look(
            fault,
            door,
            first=self._first.get((fault.id, door), {}),
            kept=self._open.get((fault.id, door)),
            listed=lambda: self._listed(fault, door),
        )

    def _close(self, fault: str) -> None:
        for key in [key for key in self._open if key[0] == fault]:
            self._open.pop(key).close()


def _in_plain_words(problem: str) -> str:
    if "not permitted" in problem:
        return "nft may not be used here (Operation not permitted)"
    return f"the packet filter here cannot do it ({problem})"
