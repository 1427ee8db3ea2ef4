"""What happens to the nodes during a run, by their own statistics from look to look.

A node may restart, go away, evict or be flushed, by a fault of the plan or by whoever else can
reach it, from the first stored key on. Each look is held against the one before it. Which of these
changes were planned is for the verdict to say. Nothing here asks a server.

A process is known by its pid and its start. In a container every process has the same pid, so both
are looked at; a process that was there before the last look is no restart but another server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from verdict.model import NodeChange, NodeEvent

Stats = Mapping[str, int]

LOSING = ("evictions", "slab_reassign_evictions_nomem", "slab_reassign_busy_deletes")
"""What a server counts when it drops items that were neither deleted nor expired."""

RISING = ("total_connections", "total_items", "cmd_get", "cmd_set", "cmd_flush", *LOSING)
"""Counters that one process never lowers, unless it is told to reset its statistics."""

REFUSING = ("rejected_connections", "listen_disabled_num")
"""What memcached counts at its limit: connections that it refused, or times that it took no more
(without maxconns_fast; it says `accepting_conns` 0 meanwhile)."""

LASTING = (NodeChange.EVICTED, NodeChange.FULL)
"""Changes that go on from look to look."""

SAME_START_S = 1
"""Both of the numbers that give a server's start are whole seconds."""

UPTIME_SLACK_S = 4.0
"""memcached counts its uptime from two seconds before its start, and its clock ticks by the second:
by this much a process may seem older than it is."""

SILENT_LOOKS = 2
"""A busy machine may be late for one look; a node that refuses connections is away at once."""

SERVED = ("cmd_get", "cmd_set")
SERVED_SHARE = 0.25
"""A node that was silent to looks and served this share of its usual load was not away: the machine
was too busy to answer or to ask in time. What a halted node finds in its sockets when it goes on is
one call a connection."""


class Process(NamedTuple):
    """What tells one server process from another."""

    pid: int
    start: int

    @classmethod
    def of(cls, stats: Stats) -> Process:
        """Return the process that gave these statistics."""
        return cls(stats.get("pid", 0), stats.get("time", 0) - stats.get("uptime", 0))

    def is_same(self, other: Process) -> bool:
        """Tell whether two sets of statistics come from the same process."""
        return self.pid == other.pid and abs(self.start - other.start) <= SAME_START_S


@dataclass(slots=True)
class _Seen:
    """One node up to its latest look; times of the caller's clock."""

    stats: Stats = field(default_factory=dict)
    at: float | None = None  # of the last look that was answered
    out_since: float | None = None
    silent_looks: int = 0
    is_away: bool = False
    has_refused: bool = False  # since it was last there
    served_per_s: float = 0.0  # as last seen while it answered every look
    processes: list[Process] = field(default_factory=list)


