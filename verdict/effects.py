"""Whether a fault was felt in the run itself: by the calls, and by the servers' counts.

The harness's probes have seen every fault that was confirmed. Here the users' own calls are asked:
a fault that they went around, or that changed nothing for them, proves nothing about the client.
Says what speaks against the effect, never what follows from it.
"""

from __future__ import annotations

from verdict.phases import FaultSpan
from verdict.sums import waiting_calls
from verdict.view import View

BYPASS_COMMANDS = 20
"""The harness's own direct reads stay below this in the seconds of one fault."""

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
    """Name the nodes that kept getting commands while their proxy let nothing through.

    Calls that all failed prove the fault held, whatever reached the server. Those sent a timeout
    before the heal say nothing: an answer that was held comes in time once it is let go.
    """
    record = span.record
    if "unavailable" not in record.effects or "toxiproxy" not in record.emulated_by.lower():
        return []
    lines = []
    seconds = view.phases.inside(span.begins, span.heal - view.facts.op_timeout_s)
    for node in record.nodes:
        grown = view.server_commands(node, seconds)
        calls = view.total(seconds, node)
        if calls.operations >= BYPASS_COMMANDS and calls.completed == 0:
            continue
        if grown is not None and grown[0] > BYPASS_COMMANDS:
            counted = f"{node} counted {grown[0]} commands while {record.id} cut it off"
            lines.append(f"the client goes past the proxy: {counted}")
    return lines


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
