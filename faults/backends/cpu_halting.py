"""A share of the time for a node: halted and woken in turn, where no group can be had."""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping
from typing import Any

import psutil

from cluster.node import Node
from faults.backends.helper import Helper
from faults.errors import FaultError
from faults.guard_child import send, start_time

LOOK_S = 0.6  # six periods
EVERY_S = 0.007  # no part of a period, so that looks do not beat with the turns
FELT_SHARE = 0.5  # of the looks that should find it halted; a busy machine shifts the turns
AWAKE_WITHIN_S = 1.0


class Halting:
    """Helpers that halt and wake, by node."""

    def __init__(self) -> None:
        self._helpers: dict[str, Helper] = {}

    def prepare(self, node: Node, pid: int, share: float, lasts_s: float) -> Mapping[str, Any]:
        """Start an idle helper; the undo ends it and then wakes the process."""
        start = start_time(pid) or ""
        helper = Helper("duty", {"pid": pid, "start": start, "share": share}, lasts_s)
        self._helpers[node.name] = helper
        wake = {"kind": "cont", "pid": pid, "start": start}
        return {"kind": "all", "undos": [helper.undo(), wake]}

    def begin(self, node: Node, pid: int, share: float) -> None:
        """Let it begin."""
        self._helper(node).begin()

    def read_back(self, node: Node, pid: int, share: float) -> str:
        """Ask the helper."""
        deadline = time.monotonic() + LOOK_S
        while not (report := self._helper(node).report())["turns"]:
            if time.monotonic() > deadline:
                raise FaultError(f"nobody halts memcached of {node.name}")
        return f"memcached of {node.name} is halted in turn, {report['turns']} times so far"

    def observe(self, node: Node, pid: int, share: float) -> str:
        """Look at the state of the process again and again."""
        looks = halted = 0
        deadline = time.monotonic() + LOOK_S
        while time.monotonic() < deadline:
            looks += 1
            halted += _is_halted(pid)
            time.sleep(EVERY_S)
        if halted < FELT_SHARE * (1 - share) * looks:
            raise FaultError(f"memcached of {node.name} was halted in {halted} of {looks} looks")
        return f"memcached of {node.name} was halted in {halted} of {looks} looks"

    def end(self, node: Node, pid: int) -> None:
        """End the helper; wake the process, whatever became of the helper."""
        helper = self._helpers.pop(node.name, None)
        if helper is not None:
            helper.end()
            send(pid, start_time(pid) or "", signal.SIGCONT)

    def read_back_healed(self, node: Node, pid: int) -> str:
        """See it running."""
        deadline = time.monotonic() + AWAKE_WITHIN_S
        while _is_halted(pid):
            if time.monotonic() > deadline:
                raise FaultError(f"memcached of {node.name} is still halted")
            time.sleep(EVERY_S)
        return f"memcached of {node.name} runs all the time"

    def clean(self) -> list[str]:
        """End helpers that are still there; they wake what they halted."""
        names = list(self._helpers)
        for name in names:
            self._helpers.pop(name).end()
        return [f"ended the halting of {name}" for name in names]

    def leftovers(self) -> list[str]:
        """Name nodes that are still halted in turn."""
        return [f"{name} is halted in turn" for name, one in self._helpers.items() if one.alive()]

    def _helper(self, node: Node) -> Helper:
        helper = self._helpers.get(node.name)
        if helper is None:
            raise FaultError(f"nobody halts {node.name}")
        return helper


def _is_halted(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    except psutil.Error:
        return False
