"""Faults of the node itself: its process is killed or halted.

Only processes that the harness started can be treated so, and those of nodes whose agent it may
tell; it acts on them through their cluster, never by a pid of its own finding.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from cluster.errors import ClusterError
from cluster.node import Node, spell
from cluster.probe import ProbeError, RefusedError, version
from faults.backends.base import POLL_S, SILENCE_S, expect_answer, expect_silence, on_each
from faults.errors import FaultError
from faults.guard_child import start_time
from faults.planned import PlannedFault

SIGNALLED_WITHIN_S = 1.0  # a signal takes effect when the process is next scheduled


class NodeControl(Protocol):
    """The cluster that may treat the nodes' processes."""

    nodes: list[Node]

    def kill_node(self, name: str) -> None:
        """End a node at once."""

    def restart_node(self, name: str) -> None:
        """Start it again, empty, on its port."""

    def pause_node(self, name: str) -> None:
        """Halt it."""

    def resume_node(self, name: str) -> None:
        """Let it go on."""

    def is_alive(self, name: str) -> bool:
        """Tell whether its process lives."""

    def is_paused(self, name: str) -> bool:
        """Tell whether its process is halted."""


@runtime_checkable
class AgentControl(NodeControl, Protocol):
    """One that has somebody else do it."""

    def undo(self, name: str) -> Mapping[str, Any]:
        """Give what the guard does to have a node back, whatever was done to it."""


@runtime_checkable
class ProcessControl(NodeControl, Protocol):
    """One that owns the processes."""

    def argv(self, name: str) -> Sequence[str]:
        """Give the command line that starts it."""

    def pids(self) -> Mapping[str, int]:
        """Give process ids by node name."""


class ProcessBackend:
    """Kinds crash and hang."""

    def __init__(self, control: ProcessControl | AgentControl) -> None:
        self._control = control

    def needs(self, fault: PlannedFault) -> str:
        """Nothing: the cluster that is given has all its nodes in hand."""
        return ""

    def stand_in(self, fault: PlannedFault) -> str:
        """Nothing: what is done is what the kind says."""
        return ""

    def undos(self, fault: PlannedFault) -> Mapping[str, Mapping[str, Any]]:
        """Start the node again, or wake it."""
        if isinstance(self._control, AgentControl):
            return {name: self._control.undo(name) for name in fault.nodes}
        if fault.kind == "crash":
            return {
                name: {"kind": "respawn", "argv": list(self._control.argv(name))}
                for name in fault.nodes
            }
        pids = self._control.pids()
        return {
            name: {"kind": "cont", "pid": pids[name], "start": start_time(pids[name])}
            for name in fault.nodes
        }

    def inject(self, fault: PlannedFault) -> None:
        """Kill or halt the nodes."""
        act = self._control.kill_node if fault.kind == "crash" else self._control.pause_node
        self._act(fault, act)

    def read_back(self, fault: PlannedFault) -> str:
        """Ask the system for the state of the process."""
        wanted = "dead" if fault.kind == "crash" else "halted"
        for name in fault.nodes:
            self._await(name, wanted)
        return "; ".join(f"memcached of {name} is {wanted}" for name in fault.nodes)

    def observe(self, fault: PlannedFault) -> str:
        """Ask the node directly: refused, or silent."""

        def look(name: str) -> str:
            direct = self._node(name).direct
            if fault.kind == "hang":
                return expect_silence(name, direct)
            try:
                version(direct, SILENCE_S)
            except RefusedError:
                return f"{spell(direct)} of {name} refuses connections"
            except ProbeError as why:
                raise FaultError(f"{name} was to be dead, but {why}") from None
            raise FaultError(f"{name} was to be dead, but answered")

        return "; ".join(on_each(fault.nodes, look))

    def heal(self, fault: PlannedFault) -> None:
        """Start the nodes again, or wake them."""
        act = self._control.restart_node if fault.kind == "crash" else self._control.resume_node
        self._act(fault, act)

    def read_back_healed(self, fault: PlannedFault) -> str:
        """Ask the system for the state of the process."""
        for name in fault.nodes:
            self._await(name, "running")
        return "; ".join(f"memcached of {name} is running" for name in fault.nodes)

    def observe_healed(self, fault: PlannedFault) -> str:
        """Go the way of a client until an answer comes."""
        return "; ".join(
            on_each(fault.nodes, lambda name: expect_answer(name, self._node(name).address))
        )

    def clean(self) -> list[str]:
        """Wake every halted node and start every dead one."""
        cleaned = []
        for node in self._control.nodes:
            state = self._state(node.name)
            if state == "halted":
                self._control.resume_node(node.name)
                cleaned.append(f"resumed {node.name}")
            elif state == "dead":
                try:
                    self._control.restart_node(node.name)
                except ClusterError as why:
                    raise FaultError(str(why)) from None
                cleaned.append(f"restarted {node.name}")
        return cleaned

    def leftovers(self) -> list[str]:
        """Name halted and dead nodes."""
        states = {node.name: self._state(node.name) for node in self._control.nodes}
        return [f"{name} is {state}" for name, state in states.items() if state != "running"]

    def _act(self, fault: PlannedFault, act: Callable[[str], None]) -> None:
        # All at once: the first of several must not be back, or gone, before the last is.
        try:
            on_each(fault.nodes, act)
        except ClusterError as why:
            raise FaultError(str(why)) from None

    def _await(self, name: str, wanted: str) -> None:
        deadline = time.monotonic() + SIGNALLED_WITHIN_S
        while (state := self._state(name)) != wanted:
            if time.monotonic() > deadline:
                raise FaultError(f"memcached of {name} was to be {wanted} and is {state}")
            time.sleep(POLL_S)

    def _state(self, name: str) -> str:
        if not self._control.is_alive(name):
            return "dead"
        return "halted" if self._control.is_paused(name) else "running"

    def _node(self, name: str) -> Node:
        return next(node for node in self._control.nodes if node.name == name)
