"""Whether a client keeps its connections while nothing is wrong.

To connect for every call costs a round trip, a port and a descriptor on either side, and shows in
no latency on loopback. The servers count it: what they accepted, and what is open. A pool that
grows to what the load needs opens each connection once and keeps it; a call that fails may cost
one.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, field

from client.operation import Outcome
from memquake.limits import LIMITS
from telemetry.window import Window
from verdict.answers import answer, held, inconclusive, percent, worst
from verdict.compare import taken_back
from verdict.evidence import disturbances, lacking
from verdict.model import CheckResult, Contributor, Ruling
from verdict.node_events import LEDGER_USERS, connections_needed
from verdict.tallies import Tallies
from verdict.view import View
from verdict.witness_connections import ConnectionStep, connection_steps

NAME = "connections_kept"
CALLS_NEEDED = LIMITS[NAME].needed
SETTLE_S = 10.0
"""So long after its end a fault may cost connections, and so may a server that began anew."""

FEW = 5
"""Fewer are no habit, however few calls a node gets."""

OWN_CPU = 0.5
"""Of a core: a load process that takes less was not kept from its work by its own client."""

COUNTED = "new connections counted by the server"


@dataclass(slots=True)
class _Churn:
    """Connections and calls of one node in steady seconds."""

    node: str
    opened: int = 0
    open_more: int = 0  # at the end than at the begin
    failed: int = 0  # calls; each may cost a connection
    calls: int = 0
    steps: list[ConnectionStep] = field(default_factory=list)

    @property
    def seconds(self) -> frozenset[int]:
        """Windows, by their first second, that its steps go over."""
        return frozenset(second for step in self.steps for second in range(step.begin, step.end))

    def needless(self, most_open: int) -> int:
        """Count the connections that neither a growing pool nor a failed call explains."""
        grown = min(max(0, self.open_more), most_open)
        return max(0, self.opened - grown - self.failed)


def connections_kept(view: View) -> CheckResult:
    """Keep connections: at most one new one for each 100 calls to a node, outside faults."""
    limit = view.limit(NAME)
    found = [_churn(view, node) for node in view.facts.nodes]
    calls = sum(churn.calls for churn in found)
    if calls < CALLS_NEEDED:
        why = f"{calls:,} calls in steady seconds in which the servers were asked"
        few = lacking("calls", calls, CALLS_NEEDED)
        why = view.because(f"{why}, {CALLS_NEEDED:,} needed")
        return inconclusive(NAME, why, limit=limit, evidence=lambda: few)
    result = worst(NAME, [_judged(view, churn) for churn in found if churn.calls])
    if result.verdict is not Ruling.PASS:
        return result
    opened = sum(churn.opened for churn in found)
    why = f"{opened:,} new connections beside {calls:,} calls in steady seconds"
    return answer(NAME, Ruling.PASS, why, observed=result.observed, limit=limit)


def _judged(view: View, churn: _Churn) -> CheckResult:
    limit = view.limit(NAME)
    needless = churn.needless(connections_needed(view.facts))
    share = needless / churn.calls
    why = f"{churn.node}: {churn.opened:,} new connections for {churn.calls:,} calls"
    why += f" ({percent(share)})"
    is_kept = needless <= max(FEW, limit * churn.calls)
    result = held(NAME, is_kept, why, observed=share, limit=limit, evidence=lambda: _opened(churn))
    if not is_kept and not view.facts.connections_are_ours:
        return taken_back(result, "others may have made them, or a worker that was lost")
    moved = _moved_users(view)
    if not is_kept and moved and needless - moved <= max(FEW, limit * churn.calls):
        return taken_back(result, "users moved to a worker that joined late, and connected anew")
    late = set() if is_kept else _kept_waiting(view) & churn.seconds
    if late:
        clear = _churn(view, churn.node, left_out=late)
        if clear.needless(connections_needed(view.facts)) <= max(FEW, limit * clear.calls):
            reason = "the generator was saturated then, and not by its own work"
            return taken_back(result, reason, *disturbances(view, late))
    return result


def _kept_waiting(view: View) -> frozenset[int]:
    """Return the windows in which other work on the machine made the generator late.

    Connecting takes longer than its limit then, and is begun anew, although no call failed. A
    client that connects so often that its own process is late takes the processor for it.
    """
    return frozenset(
        second
        for second in view.saturated
        if max(view.windows[second].cpu.values(), default=1.0) < OWN_CPU
    )


def _opened(churn: _Churn) -> Sequence[Contributor]:
    """Give the new connections of each stretch of steady seconds, with its worst second."""
    tallies = Tallies()
    stretch, end = 0, -1
    for step in churn.steps:
        stretch += step.begin != end
        end = step.end
        tallies.add("", churn.node, COUNTED, step.grown, step.begin, step.end, stretch)
    worst_first = sorted(churn.steps, key=lambda step: step.per_second, reverse=True)
    return tallies.largest(
        [
            {"at_s": step.begin, "node": churn.node, "new_connections": step.grown}
            for step in worst_first[:1]
        ]
    )


def _moved_users(view: View) -> int:
    """Count the users that may have ended in one process and begun in another.

    That is how a worker that joins late, or comes back, gets its share. Each user may have a
    connection of its own to every node.
    """
    came = sum(worker.joined_at_s > 0 or bool(worker.away) for worker in view.facts.workers)
    return came * (view.facts.users + LEDGER_USERS)


def _churn(view: View, node: str, left_out: Set[int] = frozenset()) -> _Churn:
    churn = _Churn(node)
    steady = {
        second
        for second in view.row
        if second not in left_out
        and not any(
            view.phases.touches(span, second, view.ends(second), SETTLE_S)
            for span in view.phases.spans
        )
    }
    settled = 0.0
    for step in connection_steps(view, node):
        if step.restarted:
            settled = step.end + SETTLE_S
        seconds = [second for second in range(step.begin, step.end) if second in view.windows]
        if step.begin < settled or not steady.issuperset(seconds):
            continue
        churn.steps.append(step)
        churn.opened += step.grown
        churn.open_more += step.open_more
        for second in seconds:
            _add_calls(view, churn, view.windows[second])
    return churn


def _add_calls(view: View, churn: _Churn, window: Window) -> None:
    """Add the calls that reached a node in a window: a batch is one call to each of its nodes."""
    sums = view.sums(window.second, churn.node)
    churn.calls += sums.operations - sums.unattempted + window.batch_calls.get(churn.node, 0)
    cut_off = sum(
        cell.count
        for (_, node, outcome), cell in window.cells.items()
        if not node and outcome == Outcome.ABORTED
    )
    lost = sum(count for (_, nodes), count in window.batch_nothing.items() if churn.node in nodes)
    churn.failed += sums.failed - sums.unattempted + sums.aborted
    churn.failed += window.batch_failed.get(churn.node, 0) + lost + cut_off
