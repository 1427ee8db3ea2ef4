"""Faults on the way to a node: its Toxiproxy proxy is closed, or given a toxic.

Only toxics that carry our prefix are ever removed. Faults act on replies (downstream), so what
was sent still reaches the node: a write without an answer may well have happened.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from cluster.node import Node
from cluster.probe import ProbeError, RefusedError, version
from cluster.toxiproxy_api import OWN_PREFIX, Proxy, Toxic, ToxiproxyApi, ToxiproxyError
from faults.backends.base import expect_answer, expect_silence, on_each
from faults.errors import FaultError
from faults.guard import undo_disabled, undo_toxic
from faults.planned import PlannedFault

FELT_SHARE = 0.8  # of the latency; jitter makes some replies quicker
FELT_TRIES = 5  # with a jitter as large as the latency, 1 probe in 3 is quicker than that
FELT_SLACK_S = 1.0

T = TypeVar("T")


class ToxiproxyBackend:
    """Kinds down, timeout and latency, for the nodes that stand behind one Toxiproxy."""

    def __init__(self, api: ToxiproxyApi, nodes: Sequence[Node]) -> None:
        self._api = api
        self._nodes = {node.name: node for node in nodes if node.proxy is not None}

    def needs(self, fault: PlannedFault) -> str:
        """Every node of the fault needs a proxy."""
        bare = [name for name in fault.nodes if name not in self._nodes]
        return f"{', '.join(bare)} stands behind no Toxiproxy proxy" if bare else ""

    def stand_in(self, fault: PlannedFault) -> str:
        """Nothing: what is done is what the kind says."""
        return ""

    def undos(self, fault: PlannedFault) -> Mapping[str, Mapping[str, Any]]:
        """Open the proxy, or remove the toxic."""
        if fault.kind == "down":
            return {name: undo_disabled(self._api.url, self._proxy(name)) for name in fault.nodes}
        toxic = _toxic_name(fault)
        return {name: undo_toxic(self._api.url, self._proxy(name), toxic) for name in fault.nodes}

    def inject(self, fault: PlannedFault) -> None:
        """Close the proxies, or add the toxic."""

        def work(node: str) -> None:
            if fault.kind == "down":
                self._api.set_enabled(self._proxy(node), False)
                return
            self._api.add_toxic(
                self._proxy(node), _toxic_name(fault), fault.kind, _settings(fault), "downstream"
            )

        _each(fault.nodes, work)

    def read_back(self, fault: PlannedFault) -> str:
        """Ask the server for the proxy and compare every setting."""

        def work(node: str) -> str:
            proxy = self._api.proxy(self._proxy(node))
            if fault.kind == "down":
                if proxy.enabled:
                    raise FaultError(f"the proxy of {node} was disabled and is enabled")
                return f"the proxy of {node} reads back as disabled"
            toxic = proxy.toxic(_toxic_name(fault))
            if toxic is None or not _is_as_asked(toxic, fault):
                raise FaultError(f"the toxic on {node} reads back as {toxic}")
            return f"toxic {toxic.type} {dict(toxic.attributes)} reads back on {node}"

        return "; ".join(_each(fault.nodes, work))

    def observe(self, fault: PlannedFault) -> str:
        """Go the way of a client: refused, silent, or slow."""
        return "; ".join(on_each(fault.nodes, lambda node: self._look(node, fault)))

    def heal(self, fault: PlannedFault) -> None:
        """Open the proxies, or remove the toxic."""

        def work(node: str) -> None:
            if fault.kind == "down":
                self._api.set_enabled(self._proxy(node), True)
            else:
                self._api.remove_toxic(self._proxy(node), _toxic_name(fault))

        _each(fault.nodes, work)

    def read_back_healed(self, fault: PlannedFault) -> str:
        """Ask the server whether the proxy is open and the toxic gone."""

        def work(node: str) -> str:
            proxy = self._api.proxy(self._proxy(node))
            if fault.kind == "down" and not proxy.enabled:
                raise FaultError(f"the proxy of {node} is still disabled")
            if proxy.toxic(_toxic_name(fault)) is not None:
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

        def work(node: str) -> list[str]:
            cleaned = []
            proxy = self._api.proxy(self._proxy(node))
            for toxic in proxy.toxics:
                if toxic.ours:
                    self._api.remove_toxic(proxy.name, toxic.name)
                    cleaned.append(f"removed toxic {toxic.name} from {node}")
            if not proxy.enabled:
                self._api.set_enabled(proxy.name, True)
                cleaned.append(f"enabled the proxy of {node}")
            return cleaned

        return [line for lines in _each(tuple(self._nodes), work) for line in lines]

    def leftovers(self) -> list[str]:
        """Name our toxics and closed proxies of the nodes."""
        try:
            return [line for name in self._nodes for line in self._left_on(name)]
        except ToxiproxyError as why:
            return [f"cannot be read back: {why}"]

    def _left_on(self, name: str) -> list[str]:
        proxy: Proxy = self._api.proxy(self._proxy(name))
        left = [f"toxic {toxic.name} on {name}" for toxic in proxy.toxics if toxic.ours]
        return left if proxy.enabled else [*left, f"the proxy of {name} is disabled"]

    def _proxy(self, name: str) -> str:
        proxy = self._nodes[name].proxy
        assert proxy is not None
        return proxy

    def _look(self, name: str, fault: PlannedFault) -> str:
        match fault.kind:
            case "down":
                return self._refuses(name)
            case "timeout":
                return expect_silence(name, self._nodes[name].address)
            case _:
                return self._is_slow(name, fault)

    def _refuses(self, name: str) -> str:
        try:
            version(self._nodes[name].address, FELT_SLACK_S)
        except RefusedError:
            return f"{name} refuses connections"
        except ProbeError as why:
            raise FaultError(f"{name} was to refuse connections, but {why}") from None
        raise FaultError(f"{name} was to refuse connections, but answered")

    def _is_slow(self, name: str, fault: PlannedFault) -> str:
        latency_s = fault.attributes["latency_s"]
        limit_s = latency_s + fault.attributes.get("jitter_s", 0.0) + FELT_SLACK_S
        longest_s = 0.0
        for _ in range(FELT_TRIES):
            began = time.monotonic()
            try:
                version(self._nodes[name].address, limit_s)
            except ProbeError as why:
                raise FaultError(f"{name} was to answer late, but {why}") from None
            longest_s = max(longest_s, time.monotonic() - began)
            if longest_s >= FELT_SHARE * latency_s:
                return f"{name} answered `version` after {longest_s * 1000:.0f} ms"
        raise FaultError(
            f"{name} was to answer {latency_s * 1000:g} ms late, but took "
            f"{longest_s * 1000:.0f} ms at most"
        )


def _each(nodes: Sequence[str], work: Callable[[str], T]) -> list[T]:
    try:
        return on_each(nodes, work)
    except ToxiproxyError as why:
        raise FaultError(str(why)) from None


def _toxic_name(fault: PlannedFault) -> str:
    return OWN_PREFIX + fault.id


def _settings(fault: PlannedFault) -> dict[str, int]:
    # Toxiproxy validates nothing; the scenario and the plan file did.
    if fault.kind == "timeout":
        return {"timeout": 0}
    return {
        "latency": round(fault.attributes["latency_s"] * 1000),
        "jitter": round(fault.attributes.get("jitter_s", 0.0) * 1000),
    }


def _is_as_asked(toxic: Toxic, fault: PlannedFault) -> bool:
    asked = _settings(fault)
    has = {name: toxic.attributes.get(name) for name in asked}
    return toxic.type == fault.kind and toxic.toxicity == 1.0 and has == asked
