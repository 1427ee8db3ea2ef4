"""What happened to nodes without a plan: restarts, absences, flushes, evictions, their limits.

A run may go on beside them, but no client is convicted of them. Whatever a node lost is excused up
to that moment; the seconds in which it was away or new, and the time allowed to recover from that,
decide nothing; and a fault of the plan that met with it is not judged by its failures. Changes that
a fault of the plan explains are none of this module's business.

A node at its limit of connections is such a node only where calls failed for it: callers may well
take turns on what it serves. Whoever fills it must be somebody else: a client that holds more
connections than its calls can need is excused of nothing, and neither is any in a cluster of our
own, where nobody else connects.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from client.operation import FAILURES, Outcome
from faults.effect import Effect
from faults.journal import FaultRecord
from memquake.limits import RECOVERS_WITHIN_S
from telemetry.window import Pacing, Window
from verdict.budgets import limit_of
from verdict.model import Contributor, NodeChange, NodeEvent, RunFacts

BEFORE_FAULT_S = 1.5
"""A change is dated from the look before it, and there is a look a second."""

AFTER_FAULT_S = 2.5
"""It is seen by the first look after it, which a busy machine may answer late."""

LOSSES = frozenset({NodeChange.RESTARTED, NodeChange.FLUSHED, NodeChange.EVICTED, NodeChange.RESET})
"""Changes after which items may be gone."""

COMMANDED = frozenset({NodeChange.FLUSHED, NodeChange.RESET})
"""Changes that come of a command that any client may send."""

ABSENCES = frozenset({NodeChange.AWAY, NodeChange.RESTARTED})
"""Changes that fail the calls of any client."""


LEDGER_USERS = 8  # a process, beside the run's own users
POOL_BESIDE = 8, 0.25
"""So many connections a process, or such a part of the rest, for a pool that batches have."""

NOT_OF_CONNECTIONS = frozenset({Outcome.WRONG_VALUE, Outcome.BUG, Outcome.BAD_RESULT})
"""Failures that no limit of connections brings about."""


@dataclass(frozen=True, kw_only=True)
class Incident:
    """A node that went away or restarted without a plan; `end` is infinite where it stayed away.

    With `refused` it was there, and had no place for so many connections more than `limit`; it
    ends with the last call that failed for it.
    """

    node: str
    begin: float
    end: float
    is_restart: bool = False
    refused: int = 0
    limit: int = 0

    def settled_s(self, wait_s: float) -> float:
        """Return from when on nothing of it is left, with the time to recover from an absence."""
        return self.end if self.refused else self.end + wait_s

    @property
    def words(self) -> str:
        """What happened, in half a line."""
        if self.refused:
            return _words_of_a_limit(self.node, self.refused, self.limit, self.begin, self.end)
        if self.is_restart and self.end - self.begin <= BEFORE_FAULT_S:
            return f"{self.node} restarted at {self.begin:z.0f} s, not by memquake"
        until = "to the end" if math.isinf(self.end) else f"to {self.end:.0f} s"
        also = ", and restarted" if self.is_restart else ""
        return f"{self.node} was away from {self.begin:z.0f} s {until}{also}, not by memquake"

    @property
    def contributor(self) -> Contributor:
        """The same as a part of what a check found."""
        end = None if math.isinf(self.end) else self.end
        return Contributor(outcome=self.words, node=self.node, from_s=self.begin, to_s=end)


def last_loss_s(facts: RunFacts, node: str) -> float:
    """Return until when a node may have lost items by itself, by plan or not; -inf for never."""
    ends = [event.until_s for event in facts.node_events if event.node == node and _loses(event)]
    return max((math.inf if end is None else end for end in ends), default=-math.inf)


def last_sure_loss_s(facts: RunFacts, node: str) -> float:
    """Return the same without what may be the doing of the client under test.

    Any client may flush a node, or reset its statistics, which hides that; nobody but the client
    under test is known to reach nodes of our own.
    """
    if not facts.connections_are_ours:
        return last_loss_s(facts, node)
    doubtful = [event for event in unplanned_events(facts) if event.change in COMMANDED]
    sure = [event for event in facts.node_events if event not in doubtful]
    return last_loss_s(replace(facts, node_events=sure), node)


def may_lack_items(facts: RunFacts, node: str, second: int) -> bool:
    """Return whether a node has lost items by the end of a second, by plan or not."""
    by_itself = any(
        event.node == node and _loses(event) and event.from_s < second + 1
        for event in facts.node_events
    )
    return by_itself or any(
        node in fault.nodes
        and fault.effects & {Effect.COLD, Effect.PRESSURE}
        and fault.injected_at_s is not None
        and fault.injected_at_s < second + 1
        for fault in facts.faults
    )


def lost_before_the_run(facts: RunFacts) -> bool:
    """Tell whether any node may have lost items while they were stored."""
    return any(event.from_s < 0 and _loses(event) for event in facts.node_events)


def resets(facts: RunFacts) -> list[NodeEvent]:
    """Return when a node was told to begin its counts anew: any client may tell it, ours too."""
    return [event for event in facts.node_events if event.change is NodeChange.RESET]


def is_away_at_the_end(facts: RunFacts, node: str) -> bool:
    """Tell whether a node did not answer the last look: it may have gone, with all it had."""
    return any(
        event.node == node and event.change is NodeChange.AWAY and event.until_s is None
        for event in facts.node_events
    )


def was_flushed_by_others(facts: RunFacts, node: str) -> bool:
    """Tell whether a node was flushed without a plan: `flush_all` may also take effect later."""
    return any(
        event.node == node and event.change is NodeChange.FLUSHED
        for event in unplanned_events(facts)
    )


def unplanned_events(facts: RunFacts) -> list[NodeEvent]:
    """Return the changes that no fault of the plan explains, as far as none does."""
    found = []
    for event in facts.node_events:
        covers = _covers(facts.faults, event)
        until = math.inf if event.until_s is None else event.until_s
        cover = next((c for c in covers if c[0] <= event.from_s <= c[1]), None)
        if cover is None:
            found.append(event)
        elif until > cover[1]:  # away for longer than its fault
            found.append(replace(event, from_s=cover[1]))
    return found


def incidents(facts: RunFacts) -> list[Incident]:
    """Return the absences and restarts that no fault of the plan explains, one after the other."""
    found: list[Incident] = []
    events = [event for event in unplanned_events(facts) if event.change in ABSENCES]
    for event in sorted(events, key=lambda event: (event.node, event.from_s)):
        end = math.inf if event.until_s is None else event.until_s
        is_restart = event.change is NodeChange.RESTARTED
        last = found[-1] if found else None
        if last is not None and last.node == event.node and event.from_s <= last.end:
            found[-1] = replace(
                last, end=max(last.end, end), is_restart=last.is_restart or is_restart
            )
        else:
            found.append(
                Incident(node=event.node, begin=event.from_s, end=end, is_restart=is_restart)
            )
    return sorted([*found, *_limits(facts)], key=lambda incident: incident.begin)


def _limits(facts: RunFacts) -> list[Incident]:
    """Return the times in which a node was at its limit of connections and calls failed for it."""
    found = []
    for event in unplanned_events(facts):
        if event.change is not NodeChange.FULL or facts.connections_are_ours:
            continue
        if _is_filled_by_client(facts, event.node):
            continue
        begin = event.from_s - facts.op_timeout_s
        until = facts.duration_s if event.until_s is None else event.until_s
        bad = [
            window.end
            for window in facts.windows
            if window.end > begin
            and window.second <= until + recovery_s(facts)
            and _has_failed(window, event.node)
        ]
        if bad:
            found.append(
                Incident(
                    node=event.node,
                    begin=event.from_s,
                    end=float(max(*bad, math.ceil(until))),
                    refused=event.count,
                    limit=event.limit,
                )
            )
    return found


def connections_needed(facts: RunFacts) -> int:
    """Return how many connections to one node all calls that can be under way at once may need.

    Pools may be full, and each user may have one of its own.
    """
    processes = max(1, len(facts.workers))
    users = max([facts.users, *(window.users for window in facts.windows)])
    return max(facts.pool_size * processes * facts.groups, users + LEDGER_USERS * processes)


def _is_filled_by_client(facts: RunFacts, node: str) -> bool:
    """Return whether the load processes hold more connections to a node than calls can need."""
    needed, (least, part) = connections_needed(facts), POOL_BESIDE
    beside = max(least * max(1, len(facts.workers)), part * needed)
    return _held(facts, node) > needed + beside


def _held(facts: RunFacts, node: str) -> int:
    """Return the most connections that the load processes were seen to hold to a full node."""
    return sum(worker.connections_held.get(node, 0) for worker in facts.workers)


def _has_failed(window: Window, node: str) -> bool:
    """Return whether calls to a node, or to several at once, failed as they do without a place."""
    return bool(window.batch_failed.get(node)) or any(
        cell.count
        for (_, asked, outcome), cell in window.cells.items()
        if asked in (node, "") and outcome in FAILURES and outcome not in NOT_OF_CONNECTIONS
    )


def _words_of_a_limit(node: str, refused: int, limit: int, begin: float, end: float) -> str:
    at_most = f" (max_connections {limit})" if limit else ""
    return (
        f"{node} was at its limit of connections{at_most} from {begin:z.0f} s to {end:.0f} s and "
        f"refused or held back {refused:,} more"
    )


def _words_of_a_leak(facts: RunFacts, node: str) -> str:
    if not _is_filled_by_client(facts, node):
        return ""
    needed = connections_needed(facts)
    return f"; the client held {_held(facts, node):,} of them, and its calls need {needed:,}"


def notes(facts: RunFacts) -> list[str]:
    """Return a line for each node and kind of change that was not planned."""
    lines = [incident.words for incident in incidents(facts)]
    limits = _limits(facts)
    events = unplanned_events(facts)
    for node in facts.nodes:
        own = [event for event in events if event.node == node]
        for event in own:
            if event.change is NodeChange.FLUSHED:
                lines.append(f"{node} was flushed at {event.from_s:z.0f} s, not by memquake")
            elif event.change is NodeChange.FULL:
                if not any(each.node == node and each.begin == event.from_s for each in limits):
                    until = facts.duration_s if event.until_s is None else event.until_s
                    words = (node, event.count, event.limit, event.from_s, until)
                    lines.append(_words_of_a_limit(*words) + _words_of_a_leak(facts, node))
            elif event.change is NodeChange.RESET:
                lines.append(f"{node}: its statistics were reset at {event.from_s:z.0f} s")
        if evicted := sum(event.count for event in own if event.change is NodeChange.EVICTED):
            first = min(e.from_s for e in own if e.change is NodeChange.EVICTED)
            lines.append(f"{node} evicted {evicted:,} items, the first at {first:z.0f} s")
    if excused := excused_failures(facts):
        where = ", ".join(f"{n:,} {_where(node)}" for node, n in excused.most_common())
        lines.append(f"{excused.total():,} calls failed around that time and are excused: {where}")
    return lines


def excused_failures(facts: RunFacts) -> Counter[str]:
    """Return how many calls failed in the seconds that decide nothing, by node.

    A batch over several nodes has "" for its node. What no absence excuses is left out.
    """
    left_out = disturbed_seconds(facts)
    found: Counter[str] = Counter()
    for window in facts.windows:
        if left_out & set(range(window.second, window.end)):
            for (_, node, outcome), cell in window.cells.items():
                if outcome in FAILURES and outcome not in NOT_OF_CONNECTIONS:
                    found[node] += cell.count
    return +found


def _where(node: str) -> str:
    return f"on {node}" if node else "over several nodes"


def recovery_s(facts: RunFacts) -> float:
    """Return the time after a node is back in which its errors are part of what happened to it.

    A budget under the default convicts by `recovers_within` alone, not a second time by the errors
    of the same recovery.
    """
    return max(limit_of(facts, "recovers_within"), RECOVERS_WITHIN_S)


def disturbed_seconds(facts: RunFacts) -> frozenset[int]:
    """Return the seconds that decide nothing because of an incident, or of recovery from it."""
    wait_s = recovery_s(facts)
    return frozenset(
        second
        for incident in incidents(facts)
        for second in range(
            math.floor(incident.begin - facts.op_timeout_s),
            math.ceil(
                min(
                    incident.settled_s(wait_s),
                    max(facts.duration_s, incident.begin) + wait_s,
                )
            ),
        )
    )


def without_disturbed(facts: RunFacts) -> RunFacts:
    """Return the facts with nothing seen in the seconds that decide nothing."""
    left_out = disturbed_seconds(facts)
    if not left_out:
        return facts
    return replace(
        facts,
        windows=[
            _emptied(window) if left_out & set(range(window.second, window.end)) else window
            for window in facts.windows
        ],
        findings=[
            item
            for item in facts.findings
            if item.get("kind") != "close_failed" and _second_of(item) not in left_out
        ],
    )


def _second_of(finding: Mapping[str, Any]) -> int:
    """Return the second of a finding, -1 for one without."""
    at = finding.get("at_s")
    return math.floor(at) if isinstance(at, int | float) and math.isfinite(at) else -1


def words_of(found: Iterable[Incident]) -> str:
    """Say in one line what happened."""
    return "; ".join(incident.words for incident in found)


def met_with_faults(facts: RunFacts) -> list[Incident]:
    """Return what happened between the first fault of the plan and the end of the run."""
    return _met(facts, lasting=False)


def hid_faults(facts: RunFacts) -> list[Incident]:
    """Return what hides a part of a fault, or of the time to recover from it."""
    return _met(facts, lasting=True)


def _met(facts: RunFacts, *, lasting: bool) -> list[Incident]:
    spans = [
        (fault.injected_at_s, fault.healed_at_s)
        for fault in facts.faults
        if fault.injected_at_s is not None
    ]
    wait_s = recovery_s(facts)
    return [
        incident
        for incident in incidents(facts)
        if any(
            incident.settled_s(wait_s) >= begin
            and (not lasting or end is None or incident.begin <= end + wait_s)
            for begin, end in spans
        )
    ]


def _loses(event: NodeEvent) -> bool:
    return event.change in LOSSES


def _covers(faults: Iterable[FaultRecord], event: NodeEvent) -> Sequence[tuple[float, float]]:
    """Return the spans of time in which a fault explains a change of this kind, merged."""
    spans = sorted(
        (
            min(fault.injected_at_s, fault.begun_at_s or math.inf) - BEFORE_FAULT_S,
            math.inf if fault.healed_at_s is None else fault.healed_at_s + AFTER_FAULT_S,
        )
        for fault in faults
        if fault.injected_at_s is not None and event.node in fault.nodes and _explains(fault, event)
    )
    merged: list[tuple[float, float]] = []
    for begin, end in spans:
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged


def _explains(fault: FaultRecord, event: NodeEvent) -> bool:
    if event.change in (NodeChange.RESTARTED, NodeChange.FLUSHED):
        return Effect.COLD in fault.effects
    if event.change is NodeChange.EVICTED:
        return Effect.PRESSURE in fault.effects
    return bool(fault.effects)


def _emptied(window: Window) -> Window:
    """Return a window in which nothing was asked, with what the machine did meanwhile."""
    return replace(
        window,
        cells={},
        slices={},
        batch_failed={},
        batch_keys={},
        pacing=Pacing(),
        nodes={},
        server={},
    )
