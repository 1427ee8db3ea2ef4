"""Calls that a client refused by itself, whatever it called the error: told from outside.

A call that was sent to a node takes a round trip at the least, and the node, its proxy or the
kernel has seen it. One that fails within a fraction of that, where nothing that is sent can fail so
soon, was never sent. The cases in which that is certain:
1. The client says so, by the name of a breaker.
2. No fault is on the node, which answers the harness, and it has seen no command and no connection.
3. The fault on it is one under which whatever is sent waits, and calls did wait for it.
A full pool refuses calls as well, and rightly: with as many calls waiting as it holds nothing is
told by those that failed at once. How many it holds is what the client was given, or what was seen
of it: where calls failed at once under a silent fault before any that was sent could have failed,
no breaker had a reason yet, and so many as waited then were all that its pool held. On a healthy
node nothing of that is seen, and the name of what was raised has to tell.
"""

from __future__ import annotations

import math

from client.operation import Outcome
from faults.effect import Effect
from telemetry.histogram import lowest_us
from telemetry.window import SLICE_BUCKET_SHIFT, SLICES_A_SECOND, Cell, Window
from verdict.phases import FaultSpan
from verdict.sums import waiting_failures
from verdict.view import View
from verdict.witness_connections import connection_steps

AT_ONCE_US = 1_000
"""No answer, not even a refusal of the kernel's, reaches a client of an event loop so soon and in
nearly all of its calls."""

SILENT = frozenset({"timeout", "hang", "loss", "partition", "stall", "no_connect"})
"""Kinds of faults under which nothing that is sent fails before its time limit."""

BY_ANY_NAME = frozenset(
    {
        *(Outcome.OTHER_ERROR, Outcome.TIMEOUT, Outcome.POOL_TIMEOUT),
        *(Outcome.SERVER_ERROR, Outcome.PROTOCOL_ERROR),
    }
)
OF_THE_SYSTEM = frozenset({Outcome.REFUSED, Outcome.CLOSED, Outcome.UNREACHABLE})
"""What a kernel may answer at once, but not under a silent fault."""

CUTTING = frozenset({"no_connect"})
"""Those of them that may end open connections as they begin, which fails calls at once."""

POOL_WORDS = ("pool", "toomany", "exhausted")
QUEUE_ENDS = ("Empty", "Full")
"""Names of what pools raise: in words of their own, or as the queue that they are made of."""

FEW = 5  # calls that fail at once by chance
WAITED = 0.5  # of the op_timeout: a call that was sent under a silent fault
BUSY_POOL = 0.5  # of its connections in use by calls that wait: then it may well be full
SEEN = 0.05  # of the calls: what reached the node by other ways


def refusals(view: View, second: int, node: str) -> int:
    """Count the single-key calls to a node in a window that the client refused by itself."""
    window = view.windows[second]
    named = named_refusals(view, second, node)
    spans = [
        span
        for span in view.phases.spans
        if span.hits(node) and span.injected < second + 1 and second < span.healed
    ]
    if not spans:
        suspects = _count(window, node, BY_ANY_NAME)
        return named + (suspects if suspects and not _was_asked(view, second, node) else 0)
    if len(spans) > 1 or not _is_silent(view, spans[0], node):
        return named
    if _is_pool_full(view, window, node, spans[0]):
        return named
    return named + _count(window, node, BY_ANY_NAME | OF_THE_SYSTEM)


def named_refusals(view: View, second: int, node: str) -> int:
    """Count those that the client itself says are a breaker's."""
    breaker = frozenset({Outcome.BREAKER_OPEN})
    return _count(view.windows[second], node, breaker, at_once=False)


def _count(window: Window, node: str, outcomes: frozenset[str], *, at_once: bool = True) -> int:
    """Count the calls to a node with one of the outcomes, those of a millisecond or less."""
    found = sum(
        _quick(cell) if at_once else cell.count
        for (_, owner, outcome), cell in window.cells.items()
        if owner == node and outcome in outcomes
    )
    if at_once:
        found -= sum(
            count
            for (_, owner, _, kind), count in window.raised.items()
            if owner == node and _is_no_refusal(kind)
        )
    return max(0, found)


def _is_no_refusal(kind: str) -> bool:
    """Return whether a class of errors is the system's (out of descriptors) or a pool's."""
    words = kind.lower().replace("_", "")
    return kind in (OSError.__name__, *QUEUE_ENDS) or any(word in words for word in POOL_WORDS)


def _quick(cell: Cell) -> int:
    return sum(count for bucket, count in cell.service.items() if lowest_us(bucket) < AT_ONCE_US)


def _was_asked(view: View, second: int, node: str) -> bool:
    """Return whether a node saw anything of the calls of a window, True where nobody knows."""
    counted = view.server_commands(node, (second, second + 1))
    steps = [step for step in connection_steps(view, node) if step.begin == second]
    if counted is None or not steps or steps[0].restarted:
        return True
    most = SEEN * view.sums(second, node).operations
    return counted[0] > most or steps[0].grown > most


def _is_pool_full(view: View, window: Window, node: str, span: FaultSpan) -> bool:
    """Return whether so many calls waited that a pool may have been in use.

    One of the given size, or a smaller one that was seen to fill as the fault began.
    """
    state = window.nodes.get(node)
    if state is not None and state.in_use >= view.facts.pool_size:
        return True
    waits = _waits(view, node, window.second, window.end)
    in_use = waits * view.facts.op_timeout_s / window.length_s
    size = view.facts.pool_size * view.processes
    return in_use >= BUSY_POOL * min(size, _seen_to_fill(view, node, span) or size)


def _seen_to_fill(view: View, node: str, span: FaultSpan) -> int:
    """Return how many calls a pool held when it refused others as a fault began, 0 for none."""
    if span.record.kind in CUTTING:
        return 0
    width, limit = 1 / SLICES_A_SECOND, view.facts.op_timeout_s
    parts = [*view.slices(node, span.injected - width, span.injected + limit + width)]
    fails = (
        start + lowest_us(min(part.waiting_failed) << SLICE_BUCKET_SHIFT) / 1e6
        for start, part in parts
        if part.waiting_failed
    )
    first = min(fails, default=-math.inf)
    before = [part for start, part in parts if start + width <= first]
    waited = sum(sum(part.waiting_failed.values()) for part in before)
    at_once = sum(part.failed for part in before) - waited
    return waited if at_once > FEW else 0


def _waits(view: View, node: str, begin: float, end: float) -> int:
    """Count the calls sent to a node between two moments that waited for it and failed."""
    threshold_us = WAITED * view.facts.op_timeout_s * 1e6
    return sum(waiting_failures(part, threshold_us) for _, part in view.slices(node, begin, end))


def _is_silent(view: View, span: FaultSpan, node: str) -> bool:
    """Return whether a fault makes everything wait, as it did when it began."""
    record = span.record
    is_of_kind = record.kind in SILENT and Effect.UNAVAILABLE in record.effects and record.confirmed
    return is_of_kind and _waits(view, node, math.floor(span.injected), span.heal) > 0
