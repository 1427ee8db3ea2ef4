"""Whether a fault was felt in the run itself: by the calls, and by the servers' counts.

The harness's probes have seen every fault that was confirmed. Here the users' own calls are asked:
a fault that they went around, or that changed nothing for them, proves nothing about the client.
Says what speaks against the effect, never what follows from it.
"""

from __future__ import annotations

from client.operation import Outcome
from faults.effect import Effect
from telemetry.histogram import lowest_us
from telemetry.window import WAITING_FROM_US
from verdict.ledger import moved_keys
from verdict.phases import FaultSpan
from verdict.sums import waiting_calls
from verdict.view import View

OF_PROXIES = frozenset({"toxiproxy", "doors", "names"})
"""Backends that break the proxy before a node and not the node."""

COUNTED = 0.5  # commands for each value: the server is asked a little before the seconds end

CALLS_NEEDED = 20
FELT_CALLS = 5
"""So many calls beyond what is usual prove a delay: a client may soon turn away from the node."""

FELT_PART = 0.5  # of the delay: what a call that felt it takes at the very least
SHORTEST_S = 0.020
"""Half a shorter delay is lost among the usual latencies of a busy machine."""

CHANCE = 2.0  # slow calls beyond this multiple of the baseline's share are no chance


def without_effect(view: View, span: FaultSpan) -> list[str]:
    """Say in one line each why a fault proves nothing; empty where nothing speaks against it."""
    return [*_bypasses(view, span), *_unfelt(view, span)]


def _bypasses(view: View, span: FaultSpan) -> list[str]:
    """Name the nodes that the client is connected to past the proxy that the fault is made by.

    Commands alone prove nothing: a proxy that holds replies lets requests through, and a client
    that makes a miss of a timeout completes its calls. Where no such connection was seen, the node
    must have given values at once, in about as many commands, while no reply could come, and
    while its keys were nowhere else.
    """
    record = span.record
    if record.backend not in OF_PROXIES:
        return []
    lines = []
    for node in record.nodes:
        direct = sum((worker.past_proxies or {}).get(node, 0) for worker in view.facts.workers)
        if direct:
            shown = f"{direct} of its connections lead to the port of {node} itself"
            lines.append(f"the client goes past the proxy: {shown}")
        elif Effect.UNAVAILABLE in record.effects:
            lines += _answered(view, span, node)
    return lines


def _answered(view: View, span: FaultSpan, node: str) -> list[str]:
    """Return how a node that was cut off gave values at once; a copy from elsewhere asks it not.

    Values of keys that were seen on another node come from there, while calls that wait ask this
    one: such seconds prove nothing.
    """
    moved = moved_keys(view)
    seconds = [s for s in view.phases.during(span) if not moved.covers(node, s)]
    grown = view.server_commands(node, seconds)
    hits = sum(
        count
        for second in seconds
        for (_, owner, outcome), cell in view.windows[second].cells.items()
        if owner == node and outcome == Outcome.HIT
        for bucket, count in cell.service.items()
        if lowest_us(bucket) < WAITING_FROM_US
    )
    if grown is None or hits < CALLS_NEEDED or grown[0] < COUNTED * hits:
        return []
    return [
        f"{node} gave {hits} values at once, in {grown[0]} commands, while {span.record.id} cut it "
        "off"
    ]


def _unfelt(view: View, span: FaultSpan) -> list[str]:
    """Name the nodes whose calls took no longer although every answer was held up."""
    # An answer that is held comes with the heal.
    delay_s = min(span.record.adds_s, view.facts.op_timeout_s, span.length_s)
    if delay_s < SHORTEST_S:
        return []
    baseline = view.phases.baseline
    lines = []
    for node in span.record.nodes:
        calls, slow = _slow_calls(view, node, span.begins, span.heal, FELT_PART * delay_s)
        if calls < CALLS_NEEDED or not baseline:
            continue
        before = (float(baseline[0]), float(baseline[-1] + 1))
        usual_calls, usual = _slow_calls(view, node, *before, FELT_PART * delay_s)
        chance = usual / usual_calls * calls if usual_calls else 0.0
        if slow <= CHANCE * chance + FELT_CALLS:
            lines.append(
                f"{span.record.id} was to add {delay_s * 1000:.0f} ms on {node}, but "
                f"{slow} of {calls} calls there took half of that or more"
            )
    return lines


def _slow_calls(
    view: View, node: str, begin: float, end: float, threshold_s: float
) -> tuple[int, int]:
    """Count the calls sent to a node between two moments, and those that took so long."""
    attempted = slow = 0
    for _, part in view.slices(node, begin, end):
        attempted += part.calls - part.unattempted
        slow += waiting_calls(part, threshold_s * 1e6)
    return attempted, slow
