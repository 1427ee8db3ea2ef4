"""What each load process last said of itself, added up over the processes of a second.

A count may be added whenever it arrives; a state may not. A process samples once a second by its
own timer, so now and then it samples a second twice or not at all. Its rule: in each second a
process counts exactly once, with its newest sample, and a second it skipped gets the sample before
it. Otherwise a sum over processes would dip and rise again, and look like a breaker that opened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from telemetry.window import NodeState, Window

FILLED_S = 5
"""A process silent for longer than this is not assumed to be as it was."""


def _add_state(target: NodeState, state: NodeState, sign: int) -> None:
    for name, processes in state.breaker.items():
        left = target.breaker.get(name, 0) + sign * processes
        if left:
            target.breaker[name] = left
        else:
            target.breaker.pop(name, None)
    target.idle += sign * state.idle
    target.in_use += sign * state.in_use
    target.opened_total += sign * state.opened_total
    target.probes_total += sign * state.probes_total
    target.created_total += sign * state.created_total


@dataclass(slots=True)
class _Sample:
    second: int
    users: int | None = None
    nodes: Mapping[str, NodeState] = field(default_factory=dict)

    def apply(self, window: Window, sign: int) -> None:
        window.users += sign * (self.users or 0)
        for node, state in self.nodes.items():
            _add_state(window.nodes.setdefault(node, NodeState()), state, sign)


class Gauges:
    """Keeps each process's newest sample and writes the sums into windows."""

    def __init__(self, window_at: Callable[[int], Window]) -> None:
        self._window_at = window_at
        self._last: dict[str, _Sample] = {}

    def sample(
        self,
        worker: str,
        second: int,
        users: int | None,
        nodes: Mapping[str, NodeState] | None,
    ) -> None:
        """Let the process's state in `second` be this; None leaves that part as it was."""
        last = self._last.get(worker)
        if last is not None and second < last.second:
            return
        new = _Sample(second, users, nodes or {})
        if last is not None:
            if users is None:
                new.users = last.users
            if nodes is None:
                new.nodes = last.nodes
            if second == last.second:
                last.apply(self._window_at(second), -1)
            elif second - last.second <= FILLED_S:
                for skipped in range(last.second + 1, second):
                    last.apply(self._window_at(skipped), 1)
        new.apply(self._window_at(second), 1)
        self._last[worker] = new