class NodeMonitor:
    """The changes of all nodes, in the order in which they were noticed."""

    def __init__(self) -> None:
        self._nodes: dict[str, _Seen] = {}
        self._events: list[NodeEvent] = []
        self.several: dict[str, str] = {}  # nodes that are not one server -> why

    def answered(self, node: str, at: float, stats: Stats) -> list[NodeChange]:
        """Take the statistics that a node gave at a moment; return what has changed."""
        seen = self._nodes.setdefault(node, _Seen())
        since = seen.at if seen.at is not None else seen.out_since
        found: list[tuple[NodeChange, int]] = []
        served_per_s = _served_per_s(seen, at, stats)
        if seen.is_away and not _has_served(seen, served_per_s, stats):
            found.append((NodeChange.AWAY, 1))
        if not seen.is_away:
            seen.served_per_s = served_per_s
        if seen.at is not None:
            found += self._compared(node, seen, at, stats)
        elif not seen.processes:
            seen.processes.append(Process.of(stats))
        for change, count in found:
            assert since is not None
            limit = stats.get("max_connections", 0) if change is NodeChange.FULL else 0
            self._note(
                NodeEvent(
                    node=node, change=change, from_s=since, until_s=at, count=count, limit=limit
                )
            )
        seen.stats, seen.at = stats, at
        seen.out_since, seen.silent_looks, seen.is_away, seen.has_refused = None, 0, False, False
        return [change for change, _ in found]

    def refused(self, node: str, at: float) -> None:
        """Take a look that a node had no place for."""
        seen = self._nodes.setdefault(node, _Seen())
        self._note(
            NodeEvent(
                node=node,
                change=NodeChange.FULL,
                from_s=at if seen.at is None else seen.at,
                until_s=at,
                limit=seen.stats.get("max_connections", 0),
            )
        )

    def unanswered(self, node: str, at: float, *, refused: bool) -> bool:
        """Take a look that was not answered; tell whether the node is away since now."""
        seen = self._nodes.setdefault(node, _Seen())
        if seen.out_since is None:
            seen.out_since = at if seen.at is None else seen.at
        seen.silent_looks += 1
        seen.has_refused = seen.has_refused or refused
        was_away, seen.is_away = (
            seen.is_away,
            seen.is_away or refused or seen.silent_looks >= SILENT_LOOKS,
        )
        return seen.is_away and not was_away

    def events(self, epoch: float) -> list[NodeEvent]:
        """Return every change, in seconds since `epoch`; who is away still is so to the end."""
        away = [
            NodeEvent(node=node, change=NodeChange.AWAY, from_s=seen.out_since, until_s=None)
            for node, seen in self._nodes.items()
            if seen.is_away and seen.out_since is not None
        ]
        return [
            replace(
                event,
                from_s=round(event.from_s - epoch, 3),
                until_s=None if event.until_s is None else round(event.until_s - epoch, 3),
            )
            for event in [*self._events, *away]
        ]

    def evicted(self, nodes: Sequence[str]) -> dict[str, int]:
        """Return how many items each of `nodes` has evicted since its first look, if any."""
        found = {
            node: sum(
                event.count
                for event in self._events
                if event.node == node and event.change is NodeChange.EVICTED
            )
            for node in nodes
        }
        return {node: count for node, count in found.items() if count}

    def _compared(
        self, node: str, seen: _Seen, at: float, stats: Stats
    ) -> list[tuple[NodeChange, int]]:
        """Return the changes, each with its count, since the last look that was answered."""
        # The cases: 1. another process that was there before the last look; 2. one begun since;
        # 3. the same one, its statistics reset; 4. the same one, counting on.
        assert seen.at is not None
        now, last = Process.of(stats), Process.of(seen.stats)
        if not now.is_same(last):
            was_there = stats.get("uptime", 0) > at - seen.at + UPTIME_SLACK_S
            is_back = any(now.is_same(known) for known in seen.processes)
            seen.processes.append(now)
            if was_there or is_back:
                self.several.setdefault(node, f"{_words(last)} and {_words(now)} answer for it")
                return []
            return [(NodeChange.RESTARTED, 1)]
        grown = {name: stats.get(name, 0) - seen.stats.get(name, 0) for name in RISING}
        if min(grown.values()) < 0:
            return [(NodeChange.RESET, 1)]
        found = [(NodeChange.FLUSHED, grown["cmd_flush"])] if grown["cmd_flush"] else []
        refused = sum(max(0, stats.get(name, 0) - seen.stats.get(name, 0)) for name in REFUSING)
        if refused or stats.get("accepting_conns") == 0:
            found.append((NodeChange.FULL, max(refused, 1)))
        lost = sum(grown[name] for name in LOSING)
        return [*found, (NodeChange.EVICTED, lost)] if lost else found

    def _note(self, event: NodeEvent) -> None:
        alike = (e.node == event.node and e.change is event.change for e in self._events)
        last = max((i for i, is_alike in enumerate(alike) if is_alike), default=None)
        if (
            event.change in LASTING
            and last is not None
            and self._events[last].until_s == event.from_s
        ):
            begun = self._events.pop(last)
            event = replace(event, from_s=begun.from_s, count=begun.count + event.count)
        self._events.append(event)


def _served_per_s(seen: _Seen, at: float, stats: Stats) -> float:
    """Return the commands a second that a node counted since the last look it answered."""
    if seen.at is None or at <= seen.at:
        return 0.0
    return sum(stats.get(name, 0) - seen.stats.get(name, 0) for name in SERVED) / (at - seen.at)


def _has_served(seen: _Seen, served_per_s: float, stats: Stats) -> bool:
    """Return whether the same process went on serving while it gave no look an answer."""
    return (
        not seen.has_refused
        and bool(seen.stats)
        and Process.of(stats).is_same(Process.of(seen.stats))
        and served_per_s >= SERVED_SHARE * seen.served_per_s > 0
    )


def _words(process: Process) -> str:
    return f"process {process.pid}, started at {process.start}"
