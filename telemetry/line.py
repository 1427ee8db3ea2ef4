"""One window as one line of timeline.jsonl: numbers to draw, no histograms.

Its rule: derive, never judge. Durations are whole microseconds, shares 0-1, and what was not
measured is null rather than 0. Latencies leave out calls that were never sent and calls the harness
cut off, because both would say something of a node that the node did not do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from client.operation import FAILURES, UNATTEMPTED, Outcome
from telemetry.histogram import Histogram, merge_into, percentile_us
from telemetry.window import Cell, NodeState, Window

READS: frozenset[str] = frozenset({Outcome.HIT, Outcome.MISS, Outcome.PARTIAL})
"""Outcomes of calls that asked for values, the ground of a hit ratio."""

UNTIMED: frozenset[str] = UNATTEMPTED | {Outcome.ABORTED}
"""Outcomes whose duration says nothing of the node."""


def percentile(histogram: Histogram, share: float) -> int | None:
    """Give a percentile in whole microseconds, None when nothing was measured."""
    value = percentile_us(histogram, share)
    return None if value is None else round(value)


def service_of(window: Window, node: str | None = None) -> Histogram:
    """Give service times of all timed calls, or of those whose key lives on `node`."""
    result: Histogram = {}
    for (_, where, outcome), cell in window.cells.items():
        if outcome not in UNTIMED and (node is None or where == node):
            merge_into(result, cell.service)
    return result


def response_of(window: Window) -> Histogram:
    """Return response times from the intended start, of the same calls as the service times.

    A call that was refused unsent took no time: in one of the two alone it would make an outage
    look better to a caller than it does to a node.
    """
    result: Histogram = {}
    for (_, _, outcome), cell in window.cells.items():
        if outcome not in UNTIMED:
            merge_into(result, cell.response)
    return result


def hit_ratio(cells: Iterable[tuple[str, Cell]]) -> float | None:
    """Give hits / keys asked for, over (outcome, cell) pairs; None when nothing was read."""
    hits = keys = 0
    for outcome, cell in cells:
        if outcome in READS:
            hits += cell.hits
            keys += cell.keys
    return hits / keys if keys else None


def _summed(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    result: dict[str, int] = {}
    for name, count in pairs:
        result[name] = result.get(name, 0) + count
    return result


def _node_line(window: Window, node: str) -> dict[str, Any]:
    ok = errors = 0
    for (_, where, outcome), cell in window.cells.items():
        if where == node:
            if outcome in FAILURES:
                errors += cell.count
            elif outcome != Outcome.ABORTED:
                ok += cell.count
    service = service_of(window, node)
    state = window.nodes.get(node, NodeState())
    return {
        "ok": ok,
        "errors": errors,
        "p50_us": percentile(service, 0.5),
        "p99_us": percentile(service, 0.99),
        "breaker": dict(state.breaker),
        "in_use": state.in_use,
        "idle": state.idle,
        "opened_total": state.opened_total,
        "batch_failed": window.batch_failed.get(node, 0),
    }


def to_line(window: Window) -> dict[str, Any]:
    """Give the window as JSON types: `t` its second, `length_s`, counts, percentiles, states."""
    cells = window.cells.items()
    nodes = {node for _, node, _ in window.cells} | set(window.nodes) | set(window.batch_failed)
    service, response = service_of(window), response_of(window)
    pacing = window.pacing
    ratio = hit_ratio((outcome, cell) for (_, _, outcome), cell in cells)
    return {
        "t": window.second,
        "length_s": window.length_s,
        "operations": _summed((op, cell.count) for (op, _, _), cell in cells),
        "workers": dict(window.workers),
        "keys": sum(cell.keys for _, cell in cells),
        "outcomes": _summed((str(outcome), cell.count) for (_, _, outcome), cell in cells),
        "errors": _summed(
            (str(outcome), cell.count) for (_, _, outcome), cell in cells if outcome in FAILURES
        ),
        "error_classes": _summed((kind, count) for (_, _, _, kind), count in window.raised.items()),
        "nodes": {node: _node_line(window, node) for node in sorted(nodes - {""})},
        "service_p50_us": percentile(service, 0.5),
        "service_p99_us": percentile(service, 0.99),
        "response_p50_us": percentile(response, 0.5),
        "response_p99_us": percentile(response, 0.99),
        "hit_ratio": None if ratio is None else round(ratio, 6),
        "pacing": {
            "planned": pacing.planned,
            "sent": pacing.sent,
            "dropped": pacing.dropped,
            "busy_samples": pacing.busy_samples,
            "late_samples": pacing.late_samples,
        },
        "lag_p99_us": percentile(window.lag, 0.99),
        "cpu": {worker: round(share, 4) for worker, share in window.cpu.items()},
        "machine": None
        if window.machine is None
        else {name: round(cores, 4) for name, cores in asdict(window.machine).items()},
        "server": {node: dict(stats) for node, stats in window.server.items()},
        "users": window.users,
        "origin": {"calls": window.origin_calls, "peak": window.origin_peak},
    }
