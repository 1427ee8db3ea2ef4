"""The run as Prometheus metrics, made from the timeline at each scrape.

Its rule: nothing is counted here. Counters are the timeline's own sums, so a scrape can never
disagree with the report; rates are of the last seconds, never since the start. The label `server`
is the node's name. It knows neither Locust nor who asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from client.operation import FAILURES, Outcome
from telemetry.histogram import Histogram, bucket_of, merge_into, middle_us
from telemetry.line import UNTIMED
from telemetry.live import BREAKER_ORDER, recent
from telemetry.timeline import Timeline

RATE_WINDOW_S = 5
"""Seconds behind rates: short enough to see a fault begin, long enough not to flicker."""

BOUNDS_S = (
    *(0.000_05, 0.000_1, 0.000_15, 0.000_2, 0.000_3, 0.000_5, 0.000_75),
    *(0.001, 0.001_5, 0.002, 0.003, 0.005, 0.007_5),
    *(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
"""Fine where a healthy memcached answers, coarse where timeouts lie."""

PHASES = ("", "stabilization", "testing", "recovery")
"""The value of `scenario_phase` is the place in this list."""


@dataclass(frozen=True, kw_only=True)
class ActiveToxic:
    """A fault in force on one node; numeric attributes become `toxiproxy_toxic_value`."""

    server: str
    kind: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class LiveState:
    """What the timeline does not know of the moment. Filled by whoever drives the run.

    `snapshots` holds the newest `snapshot()` of each worker's client by "host:port", `servers`
    translates those to node names. `runs` counts finished runs by (scenario, status).
    """

    scenario: str = ""
    phase: str = ""
    active: bool = False
    phase_durations_s: Mapping[str, float] = field(default_factory=dict)
    toxics: tuple[ActiveToxic, ...] = ()
    snapshots: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    servers: Mapping[str, str] = field(default_factory=dict)
    runs: Mapping[tuple[str, str], int] = field(default_factory=dict)


Source = Callable[[], tuple[Timeline | None, LiveState]]


def _count(value: Any) -> int:
    """Read a number from a stranger's snapshot; what is none counts as 0."""
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _mapping(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}


def cumulative_buckets(histogram: Histogram) -> tuple[list[tuple[str, float]], float]:
    """Give Prometheus buckets (upper bound, running count) and the approximate sum in seconds."""
    limits = [bucket_of(round(bound * 1e6)) for bound in BOUNDS_S]
    counts = [0] * (len(limits) + 1)
    total_us = 0.0
    for bucket, count in histogram.items():
        # A bucket that straddles a bound belongs below it: bounds are as exact as the buckets.
        place = next((i for i, limit in enumerate(limits) if bucket <= limit), len(limits))
        counts[place] += count
        total_us += middle_us(bucket) * count
    running, result = 0, []
    for bound, count in zip([*map(str, BOUNDS_S), "+Inf"], counts, strict=True):
        running += count
        result.append((bound, float(running)))
    return result, total_us / 1e6


class Metrics(Collector):
    """Collects at each scrape what `source` gives: the current timeline, if any, and the state."""

    content_type = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(self, source: Source) -> None:
        self._source = source
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def render(self) -> bytes:
        """Give all metrics in the text format."""
        return generate_latest(self.registry)

    def describe(self) -> Iterable[Metric]:
        """Say nothing ahead, so that registering does not read the source."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Give all metric families as of now."""
        timeline, state = self._source()
        if timeline is not None:
            yield from _operations(timeline)
            yield from _rates(timeline)
            yield from _latencies(timeline)
        yield from _breakers(state)
        yield from _pools(timeline, state)
        yield from _scenario(state)
        yield from _toxics(state)


def _operations(timeline: Timeline) -> Iterator[Metric]:
    by_status = {"success": 0, "failure": 0, "aborted": 0}
    outcomes = CounterMetricFamily(
        "memcache_outcomes",
        "Operations by kind, server and outcome.",
        labels=("operation", "server", "outcome"),
    )
    for (op, node, outcome), cell in timeline.cumulative.items():
        status = "success"
        if outcome in FAILURES:
            status = "failure"
        elif outcome == Outcome.ABORTED:
            status = "aborted"
        by_status[status] += cell.count
        outcomes.add_metric((op, node, str(outcome)), cell.count)
    total = CounterMetricFamily(
        "memcache_operations", "Finished operations since the start of the run.", labels=("status",)
    )
    for status, count in by_status.items():
        total.add_metric((status,), count)
    yield total
    yield outcomes
    yield CounterMetricFamily(
        "memcache_wrong_values",
        "Hits that failed verification.",
        value=timeline.totals()["wrong_values"],
    )


def _rates(timeline: Timeline) -> Iterator[Metric]:
    now = recent(timeline, RATE_WINDOW_S)
    over = f"over the last {RATE_WINDOW_S} s."
    yield GaugeMetricFamily(
        "memcache_operations_per_second",
        f"Finished operations a second {over}",
        value=now.operations_per_s,
    )
    yield GaugeMetricFamily(
        "memcache_error_rate", f"Share of operations that failed {over}", value=now.error_rate
    )
    yield GaugeMetricFamily("memcache_users", "Users running.", value=now.users)
    if now.hit_ratio is not None:
        yield GaugeMetricFamily(
            "memcache_hit_ratio", f"Hits of the keys asked for {over}", value=now.hit_ratio
        )


