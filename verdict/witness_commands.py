"""The servers as witnesses of commands: how many it took to answer the calls.

Each server counts the keys it was asked for and the writes it was sent, and is asked directly once
a second, just after the second begins. The keys that the harness read or stored by itself are in
the same counts and are taken off, by the second.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

from client.operation import UNATTEMPTED, Outcome
from telemetry.window import Window
from verdict.answers import MOST_CONTRIBUTORS, held, inconclusive, worst
from verdict.compare import taken_back
from verdict.evidence import lacking
from verdict.model import CheckResult, Contributor
from verdict.view import BATCHES, View

COMMANDS = (
    *("cmd_get", "cmd_set", "cmd_touch"),  # cas counts as cmd_set, a meta read as cmd_get
    *("incr_hits", "incr_misses", "decr_hits", "decr_misses", "delete_hits", "delete_misses"),
)
COUNTED_S = 3
COUNTED_CALLS = 500
EDGE_S = 0.25
"""The counts are read a little after their second begins; calls of that long are granted."""


@dataclass(slots=True)
class _Counted:
    """Commands and calls of the stretches in which the same nodes were unaffected."""

    nodes: tuple[str, ...]
    commands: float = 0.0
    calls: float = 0.0
    seconds: int = 0
    by_node: dict[str, tuple[int, int, int]] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """Commands for each call."""
        return self.commands / self.calls

    def contributors(self) -> list[Contributor]:
        """Give the nodes with most commands."""
        ranked = sorted(self.by_node.items(), key=lambda item: item[1][0], reverse=True)
        return [
            Contributor(
                outcome=f"commands counted by the server, for {self.calls:,.0f} calls to all",
                node=node,
                from_s=begin,
                to_s=end,
                count=commands,
                share=commands / self.commands if self.commands else None,
            )
            for node, (commands, begin, end) in ranked[:MOST_CONTRIBUTORS]
        ]


def retry_amplification(view: View) -> CheckResult:
    """Send the unaffected nodes at most 1.2 commands for each call, as the servers count them.

    A key of a batch is a call. What was answered for an affected node without that node having
    been asked has moved, and counts as a call to the others.
    """
    name = "retry_amplification"
    limit = view.limit(name)
    counted = amplification(view)
    if not counted:
        why = f"{COUNTED_S} s with {COUNTED_CALLS} calls and the servers' counts are needed"
        counted_s = sum(_has_counts(view, second) for second in view.row)
        few = lacking("seconds with the servers' counts", counted_s, COUNTED_S)
        return inconclusive(name, view.because(why), limit=limit, evidence=lambda: few)
    return worst(name, [_amplified(view, sums) for sums in counted])


def _amplified(view: View, sums: _Counted) -> CheckResult:
    name = "retry_amplification"
    limit = view.limit(name)
    ratio = sums.ratio
    where = "all nodes" if len(sums.nodes) == len(view.facts.nodes) else ", ".join(sums.nodes)
    why = f"{where}: {sums.commands:,.0f} commands for {sums.calls:,.0f} calls"
    result = held(
        name, ratio <= limit, why, observed=ratio, limit=limit, evidence=sums.contributors
    )
    if ratio > limit and not view.facts.connections_are_ours:
        return taken_back(result, "others may have sent them, or a worker that was lost")
    return result


def amplification(view: View) -> list[_Counted]:
    """Give commands and calls by the nodes that were unaffected, under faults and without.

    Only where there are enough of both to tell.
    """
    found: dict[tuple[tuple[str, ...], bool], _Counted] = {}
    for nodes, under_fault, seconds in _stretches(view):
        known = [s for s in (*seconds, view.ends(seconds[-1])) if _has_counts(view, s)]
        if len(known) < 2:
            continue
        begin, end = known[0], known[-1]
        inside = [view.windows[second] for second in range(begin, end) if second in view.windows]
        affected = [node for node in view.facts.nodes if node not in nodes]
        counted = {node: _commands(view, node, begin, end) for node in nodes}
        commands = sum(counted.values())
        calls = sum(_calls(window, nodes) for window in inside)
        for node in affected:
            answered = sum(_answered(window, node) for window in inside)
            calls += max(0, answered - _commands(view, node, begin, end))
        edge = EDGE_S * calls / (end - begin)
        sums = found.setdefault((nodes, under_fault), _Counted(nodes=nodes))
        sums.commands += max(0.0, commands - edge)
        sums.calls += calls
        sums.seconds += end - begin
        for node, count in counted.items():
            before, since, _ = sums.by_node.get(node, (0, begin, end))
            sums.by_node[node] = (before + count, since, end)
    return [s for s in found.values() if s.seconds >= COUNTED_S and s.calls >= COUNTED_CALLS]


def _stretches(view: View) -> list[tuple[tuple[str, ...], bool, list[int]]]:
    """Give (unaffected nodes, whether under a fault, seconds in a row) of the deciding windows."""
    found: list[tuple[tuple[str, ...], bool, list[int]]] = []
    for second in view.row:
        kind = tuple(view.unaffected(second)), view.phases.is_under_fault(second)
        if not kind[0]:
            continue
        if found and found[-1][:2] == kind and view.ends(found[-1][2][-1]) == second:
            found[-1][2].append(second)
        else:
            found.append((*kind, [second]))
    return found


def _has_counts(view: View, second: int) -> bool:
    window = view.windows.get(second)
    return window is not None and all(
        "cmd_get" in window.server.get(node, {}) for node in view.unaffected(second)
    )


def _commands(view: View, node: str, begin: int, end: int) -> int:
    """Count the commands of the clients that a node counted between two samples.

    A node that was down has none; one that restarted began again from nothing.
    """
    totals = [
        sum(stats.get(counter, 0) for counter in COMMANDS)
        for second in range(begin, end + 1)
        if (window := view.windows.get(second)) is not None
        and (stats := window.server.get(node)) is not None
    ]
    grown = sum(max(0, later - earlier) for earlier, later in itertools.pairwise(totals))
    own = sum(
        view.windows[second].own_commands.get(node, 0)
        for second in range(begin, end + 1)
        if second in view.windows
    )
    return max(0, grown - own)


def _calls(window: Window, nodes: Sequence[str]) -> int:
    """Count the keys asked of nodes in single-key calls that were attempted, and in batches.

    Keys of which nobody knows where they live count as well.
    """
    single = sum(
        cell.keys
        for (op, node, outcome), cell in window.cells.items()
        if outcome not in UNATTEMPTED and (node in nodes or _is_unplaced(op, node))
    )
    batched = sum(window.batch_keys.get(node, 0) for node in (*nodes, ""))
    return single + batched


def _is_unplaced(op: str, node: str) -> bool:
    return node == BATCHES and not op.endswith("_many")


def _answered(window: Window, node: str) -> int:
    """Count the keys of a node that were answered, by whichever node."""
    single = sum(
        cell.keys
        for (_, owner, outcome), cell in window.cells.items()
        if owner == node and outcome in _ANSWERED
    )
    failed = window.batch_failed.get(node, 0)
    return single + max(0, window.batch_keys.get(node, 0) - failed)


_ANSWERED = frozenset(
    {
        *(Outcome.HIT, Outcome.MISS, Outcome.STORED, Outcome.NOT_STORED, Outcome.DELETED),
        *(Outcome.NOT_FOUND, Outcome.COUNTED, Outcome.TOUCHED, Outcome.WRONG_VALUE),
    }
)
