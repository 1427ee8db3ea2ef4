"""A node shut to one group of users: that group's proxy is disabled, the others' are not.

It acts on doors of one group at a time and proves both halves: the group's clients would be
refused, and every other group's would still be answered, for a split that cuts off everybody is
another fault.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from cluster.node import Door, Node
from cluster.probe import ProbeError, RefusedError, version
from cluster.toxiproxy import Toxiproxy
from cluster.toxiproxy_api import ToxiproxyError
from faults.backends.base import SILENCE_S, expect_answer, on_each
from faults.errors import FaultError
from faults.guard import undo_disabled
from faults.planned import PlannedFault

T = TypeVar("T")


class DoorsBackend:
    """Kind split. `nodes` is asked anew each time: a cluster makes doors when a run needs them.

    Proxies that are `given_up` lead nobody anywhere any more; they may be shut.
    """

    def __init__(
        self,
        api: Toxiproxy,
        nodes: Callable[[], Sequence[Node]],
        *,
        given_up: Callable[[], Collection[str]] = tuple,
    ) -> None:
        self._api = api
        self._nodes = nodes
        self._given_up = given_up

    def needs(self, fault: PlannedFault) -> str:
        """Every node of the fault needs a proxy for that group, and for one more."""
        groups = max(2, _group(fault) + 1)
        bare = [
            name
            for name in fault.nodes
            if len(self._node(name).doors) < groups
            or any(door.proxy is None for door in self._node(name).doors)
        ]
        return f"{', '.join(bare)} has no proxies for {groups} groups" if bare else ""

    def stand_in(self, fault: PlannedFault) -> str:
        """Nothing: what is done is what the kind says."""
        return ""

    def undos(self, fault: PlannedFault) -> Mapping[str, Mapping[str, Any]]:
        """Open the door."""
        return {
            name: undo_disabled(self._api.url, self._proxy(name, fault)) for name in fault.nodes
        }

    def inject(self, fault: PlannedFault) -> None:
        """Shut the doors."""
        _each(fault.nodes, lambda name: self._api.set_enabled(self._proxy(name, fault), False))

    def read_back(self, fault: PlannedFault) -> str:
        """Ask the server for the proxies of all groups."""

        def work(name: str) -> str:
            for group, door in enumerate(self._node(name).doors):
                is_open = self._api.proxy(_proxy_of(door)).enabled
                if is_open == (group == _group(fault)):
                    state = "open" if is_open else "shut"
                    raise FaultError(f"the door of group {group + 1} to {name} is {state}")
            return f"{name} reads back as shut to group {_group(fault) + 1} alone"

        return "; ".join(_each(fault.nodes, work))

    def observe(self, fault: PlannedFault) -> str:
        """Go the way of each group: refused for one, answered for the others."""

        def look(name: str) -> str:
            for group, door in enumerate(self._node(name).doors):
                if group == _group(fault):
                    _expect_refusal(name, door)
                else:
                    expect_answer(f"{name} for group {group + 1}", door.address)
            return f"{name} refuses group {_group(fault) + 1} and answers the others"

        return "; ".join(on_each(fault.nodes, look))

    def heal(self, fault: PlannedFault) -> None:
        """Open the doors."""
        _each(fault.nodes, lambda name: self._api.set_enabled(self._proxy(name, fault), True))

    def read_back_healed(self, fault: PlannedFault) -> str:
        """Ask the server whether the doors are open."""

        def work(name: str) -> str:
            if not self._api.proxy(self._proxy(name, fault)).enabled:
                raise FaultError(f"the door of group {_group(fault) + 1} to {name} is still shut")
            return f"open on {name}"

        return "; ".join(_each(fault.nodes, work))

    def observe_healed(self, fault: PlannedFault) -> str:
        """Go the group's way until an answer comes."""

        def look(name: str) -> str:
            return expect_answer(name, self._node(name).doors[_group(fault)].address)

        return "; ".join(on_each(fault.nodes, look))

    def clean(self) -> list[str]:
        """Open every door but the first, which is the proxy backend's to look after."""
        cleaned = []
        for node, door in self._more_doors():
            proxy = _proxy_of(door)
            try:
                if not self._api.proxy(proxy).enabled:
                    self._api.set_enabled(proxy, True)
                    cleaned.append(f"enabled proxy {proxy} of {node.name}")
            except ToxiproxyError as why:
                raise FaultError(str(why)) from None
        return cleaned

    def leftovers(self) -> list[str]:
        """Name the doors that are shut."""
        try:
            return [
                f"proxy {door.proxy} of {node.name} is disabled"
                for node, door in self._more_doors()
                if not self._api.proxy(_proxy_of(door)).enabled
            ]
        except ToxiproxyError as why:
            return [f"cannot be read back: {why}"]

    def _more_doors(self) -> list[tuple[Node, Door]]:
        spared = self._given_up()
        return [
            (node, door)
            for node in self._nodes()
            for door in node.more_doors
            if door.proxy and door.proxy not in spared
        ]

    def _node(self, name: str) -> Node:
        return next(node for node in self._nodes() if node.name == name)

    def _proxy(self, name: str, fault: PlannedFault) -> str:
        return _proxy_of(self._node(name).doors[_group(fault)])


def _group(fault: PlannedFault) -> int:
    """Give the place of the fault's group among the doors; users count from 1."""
    return int(fault.attributes["group"]) - 1


def _proxy_of(door: Door) -> str:
    assert door.proxy is not None
    return door.proxy


def _expect_refusal(name: str, door: Door) -> None:
    try:
        version(door.address, SILENCE_S)
    except RefusedError:
        return
    except ProbeError as why:
        raise FaultError(f"{name} was to refuse the group, but {why}") from None
    raise FaultError(f"{name} was to refuse the group, but answered")


def _each(nodes: Sequence[str], work: Callable[[str], T]) -> list[T]:
    try:
        return on_each(nodes, work)
    except ToxiproxyError as why:
        raise FaultError(str(why)) from None
