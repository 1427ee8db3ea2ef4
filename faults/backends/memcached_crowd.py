"""Connection exhaustion and the heavy neighbour: helpers that lean on a node from outside."""

from __future__ import annotations

import resource
import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from cluster.node import Node
from faults.backends.base import POLL_S
from faults.backends.treatment import Treatment, numbers
from faults.errors import FaultError
from faults.helpers.link import Link, LinkError, SilentError
from faults.planned import PlannedFault

SPARE_FILES = 64  # what a helper has open besides its crowd
SLACK = 3  # others may leave in the moment between two looks
SEEN_WITHIN_S = 2.0
PROBE_S = 0.5
LEFT_WITHIN_S = 2.0  # the node hears of closed connections when its threads come to them
SERVED_SHARE = 0.5  # of the rate asked: a noisy machine is not the node's limit
SLOW_S = 0.005  # mean of the answers of a node at its limit; one that is not takes 1 ms
LOOK_S = 0.5


class Crowd(Treatment):
    """Kind connections."""

    def __init__(self) -> None:
        super().__init__()
        self._full: dict[str, tuple[int, int]] = {}  # node -> its connections when full, ours

    def needs(self, fault: PlannedFault, node: Node) -> str:
        """Files for the crowd, and places to take."""
        stats = numbers(node)
        left = stats["max_connections"] - stats["curr_connections"]
        if fault.attributes["free"] >= left:
            return f"{node.name} has only {left} connections left: give a smaller `free`"
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard != resource.RLIM_INFINITY and left + SPARE_FILES > hard:
            return (
                f"the crowd at {node.name} takes up to {left} connections and a process may open "
                f"{hard} files here: raise the hard limit (`ulimit -Hn`), or start the node with "
                f"-c {max(hard - SPARE_FILES, 1)} or less"
            )
        return ""

    def prepare(self, fault: PlannedFault, node: Node) -> Mapping[str, Any]:
        """End the crowd."""
        most = numbers(node)["max_connections"]
        return self._start("crowd", fault, node, free=int(fault.attributes["free"]), most=most)

    def inject(self, fault: PlannedFault, node: Node) -> None:
        """Fill the node."""
        report = self._helper(fault, node).begin()
        self._full[node.name] = report["full"], report["held"]

    def read_back(self, fault: PlannedFault, node: Node) -> str:
        """Ask the crowd, which is connected already, for the node's own count."""
        wanted = self._full[node.name][0] - int(fault.attributes["free"])
        deadline = time.monotonic() + SEEN_WITHIN_S
        while (report := self._helper(fault, node).report())["now"] < wanted:
            if time.monotonic() > deadline:
                raise FaultError(f"{node.name} has {report['now']} connections, not {wanted}")
            time.sleep(POLL_S)
        return (
            f"{node.name} has {report['now']} of {report['full']} connections, "
            f"{report['held']} of them ours"
        )

    def observe(self, fault: PlannedFault, node: Node) -> str:
        """Connect as often as should be possible, and once more in vain."""
        free = int(fault.attributes["free"])
        deadline = time.monotonic() + SEEN_WITHIN_S
        while (served := _served(node, free + SLACK + 1)) > free + SLACK:
            if time.monotonic() > deadline:
                raise FaultError(f"{node.name} was to serve {free} connections and served {served}")
            time.sleep(POLL_S)
        return f"{node.name} serves {served} more connections and refuses the next"

    def read_back_healed(self, fault: PlannedFault, node: Node) -> str:
        """See the node's own count fall."""
        full, ours = self._full.get(node.name, (0, 0))
        deadline = time.monotonic() + LEFT_WITHIN_S
        while (now := numbers(node)["curr_connections"]) > max(full - ours // 2, SLACK):
            if time.monotonic() > deadline:
                raise FaultError(f"{node.name} still has {now} connections")
            time.sleep(POLL_S)
        return f"{node.name} is down to {now} connections"


class HeavyNeighbour(Treatment):
    """Kind overload."""

    def __init__(self) -> None:
        super().__init__()
        self._written: dict[str, int] = {}  # node -> bytes it had written before

    def prepare(self, fault: PlannedFault, node: Node) -> Mapping[str, Any]:
        """End the neighbour."""
        self._written[node.name] = numbers(node)["bytes_written"]
        rate, size = fault.attributes["rate"], int(fault.attributes["size"])
        return self._start("neighbour", fault, node, rate=rate, size=size, lasts_s=fault.duration_s)

    def inject(self, fault: PlannedFault, node: Node) -> None:
        """Let the neighbour in."""
        self._helper(fault, node).begin()

    def read_back(self, fault: PlannedFault, node: Node) -> str:
        """Ask the neighbour."""
        deadline = time.monotonic() + SEEN_WITHIN_S
        while not (report := self._helper(fault, node).report())["sent"]:
            if time.monotonic() > deadline:
                raise FaultError(f"the heavy neighbour of {node.name} sends nothing")
            time.sleep(POLL_S)
        return f"the heavy neighbour of {node.name} has sent {report['sent']} reads"

    def observe(self, fault: PlannedFault, node: Node) -> str:
        """Hold what the node says it has written against what was asked of it.

        A node so far beyond its limit that it has not even its numbers for us is proven slow by
        what the neighbour has got of it.
        """
        rate, size = fault.attributes["rate"], fault.attributes["size"]
        time.sleep(min(LOOK_S, fault.duration_s / 2))
        deadline = time.monotonic() + SEEN_WITHIN_S
        while True:
            report = self._helper(fault, node).report()
            served = report["answered"] / report["elapsed_s"]
            is_slow = report["answered"] > 0 and report["mean_s"] >= SLOW_S
            said = (
                f"{node.name} serves its heavy neighbour {served:.0f} of {rate:g} reads/s, "
                f"{report['mean_s'] * 1000:.1f} ms each"
            )
            try:
                written = numbers(node)["bytes_written"] - self._written[node.name]
            except SilentError:
                if is_slow:
                    return f"{said}, and has no answer for anybody else"
                written = 0
            real = written >= report["answered"] * size > 0
            if real and (served >= SERVED_SHARE * rate or is_slow):
                return f"{said}, {written / 1e6:.0f} MB so far"
            if time.monotonic() > deadline:
                raise FaultError(f"{said}: the heavy neighbour itself is starved")
            time.sleep(POLL_S)


def _served(node: Node, most: int) -> int:
    """Open connections until one is not served, at most so many; give how many were."""
    with ExitStack() as all_of_them:
        for count in range(most):
            try:
                link = all_of_them.enter_context(Link(*node.direct, timeout_s=PROBE_S))
                link.ask(b"version\r\n", (b"\r\n",))
            except LinkError:
                return count
    return most
