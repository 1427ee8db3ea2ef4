"""Memory pressure: the limit is lowered, and a helper stores values until the node evicts.

The limit that was is written into the node itself, so that a later run finds it even where this
one and its guard were both killed.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Mapping
from typing import Any

from cluster.direct import access_in_use
from cluster.node import Node
from faults.backends.base import POLL_S
from faults.backends.treatment import Treatment, numbers
from faults.errors import FaultError
from faults.guard_child import start_time
from faults.helpers.link import Link, LinkError
from faults.planned import PlannedFault

MARK = b"memquake-memlimit"
EVICTS_WITHIN_S = 3.5  # filling 64 MB takes a second; a proof is not waited for longer than 4 s
MB = 1 << 20


class MemoryLimit(Treatment):
    """Kind memory."""

    def __init__(self) -> None:
        super().__init__()
        self._before: dict[str, tuple[int, int]] = {}  # node -> limit in MB, evictions

    def needs(self, fault: PlannedFault, node: Node) -> str:
        """Ask for a limit below the node's own, and for a node that lets it be changed."""
        with Link(*node.direct) as link:
            has = link.numbers()["limit_maxbytes"] // MB
            if fault.attributes["limit_mb"] >= has:
                return f"{node.name} has {has} MB of memory: give a lower limit"
            try:
                _set_limit(link, has)  # as it is
            except LinkError as why:
                return f"{node.name} does not let its limit be changed (is it run with -L?): {why}"
        return ""

    def prepare(self, fault: PlannedFault, node: Node) -> Mapping[str, Any]:
        """Restore the limit and end the helper."""
        stats = numbers(node)
        megabytes = stats["limit_maxbytes"] // MB
        self._before[node.name] = megabytes, stats["evictions"]
        helper = self._start(
            "press", fault, node, lasts_s=fault.duration_s, mark=MARK.decode("ascii")
        )
        host, port = node.direct
        lines = [
            [f"cache_memlimit {megabytes}", ["OK"]],
            [f"delete {MARK.decode()}", ["DELETED", "NOT_FOUND"]],
        ]
        access = access_in_use().to_wire()
        tell = {"kind": "tell", "host": host, "port": port, "lines": lines, "access": access}
        return {"kind": "all", "undos": [helper, tell]}

    def inject(self, fault: PlannedFault, node: Node) -> None:
        """Note the limit in the node, lower it, let the helper fill the rest."""
        with Link(*node.direct) as link:
            note = json.dumps(_owner() | {"mb": self._before[node.name][0]}).encode()
            link.ask(b"set %s 0 0 %d\r\n%s\r\n" % (MARK, len(note), note))
            _set_limit(link, int(fault.attributes["limit_mb"]))
        self._helper(fault, node).begin()

    def read_back(self, fault: PlannedFault, node: Node) -> str:
        """Ask the node for its limit."""
        wanted = int(fault.attributes["limit_mb"])
        has = numbers(node)["limit_maxbytes"] // MB
        if has != wanted:
            raise FaultError(f"the limit of {node.name} was to be {wanted} MB and is {has} MB")
        return f"the memory limit of {node.name} reads back as {has} MB"

    def observe(self, fault: PlannedFault, node: Node) -> str:
        """See the node's count of evictions rise."""
        before = self._before[node.name][1]
        deadline = time.monotonic() + EVICTS_WITHIN_S
        while True:
            # The first to go are fillers of our own; the load feels it once all is full.
            full = not self._helper(fault, node).report()["filling"]
            now = numbers(node)["evictions"]
            late = time.monotonic() > deadline
            if now > before and (full or late):
                return f"evictions of {node.name} rose from {before} to {now}"
            if late:
                raise FaultError(
                    f"{node.name} evicted nothing in {EVICTS_WITHIN_S:g} s: the pages that it "
                    "already had have room for more"
                )
            time.sleep(POLL_S)

    def heal(self, fault: PlannedFault, node: Node) -> None:
        """Restore the limit, then let the helper delete its keys."""
        if node.name in self._before:
            with Link(*node.direct) as link:
                _restore(link, self._before[node.name][0])
        super().heal(fault, node)

    def read_back_healed(self, fault: PlannedFault, node: Node) -> str:
        """Ask the node for its limit."""
        before, _ = self._before.get(node.name, (0, 0))
        has = numbers(node)["limit_maxbytes"] // MB
        if has != before:
            raise FaultError(f"the limit of {node.name} is {has} MB and was {before} MB")
        return f"the memory limit of {node.name} reads back as {has} MB"

    def clean(self, node: Node) -> list[str]:
        """Restore a limit that a dead run has lowered."""
        cleaned = super().clean(node)
        with Link(*node.direct) as link:
            note = _note(link)
            if note is not None and _is_left(note):
                _restore(link, int(note["mb"]))
                cleaned.append(f"restored the memory limit of {node.name}, {note['mb']} MB")
        return cleaned

    def leftovers(self, node: Node) -> list[str]:
        """Name a limit that we, or a dead run, have lowered."""
        with Link(*node.direct) as link:
            note = _note(link)
        if note is None or not _is_left(note):
            return super().leftovers(node)
        return [*super().leftovers(node), f"the memory limit of {node.name} is lowered"]


def _set_limit(link: Link, megabytes: int) -> None:
    link.ask(b"cache_memlimit %d\r\n" % megabytes)


def _restore(link: Link, megabytes: int) -> None:
    _set_limit(link, megabytes)
    link.ask(b"delete %s\r\n" % MARK)


def _owner() -> dict[str, Any]:
    pid = os.getpid()
    return {"pid": pid, "start": start_time(pid), "host": socket.gethostname()}


def _is_left(note: Mapping[str, Any]) -> bool:
    """Tell whether we lowered the limit, or a run of this host that is no more."""
    if note["host"] != socket.gethostname():
        return False
    return int(note["pid"]) == os.getpid() or start_time(int(note["pid"])) != note["start"]


def _note(link: Link) -> dict[str, Any] | None:
    answer = link.ask(b"get %s\r\n" % MARK)
    head, _, body = answer.partition(b"\r\n")
    if not head.startswith(b"VALUE "):
        return None
    try:
        found: dict[str, Any] = json.loads(body[: int(head.split()[3])])
        return found if {"pid", "mb", "host", "start"} <= found.keys() else None
    except (ValueError, AttributeError):
        return None  # somebody else's key
