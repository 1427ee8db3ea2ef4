"""Whether anything happened in a second that a check may ask about, by generous limits.

A second that is not remarkable is like thousands of others: a long run keeps only its sums. The
limits lie well below those of the checks, because what is kept in vain costs a few bytes, and what
is folded can be judged second by second no more. It judges nothing.
"""

from __future__ import annotations

from client.operation import FAILURES, Outcome
from telemetry.histogram import bucket_of, percentile_us
from telemetry.window import Window

LAG_US = 8_000  # of the hub, p99: a saturated generator is told from 20 ms on
LONG_BUCKET = bucket_of(50_000)  # a call of 50 ms may be late for a short op_timeout
BUSY_CPU = 0.8  # of a core: a load process counts as saturated from 0.9 on
SENT = 0.95  # of the planned starts

STEADY_COUNTERS = (
    *("pid", "evictions", "cmd_flush", "slab_reassign_evictions_nomem"),
    *("rejected_connections", "listen_disabled_num"),
)
"""What a server counts and should not change; `uptime` and totals must not fall."""

RISING_COUNTERS = ("uptime", "total_connections", "cmd_get", "cmd_set")


def is_remarkable(window: Window, before: Window | None) -> bool:
    """Return whether the second deserves to be kept for itself, given the one before it."""
    return (
        not window.cells
        or _has_trouble(window)
        or _is_loaded(window)
        or (before is not None and _has_changed(window, before))
    )


def _has_trouble(window: Window) -> bool:
    return (
        bool(window.batch_failed)
        or any(
            outcome in FAILURES
            or outcome == Outcome.ABORTED
            or max(cell.service, default=0) >= LONG_BUCKET
            for (_, _, outcome), cell in window.cells.items()
        )
        or any(set(state.breaker) - {"closed"} for state in window.nodes.values())
    )


def _is_loaded(window: Window) -> bool:
    pacing = window.pacing
    lag = percentile_us(window.lag, 0.99)
    return (
        lag is None
        or lag > LAG_US
        or max(window.cpu.values(), default=0.0) > BUSY_CPU
        or bool(pacing.dropped)
        or pacing.sent < SENT * pacing.planned
    )


def _has_changed(window: Window, before: Window) -> bool:
    if window.users != before.users or window.workers.keys() != before.workers.keys():
        return True
    if window.server.keys() != before.server.keys() or window.nodes.keys() != before.nodes.keys():
        return True
    for node, state in window.nodes.items():
        if state.opened_total != before.nodes[node].opened_total:
            return True
    for node, now in window.server.items():
        was = before.server[node]
        if any(now.get(name) != was.get(name) for name in STEADY_COUNTERS):
            return True
        if any(now.get(name, 0) < was.get(name, 0) for name in RISING_COUNTERS):
            return True
    return False
