"""The servers as witnesses: connections and commands that they counted, asked directly.

What the harness itself did is in the same counts and is taken off: its connections exactly, by
running totals read at the same moment; its direct reads by the second. A sample of second k is
taken just after the second begins, so what grew from one to the next belongs to the first.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from client.operation import UNATTEMPTED, Outcome
from telemetry.window import Window
from verdict.answers import answer, held, inconclusive, not_applicable, worst
from verdict.model import CheckResult, Ruling
from verdict.phases import FaultSpan
from verdict.recovery import recoveries
from verdict.view import BATCHES, View

STORM_EFFECTS = frozenset({"unavailable", "degraded"})
UNSETTLED = 3
"""A probe that the heal cut off, and a connection on its way while the server counted."""

BORN_WITH = 2
"""Connections that a memcached counts when it has just begun: its own listening ones."""

COMMANDS = (
    *("cmd_get", "cmd_set", "cmd_touch"),  # cas counts as cmd_set, a meta read as cmd_get
    *("incr_hits", "incr_misses", "decr_hits", "decr_misses", "delete_hits", "delete_misses"),
)
COUNTED_S = 3
COUNTED_CALLS = 500
EDGE_S = 0.25
"""The counts are read a little after their second begins; calls of that long are granted."""


@dataclass(frozen=True, kw_only=True)
class _Step:
    """New connections of one node between two samples, the harness's own taken off."""

    begin: int
    end: int
    grown: int
    restarted: bool

    @property
    def per_second(self) -> float:
        """New connections a second; after a restart all of them came since the node was back."""
        return float(self.grown) if self.restarted else self.grown / (self.end - self.begin)


def no_reconnect_storm(view: View) -> CheckResult:
    """Open no more new connections to a node in the second after its heal than the pools hold."""
    name = "no_reconnect_storm"
    faults = [record for record in view.facts.faults if STORM_EFFECTS & record.effects]
    if not faults:
        return not_applicable(name, "no node was made unavailable or degraded")
    limit = view.limit(name)
    parts = [
        part
        for span, node in recoveries(view)
        if STORM_EFFECTS & span.record.effects
        if (part := _after_heal(view, span, node, limit)) is not None
    ]
    if not parts:
        why = view.because("no full second between a heal and what came next")
        return inconclusive(name, why, limit=limit)
    return worst(name, parts)


def _after_heal(view: View, span: FaultSpan, node: str, limit: float) -> CheckResult | None:
    name = "no_reconnect_storm"
    where = f"{node} after {span.record.id}"
    if not span.was_healed:
        return inconclusive(name, view.because(f"{where}: it never healed"), limit=limit)
    rate = reconnects(view, span, node)
    if rate is None:
        until = view.phases.next_injection(node, span.healed)
        if until < view.phases.load_end:
            return None
        why = view.because(f"{where}: the server was not asked in time")
        return inconclusive(name, why, limit=limit)
    why = f"{where}: {rate:.0f} new connections in a second"
    if rate > limit + UNSETTLED and not view.facts.connections_are_ours:
        why += "; others may have made them"
        return inconclusive(name, why, observed=rate, limit=limit)
    return held(name, rate <= limit + UNSETTLED, why, observed=rate, limit=limit)


def reconnects(view: View, span: FaultSpan, node: str) -> float | None:
    """Give the most new connections of a node in any second that touches the one after its heal.

    Of a second that the heal cuts in two, what came in the second before is taken off: a client
    that connects all the time does no more than that because of a heal. None without samples.
    """
    steps = _steps(view, node)
    until = view.phases.next_injection(node, span.healed)
    rates = []
    for before, step in itertools.pairwise([None, *steps]):
        assert step is not None
        if step.end <= span.heal or step.begin >= span.healed + 1.0 or step.end > until:
            continue
        usual = 0.0
        if step.begin < span.healed and before is not None and not step.restarted:
            usual = max(0.0, before.per_second)
        rates.append(max(0.0, step.per_second - usual))
    return max(rates, default=None)