def _latencies(timeline: Timeline) -> Iterator[Metric]:
    service: dict[tuple[str, str], Histogram] = {}
    response: dict[tuple[str, str], Histogram] = {}
    for (op, node, outcome), cell in timeline.cumulative.items():
        if outcome not in UNTIMED:
            merge_into(service.setdefault((op, node), {}), cell.service)
        if outcome != Outcome.ABORTED and cell.response:
            merge_into(response.setdefault((op, node), {}), cell.response)
    for name, what, histograms in (
        ("memcache_operation_duration_seconds", "From the send to the answer.", service),
        ("memcache_response_duration_seconds", "From the intended start.", response),
    ):
        family = HistogramMetricFamily(name, what, labels=("operation", "server"))
        for labels, histogram in histograms.items():
            buckets, total_s = cumulative_buckets(histogram)
            family.add_metric(labels, buckets, total_s)
        yield family


def _by_server(state: LiveState) -> dict[str, list[Mapping[str, Any]]]:
    """Give the snapshots of all workers by node name."""
    result: dict[str, list[Mapping[str, Any]]] = {}
    for snapshot in state.snapshots.values():
        for label, said in _mapping(snapshot).items():
            name = state.servers.get(str(label), str(label))
            result.setdefault(name, []).append(_mapping(said))
    return result


def _breakers(state: LiveState) -> Iterator[Metric]:
    now = GaugeMetricFamily(
        "memcache_circuit_breaker_state",
        "Worst of all processes: 0 closed, 1 half-open, 2 open.",
        labels=("server",),
    )
    transitions = CounterMetricFamily(
        "memcache_circuit_breaker_transitions",
        "Changes of state, all processes.",
        labels=("server", "from", "to"),
    )
    requests = GaugeMetricFamily(
        "memcache_circuit_breaker_requests", "Requests the breaker saw.", labels=("server",)
    )
    failures = GaugeMetricFamily(
        "memcache_circuit_breaker_failures", "Failures it saw.", labels=("server", "type")
    )
    for server, saids in _by_server(state).items():
        known = [said["breaker"] for said in saids if said.get("breaker") in BREAKER_ORDER]
        if known:
            now.add_metric((server,), max(BREAKER_ORDER.index(breaker) for breaker in known))
        if any("requests" in said for said in saids):
            requests.add_metric((server,), sum(_count(said.get("requests")) for said in saids))
        for change, count in _summed(said.get("transitions") for said in saids).items():
            before, _, after = change.partition(">")
            transitions.add_metric((server, before, after), count)
        for kind, count in _summed(said.get("failures") for said in saids).items():
            failures.add_metric((server, kind), count)
    yield from (now, transitions, requests, failures)


def _summed(mappings: Iterable[Any]) -> dict[str, int]:
    result: dict[str, int] = {}
    for mapping in mappings:
        for name, count in _mapping(mapping).items():
            result[str(name)] = result.get(str(name), 0) + _count(count)
    return result


def _pools(timeline: Timeline | None, state: LiveState) -> Iterator[Metric]:
    connections = GaugeMetricFamily(
        "memcache_pool_connections",
        "Connections by state; total is idle and active together.",
        labels=("server", "state"),
    )
    created = CounterMetricFamily(
        "memcache_pool_connections_created", "Connections made.", labels=("server",)
    )
    for server, saids in _by_server(state).items():
        pools = [_mapping(said.get("pool")) for said in saids]
        idle = sum(_count(pool.get("idle")) for pool in pools)
        active = sum(_count(pool.get("in_use")) for pool in pools)
        for name, count in (("idle", idle), ("active", active), ("total", idle + active)):
            connections.add_metric((server, name), count)
        created.add_metric((server,), sum(_count(pool.get("created")) for pool in pools))
    errors = CounterMetricFamily(
        "memcache_pool_acquire_errors",
        "Operations that got no connection in time.",
        labels=("server",),
    )
    by_node: dict[str, int] = {}
    for (_, node, outcome), cell in (timeline.cumulative if timeline else {}).items():
        if node:
            missed = cell.count if outcome == Outcome.POOL_TIMEOUT else 0
            by_node[node] = by_node.get(node, 0) + missed
    for node, missed in by_node.items():
        errors.add_metric((node,), missed)
    yield from (connections, created, errors)


def _scenario(state: LiveState) -> Iterator[Metric]:
    phase = GaugeMetricFamily(
        "scenario_phase",
        "0 none, 1 stabilization, 2 testing, 3 recovery.",
        labels=("scenario",),
    )
    if state.scenario:
        place = PHASES.index(state.phase) if state.phase in PHASES else 0
        phase.add_metric((state.scenario,), place)
    durations = GaugeMetricFamily(
        "scenario_phase_duration_seconds",
        "How long the phase has lasted.",
        labels=("scenario", "phase"),
    )
    for name, seconds in state.phase_durations_s.items():
        durations.add_metric((state.scenario, name), seconds)
    runs = CounterMetricFamily(
        "scenario_runs", "Finished runs by verdict.", labels=("scenario", "status")
    )
    for labels, count in state.runs.items():
        runs.add_metric(labels, count)
    yield from (phase, durations, runs)
    yield GaugeMetricFamily("scenario_active", "1 while a run is on.", value=int(state.active))


def _toxics(state: LiveState) -> Iterator[Metric]:
    active = GaugeMetricFamily(
        "toxiproxy_toxic_active", "Faults in force.", labels=("server", "type")
    )
    values = GaugeMetricFamily(
        "toxiproxy_toxic_value", "Their attributes.", labels=("server", "type", "param")
    )
    in_force: dict[tuple[str, str], int] = {}
    attributes: dict[tuple[str, str, str], float] = {}
    for toxic in state.toxics:
        in_force[toxic.server, toxic.kind] = 1
        for name, value in toxic.attributes.items():
            if isinstance(value, int | float):
                attributes[toxic.server, toxic.kind, name] = float(value)
    for labels, one in in_force.items():
        active.add_metric(labels, one)
    for names, number in attributes.items():
        values.add_metric(names, number)
    yield from (active, values)
