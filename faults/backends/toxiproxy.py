"""Faults on the way to a node: its Toxiproxy proxy is closed, or given toxics.

Only toxics that carry our prefix are ever removed. Which toxics a fault is made of is said in
toxiproxy_toxics, how its effect is seen in toxiproxy_looks; stalls are drawn in toxiproxy_stall.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from cluster.node import Node
from cluster.probe import ProbeError, RefusedError, version
from cluster.toxiproxy import Proxy, Toxic, Toxiproxy
from cluster.toxiproxy_api import ToxiproxyError
from faults.backends.base import expect_answer, on_each
from faults.backends.toxiproxy_looks import look
from faults.backends.toxiproxy_stall import Stall
from faults.backends.toxiproxy_toxics import is_as_asked, toxics_of
from faults.errors import FaultError
from faults.guard import undo_disabled, undo_toxics
from faults.planned import PlannedFault

REFUSAL_S = 1.0

T = TypeVar("T")

SINCE: Mapping[str, str] = {"reset_peer": "2.2"}
"""Types of toxic that the oldest servers taken do not have -> the first series that has them."""


class ToxiproxyBackend:
    """All kinds of Toxiproxy, for the nodes that stand behind one server."""

    def __init__(self, api: Toxiproxy, nodes: Sequence[Node]) -> None:
        self._api = api
        self._nodes = {node.name: node for node in nodes if node.proxy is not None}
        self._stall = Stall(api, nodes)

    def needs(self, fault: PlannedFault) -> str:
        """Every node of the fault needs a proxy, and the server every type of toxic."""
        bare = [name for name in fault.nodes if name not in self._nodes]
        if bare:
            return f"{', '.join(bare)} stands behind no Toxiproxy proxy"
        return self._unknown_toxic(fault)

    def _unknown_toxic(self, fault: PlannedFault) -> str:
        for kind in {toxic.type for toxic in toxics_of(fault)} & SINCE.keys():
            try:
                if self._api.knows(kind):
                    continue
            except ToxiproxyError as why:
                return str(why)
            newer = f"Toxiproxy {SINCE[kind]} or newer has it"
            return f"the server at {self._api.url} knows no toxic {kind}: {newer}"
        return ""

    def stand_in(self, fault: PlannedFault) -> str:
        """Nothing: what is done is what the kind says."""
        return ""

    def undos(self, fault: PlannedFault) -> Mapping[str, Mapping[str, Any]]:
        """Open the proxy, or remove the toxics."""
        if fault.kind == "down":
            return {name: undo_disabled(self._api.url, self._proxy(name)) for name in fault.nodes}
        toxics = [toxic.name for toxic in toxics_of(fault)]

        def work(node: str) -> Mapping[str, Any]:
            proxy = self._api.proxy(self._proxy(node))
            return undo_toxics(
                self._api.url, proxy.name, toxics, listen=proxy.listen, upstream=proxy.upstream
            )

        return dict(zip(fault.nodes, _each(fault.nodes, work), strict=True))

    def inject(self, fault: PlannedFault) -> None:
        """Close the proxies, or add the toxics."""
        if fault.kind == "stall":
            self._stall.inject(fault)
            return

        def work(node: str) -> None:
            if fault.kind == "down":
                self._api.set_enabled(self._proxy(node), False)
            for toxic in toxics_of(fault):
                self._api.add(self._proxy(node), toxic)

        _each(fault.nodes, work)

    def read_back(self, fault: PlannedFault) -> str:
        """Ask the server for the proxy and compare every setting."""
        if fault.kind == "stall":
            return self._stall.read_back(fault)

        def work(node: str) -> str:
            proxy = self._api.proxy(self._proxy(node))
            if fault.kind == "down":
                if proxy.enabled:
                    raise FaultError(f"the proxy of {node} was disabled and is enabled")
                return f"the proxy of {node} reads back as disabled"
            return "; ".join(_as_asked(node, proxy, toxic) for toxic in toxics_of(fault))

        return "; ".join(_each(fault.nodes, work))

    def observe(self, fault: PlannedFault) -> str:
        """Go the way of a client: refused, silent, slow, cut, or in pieces."""
        return "; ".join(on_each(fault.nodes, lambda node: self._look(node, fault)))

    def heal(self, fault: PlannedFault) -> None:
        """Open the proxies, or remove the toxics."""
        if fault.kind == "stall":
            self._stall.heal(fault)
            return

        def work(node: str) -> None:
            if fault.kind == "down":
                self._api.set_enabled(self._proxy(node), True)
            for toxic in reversed(toxics_of(fault)):
                self._api.remove_toxic(self._proxy(node), toxic.name)

        _each(fault.nodes, work)

    def read_back_healed(self, fault: PlannedFault) -> str:
        """Ask the server whether the proxy is open and the toxics gone."""

        def work(node: str) -> str:
            proxy = self._api.proxy(self._proxy(node))
            if fault.kind == "down" and not proxy.enabled:
                raise FaultError(f"the proxy of {node} is still disabled")
            if any(proxy.known_toxic(toxic.name) is not None for toxic in toxics_of(fault)):
                raise FaultError(f"the toxic on {node} is still there")
            return f"gone from {node}"

        return "; ".join(_each(fault.nodes, work))

    def observe_healed(self, fault: PlannedFault) -> str:
        """Go the way of a client until an answer comes."""
        return "; ".join(
            on_each(fault.nodes, lambda node: expect_answer(node, self._nodes[node].address))
        )

    def clean(self) -> list[str]:
        """Open closed proxies of the nodes and remove our toxics from them."""
        self._stall.clean()

        def work(node: str) -> list[str]:
            cleaned = []
            proxy = self._api.proxy(self._proxy(node))
            for toxic in proxy.known_toxics:
                if toxic.ours:
                    self._api.remove_toxic(proxy.name, toxic.name)
                    cleaned.append(f"removed toxic {toxic.name} from {node}")
            if not proxy.enabled:
                self._api.set_enabled(proxy.name, True)
                cleaned.append(f"enabled the proxy of {node}")
            return cleaned

        return [line for lines in _each(tuple(self._nodes), work) for line in lines]

    def leftovers(self) -> list[str]:
        """Name our toxics, stalls still drawn, and closed proxies of the nodes."""
        try:
            left = [line for name in self._nodes for line in self._left_on(name)]
            return [*left, *self._stall.leftovers()]
        except ToxiproxyError as why:
            return [f"cannot be read back: {why}"]

    def _left_on(self, name: str) -> list[str]:
        proxy: Proxy = self._api.proxy(self._proxy(name))
        left = [f"toxic {toxic.name} on {name}" for toxic in proxy.known_toxics if toxic.ours]
        return left if proxy.enabled else [*left, f"the proxy of {name} is disabled"]

    def _proxy(self, name: str) -> str:
        proxy = self._nodes[name].proxy
        assert proxy is not None
        return proxy

    def _look(self, name: str, fault: PlannedFault) -> str:
        if fault.kind == "down":
            return self._refuses(name)
        return look(name, self._nodes[name].address, fault)

    def _refuses(self, name: str) -> str:
        try:
            version(self._nodes[name].address, REFUSAL_S)
        except RefusedError:
            return f"{name} refuses connections"
        except ProbeError as why:
            raise FaultError(f"{name} was to refuse connections, but {why}") from None
        raise FaultError(f"{name} was to refuse connections, but answered")


def _as_asked(node: str, proxy: Proxy, asked: Toxic) -> str:
    found = proxy.known_toxic(asked.name)
    if not is_as_asked(found, asked):
        raise FaultError(f"the toxic on {node} reads back as {found}")
    return f"toxic {asked.type} {dict(asked.attributes)} on {asked.stream} reads back on {node}"


def _each(nodes: Sequence[str], work: Callable[[str], T]) -> list[T]:
    try:
        return on_each(nodes, work)
    except ToxiproxyError as why:
        raise FaultError(str(why)) from None
