"""Connects that never complete, without a packet filter: a port whose queue is full.

The node's proxy gives its port up and a helper process of ours takes it, accepts nobody, and fills
the short queue of connections itself; the kernel then ignores every further request to connect.
Rule: the helper leaves the port before the proxy is asked to take it again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from cluster.node import Address, Node
from cluster.toxiproxy import Toxiproxy
from cluster.toxiproxy_api import ToxiproxyError
from faults.backends.base import POLL_S, expect_answer, on_each
from faults.backends.helper import Helper
from faults.backends.kernel_doors import doors_of, expect_no_connection
from faults.errors import FaultError
from faults.guard import undo_disabled
from faults.planned import PlannedFault

REOPEN_WITHIN_S = 2.0  # the port is free as soon as the helper is gone


class Backlog:
    """A whole backend for one thing: no_connect with open connections ended."""

    def __init__(self, api: Toxiproxy, nodes: Sequence[Node]) -> None:
        self._api = api
        self._nodes = {node.name: node for node in nodes if node.proxy is not None}
        self._helpers: dict[tuple[str, str], Helper] = {}  # by fault and proxy

    def needs(self, fault: PlannedFault) -> str:
        """Every node of the fault needs a proxy, which gives its port up."""
        bare = [name for name in fault.nodes if name not in self._nodes]
        return f"{', '.join(bare)} stands behind no Toxiproxy proxy" if bare else ""

    def stand_in(self, fault: PlannedFault) -> str:
        """Nothing: whoever chooses this says what it is."""
        return ""

    def undos(self, fault: PlannedFault) -> Mapping[str, Mapping[str, Any]]:
        """End the helper, which is started here because its undo must name it; open the proxy."""
        undos = {}
        for name in fault.nodes:
            steps = []
            for proxy, (host, port) in self._doors(name):
                helper = Helper("plug", {"host": host, "port": port}, fault.duration_s)
                self._helpers[fault.id, proxy] = helper
                steps += [helper.undo(), dict(undo_disabled(self._api.url, proxy))]
            undos[name] = {"kind": "all", "undos": steps}
        return undos

    def inject(self, fault: PlannedFault) -> None:
        """Close the proxies and take their ports."""

        def work(name: str) -> None:
            for proxy, _ in self._doors(name):
                self._enable(proxy, False)
                self._helpers[fault.id, proxy].begin()

        on_each(fault.nodes, work)

    def read_back(self, fault: PlannedFault) -> str:
        """Ask the server for its proxy and the helper for its queue."""

        def work(name: str) -> str:
            queued = 0
            for proxy, _ in self._doors(name):
                if self._is_enabled(proxy):
                    raise FaultError(f"the proxy of {name} was disabled and is enabled")
                queued += int(self._helpers[fault.id, proxy].report()["queued"])
            return f"the port of {name} is held by a listener with {queued} in its queue"

        return "; ".join(on_each(fault.nodes, work))

    def observe(self, fault: PlannedFault) -> str:
        """Try to connect as a client does."""

        def work(name: str) -> str:
            return "; ".join(expect_no_connection(door) for door in doors_of(self._nodes[name]))

        return "; ".join(on_each(fault.nodes, work))

    def heal(self, fault: PlannedFault) -> None:
        """Leave the ports and open the proxies."""

        def work(name: str) -> None:
            for proxy, _ in self._doors(name):
                helper = self._helpers.pop((fault.id, proxy), None)
                if helper is not None:
                    helper.end()
                self._reopen(proxy)

        on_each(fault.nodes, work)

    def read_back_healed(self, fault: PlannedFault) -> str:
        """Ask the server whether the proxies are open."""

        def work(name: str) -> str:
            if not all(self._is_enabled(proxy) for proxy, _ in self._doors(name)):
                raise FaultError(f"the proxy of {name} is still disabled")
            return f"the proxy of {name} has its port again"

        return "; ".join(on_each(fault.nodes, work))

    def observe_healed(self, fault: PlannedFault) -> str:
        """Go the way of a client until an answer comes."""
        return "; ".join(
            on_each(fault.nodes, lambda name: expect_answer(name, self._nodes[name].address))
        )

    def clean(self) -> list[str]:
        """End helpers that are left; their proxies are opened with all others."""
        helpers, self._helpers = self._helpers, {}
        for helper in helpers.values():
            helper.end()
        return [f"left the port of {proxy}" for _, proxy in helpers]

    def leftovers(self) -> list[str]:
        """Name ports that are still held."""
        alive = [proxy for (_, proxy), helper in self._helpers.items() if helper.alive()]
        return [f"the port of {proxy} is held" for proxy in alive]

    def _reopen(self, proxy: str) -> None:
        limit = time.monotonic() + REOPEN_WITHIN_S
        while True:
            try:
                self._enable(proxy, True)
                return
            except FaultError:
                if time.monotonic() > limit:
                    raise
            time.sleep(POLL_S)

    def _enable(self, proxy: str, enabled: bool) -> None:
        try:
            self._api.set_enabled(proxy, enabled)
        except ToxiproxyError as why:
            raise FaultError(str(why)) from None

    def _is_enabled(self, proxy: str) -> bool:
        try:
            return self._api.proxy(proxy).enabled
        except ToxiproxyError as why:
            raise FaultError(str(why)) from None

    def _doors(self, name: str) -> list[tuple[str, Address]]:
        return [(door.proxy, door.address) for door in self._nodes[name].doors if door.proxy]
