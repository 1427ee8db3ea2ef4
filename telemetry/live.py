"""The last few seconds of a run as numbers for pages, gauges and a terminal.

Its rule: the seconds looked at are those of the master's own clock. When every node is gone and no
request ends any more, the rates fall to zero; read from the last request, they would stand still.
Pure: reads a timeline, changes nothing, knows no page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from client.operation import FAILURES, Outcome
from telemetry.counts import STATES
from telemetry.histogram import Histogram, merge_into, percentile_us
from telemetry.line import READS, response_of, service_of
from telemetry.timeline import Timeline
from telemetry.window import NodeState, Window

REPORT_LAG_S = 1.25
"""A second is reported up to one second after its end; a little more for the way."""

BREAKER_ORDER = STATES
"""From harmless to worst; a node shows the worst state any process has for it."""


@dataclass(frozen=True, kw_only=True)
class NodeNumbers:
    """One node over the last seconds. Times in milliseconds, None when nothing was measured."""

    node: str
    breaker: str  # worst state of any process, "" when no client tells
    breakers: Mapping[str, int]  # state -> processes
    in_use: int
    idle: int
    operations: int
    hits: int
    errors: int
    service_p50_ms: float | None
    service_p99_ms: float | None


@dataclass(frozen=True, kw_only=True)
class LiveNumbers:
    """All nodes over the last seconds. `second` is the newest second looked at, -1 before any."""

    second: int
    seconds: int
    users: int
    operations_per_s: float
    keys_per_s: float
    errors_per_s: float
    error_rate: float  # share of operations that failed, 0 when there were none
    hit_ratio: float | None
    service_p50_ms: float | None
    service_p99_ms: float | None
    response_p50_ms: float | None
    response_p99_ms: float | None
    nodes: Mapping[str, NodeNumbers]


@dataclass(frozen=True, kw_only=True)
class Rates:
    """The counts of the last seconds, without latencies: cheap enough for every scrape."""

    seconds: int
    users: int
    operations_per_s: float
    keys_per_s: float
    errors_per_s: float
    error_rate: float  # share of operations that failed, 0 when there were none
    hit_ratio: float | None
    states: Mapping[str, NodeState]  # newest of each node


def worst_breaker(states: Mapping[str, int]) -> str:
    """Give the worst of the states that any process reports, "" when none does."""
    present = [state for state, processes in states.items() if processes > 0]
    if not present:
        return ""
    return max(present, key=lambda s: BREAKER_ORDER.index(s) if s in BREAKER_ORDER else -1)


def _ms(histogram: Histogram, share: float) -> float | None:
    value = percentile_us(histogram, share)
    return None if value is None else value / 1_000


def _node(windows: list[Window], node: str) -> NodeNumbers:
    operations = hits = errors = 0
    service: Histogram = {}
    for window in windows:
        for (_, where, outcome), cell in window.cells.items():
            if where == node and outcome != Outcome.ABORTED:
                operations += cell.count
                hits += cell.hits
                errors += cell.count if outcome in FAILURES else 0
        merge_into(service, service_of(window, node))
    state = next((w.nodes[node] for w in reversed(windows) if node in w.nodes), None)
    return NodeNumbers(
        node=node,
        breaker=worst_breaker(state.breaker) if state else "",
        breakers=dict(state.breaker) if state else {},
        in_use=state.in_use if state else 0,
        idle=state.idle if state else 0,
        operations=operations,
        hits=hits,
        errors=errors,
        service_p50_ms=_ms(service, 0.5),
        service_p99_ms=_ms(service, 0.99),
    )


def _last(timeline: Timeline, seconds: int, now_s: float | None) -> list[Window]:
    """Give the windows of the last whole seconds by the master's clock."""
    now = timeline.now_s if now_s is None else now_s
    end = max(0, int(now - REPORT_LAG_S))
    return [timeline.window(second) for second in range(max(0, end - seconds), end)]


def _rates(windows: list[Window]) -> Rates:
    operations = keys = errors = hits = read = 0
    states: dict[str, NodeState] = {}
    for window in windows:
        for (_, _, outcome), cell in window.cells.items():
            if outcome == Outcome.ABORTED:
                continue
            operations += cell.count
            keys += cell.keys
            errors += cell.count if outcome in FAILURES else 0
            if outcome in READS:
                hits += cell.hits
                read += cell.keys
        states.update(window.nodes)
    length = max(1, len(windows))
    return Rates(
        seconds=len(windows),
        users=windows[-1].users if windows else 0,
        operations_per_s=operations / length,
        keys_per_s=keys / length,
        errors_per_s=errors / length,
        error_rate=errors / operations if operations else 0.0,
        hit_ratio=hits / read if read else None,
        states=states,
    )


def recent_rates(timeline: Timeline, seconds: int = 5, now_s: float | None = None) -> Rates:
    """Give the rates of the last `seconds` whole seconds by the master's clock."""
    return _rates(_last(timeline, seconds, now_s))


def recent(timeline: Timeline, seconds: int = 5, now_s: float | None = None) -> LiveNumbers:
    """Give the numbers of the last `seconds` whole seconds by the master's clock.

    `now_s` looks back from another moment, for instance the end of a run that is over.
    """
    windows = _last(timeline, seconds, now_s)
    rates = _rates(windows)
    service: Histogram = {}
    response: Histogram = {}
    for window in windows:
        merge_into(service, service_of(window))
        merge_into(response, response_of(window))
    names = {node for _, node, _ in timeline.cumulative} | {n for w in windows for n in w.nodes}
    return LiveNumbers(
        second=windows[-1].end - 1 if windows else -1,
        seconds=rates.seconds,
        users=rates.users,
        operations_per_s=rates.operations_per_s,
        keys_per_s=rates.keys_per_s,
        errors_per_s=rates.errors_per_s,
        error_rate=rates.error_rate,
        hit_ratio=rates.hit_ratio,
        service_p50_ms=_ms(service, 0.5),
        service_p99_ms=_ms(service, 0.99),
        response_p50_ms=_ms(response, 0.5),
        response_p99_ms=_ms(response, 0.99),
        nodes={name: _node(windows, name) for name in sorted(names - {""})},
    )
