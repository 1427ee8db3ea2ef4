"""Faults of the kernel's packet filter, or an honest stand-in where it cannot be used.

It decides once for each fault which way it is carried out, before the run, and hands everything on
to that way. A stand-in is named wherever the fault is shown; where there is none the fault is
refused with the way out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cluster.node import Node
from cluster.toxiproxy import Toxiproxy
from faults.backends.base import Backend
from faults.backends.kernel_backlog import Backlog
from faults.backends.kernel_filter import PacketFilter
from faults.backends.kernel_instead import BACKLOG_WORDS, is_for_backlog, proxy_fault, way_out
from faults.backends.nft import Nft, find_nft
from faults.kinds import KINDS
from faults.planned import PlannedFault

Way = tuple[Backend, PlannedFault]


class KernelBackend:
    """Kinds loss, partition, duplicate, reset and no_connect.

    `proxies` carries stand-ins out, None where no proxy stands before the nodes; without `nft`
    only stand-ins are left.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        nft: Nft | None,
        proxies: Backend | None = None,
        api: Toxiproxy | None = None,
    ) -> None:
        self._filter = PacketFilter(nodes, nft)
        self._proxies = proxies
        self._backlog = Backlog(api, nodes) if api is not None else None
        self._ways: dict[str, Way | str] = {}  # by fault; words where there is no way
        self._why: dict[str, str] = {}  # fault -> why the packet filter cannot be used

    def needs(self, fault: PlannedFault) -> str:
        """Say why neither the packet filter nor a stand-in can do it."""
        way = self._choose(fault)
        return way if isinstance(way, str) else ""

    def stand_in(self, fault: PlannedFault) -> str:
        """Name the stand-in and why it has to be one."""
        way = self._choose(fault)
        if isinstance(way, str) or way[0] is self._filter:
            return ""
        instead = way[1]
        if way[0] is self._backlog:
            words = BACKLOG_WORDS
        else:
            words = KINDS[instead.kind].words_of(instead.attributes)
        return f"{words} (no packet filter: {self._why[fault.id]})"

    def undos(self, fault: PlannedFault) -> Mapping[str, Mapping[str, Any]]:
        """Ask the way chosen."""
        way, fault = self._way(fault)
        return way.undos(fault)

    def inject(self, fault: PlannedFault) -> None:
        """Break the nodes the way chosen."""
        way, fault = self._way(fault)
        way.inject(fault)

    def read_back(self, fault: PlannedFault) -> str:
        """Ask whoever holds the fault."""
        way, fault = self._way(fault)
        return way.read_back(fault)

    def observe(self, fault: PlannedFault) -> str:
        """Go the way of a client."""
        way, fault = self._way(fault)
        return way.observe(fault)

    def heal(self, fault: PlannedFault) -> None:
        """Mend the nodes the way they were broken."""
        way, fault = self._way(fault)
        way.heal(fault)

    def read_back_healed(self, fault: PlannedFault) -> str:
        """Ask whoever held the fault."""
        way, fault = self._way(fault)
        return way.read_back_healed(fault)

    def observe_healed(self, fault: PlannedFault) -> str:
        """Go the way of a client until an answer comes."""
        way, fault = self._way(fault)
        return way.observe_healed(fault)

    def clean(self) -> list[str]:
        """Remove our tables and those of dead processes; the proxies' own backend cleans theirs."""
        cleaned = self._backlog.clean() if self._backlog is not None else []
        return cleaned + self._filter.clean()

    def leftovers(self) -> list[str]:
        """Name our tables and held ports."""
        held = self._backlog.leftovers() if self._backlog is not None else []
        return held + self._filter.leftovers()

    def _way(self, fault: PlannedFault) -> Way:
        way = self._choose(fault)
        assert not isinstance(way, str), "a fault that cannot be was refused before"
        return way

    def _choose(self, fault: PlannedFault) -> Way | str:
        if fault.id not in self._ways:
            self._ways[fault.id] = self._decide(fault)
        return self._ways[fault.id]

    def _decide(self, fault: PlannedFault) -> Way | str:
        why = self._filter.needs(fault)
        if not why:
            return self._filter, fault
        self._why[fault.id] = why
        instead = proxy_fault(fault)
        if is_for_backlog(fault):
            way: Way | None = None if self._backlog is None else (self._backlog, fault)
        else:
            way = None if instead is None or self._proxies is None else (self._proxies, instead)
        if way is None:
            return f"{why}: {way_out(fault)}"
        lacks = way[0].needs(way[1])
        return f"{why}, and for a stand-in {lacks}: {way_out(fault)}" if lacks else way


def kernel_backend(
    nodes: Sequence[Node], proxies: Backend | None = None, api: Toxiproxy | None = None
) -> KernelBackend:
    """Build the backend with the nft of this machine, if it has one."""
    program = find_nft()
    return KernelBackend(nodes, None if program is None else Nft(program), proxies, api)