def _steps(view: View, node: str) -> list[_Step]:
    samples = [
        (window.second, stats)
        for window in view.facts.windows
        if (stats := window.server.get(node)) is not None and "total_connections" in stats
    ]
    return [_step(view, node, was, now) for was, now in itertools.pairwise(samples)]


def _step(
    view: View,
    node: str,
    was: tuple[int, Mapping[str, int]],
    now: tuple[int, Mapping[str, int]],
) -> _Step:
    (begin, before), (end, after) = was, now
    restarted = (
        before.get("pid") != after.get("pid")
        or after["total_connections"] < before["total_connections"]
    )
    start = BORN_WITH if restarted else before["total_connections"]
    own = after.get("own_connections", 0) - before.get("own_connections", 0)
    own += sum(
        view.windows[second].own_connections.get(node, 0)
        for second in range(begin, end + 1)  # counted up to a second late
        if second in view.windows
    )
    grown = max(0, after["total_connections"] - start - own)
    return _Step(begin=begin, end=end, grown=grown, restarted=restarted)


@dataclass(slots=True)
class _Counted:
    """Commands and calls of the stretches in which the same nodes were unaffected."""

    nodes: tuple[str, ...]
    commands: float = 0.0
    calls: float = 0.0
    seconds: int = 0

    @property
    def ratio(self) -> float:
        """Commands for each call."""
        return self.commands / self.calls


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
        return inconclusive(name, view.because(why), limit=limit)
    return worst(name, [_amplified(view, sums) for sums in counted])


def _amplified(view: View, sums: _Counted) -> CheckResult:
    name = "retry_amplification"
    limit = view.limit(name)
    ratio = sums.ratio
    where = "all nodes" if len(sums.nodes) == len(view.facts.nodes) else ", ".join(sums.nodes)
    why = f"{where}: {sums.commands:,.0f} commands for {sums.calls:,.0f} calls"
    if ratio > limit and not view.facts.connections_are_ours:
        why += "; others may have sent them, or a worker that was lost"
        return inconclusive(name, why, observed=ratio, limit=limit)
    ruling = Ruling.PASS if ratio <= limit else Ruling.FAIL
    return answer(name, ruling, why, observed=ratio, limit=limit)


def amplification(view: View) -> list[_Counted]:
    """Give commands and calls by the nodes that were unaffected, under faults and without.

    Only where there are enough of both to tell.
    """
    found: dict[tuple[tuple[str, ...], bool], _Counted] = {}
    for nodes, under_fault, seconds in _stretches(view):
        known = [s for s in (*seconds, seconds[-1] + 1) if _has_counts(view, s)]
        if len(known) < 2:
            continue
        begin, end = known[0], known[-1]
        inside = [view.windows[second] for second in range(begin, end) if second in view.windows]
        affected = [node for node in view.facts.nodes if node not in nodes]
        commands = sum(_commands(view, node, begin, end) for node in nodes)
        calls = sum(_calls(window, nodes) for window in inside)
        for node in affected:
            answered = sum(_answered(window, node) for window in inside)
            calls += max(0, answered - _commands(view, node, begin, end))
        edge = EDGE_S * calls / (end - begin)
        sums = found.setdefault((nodes, under_fault), _Counted(nodes=nodes))
        sums.commands += max(0.0, commands - edge)
        sums.calls += calls
        sums.seconds += end - begin
    return [s for s in found.values() if s.seconds >= COUNTED_S and s.calls >= COUNTED_CALLS]


def _stretches(view: View) -> list[tuple[tuple[str, ...], bool, list[int]]]:
    """Give (unaffected nodes, whether under a fault, seconds in a row) of the deciding windows."""
    found: list[tuple[tuple[str, ...], bool, list[int]]] = []
    for second in view.phases.full:
        kind = tuple(view.unaffected(second)), view.phases.is_under_fault(second)
        if not kind[0]:
            continue
        if found and found[-1][:2] == kind and found[-1][2][-1] == second - 1:
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
