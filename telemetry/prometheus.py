"""The run as Prometheus metrics, made from the timeline at each scrape.

Its rule: nothing is counted here. Counters are the timeline's own sums, so a scrape can never
disagree with the report; rates are of the last seconds, never since the start. What the metrics
are called and what their labels can be is telemetry.families'. A scrape works in small steps and
lets others run between them: the process that is asked may be the one that carries the load, and a
scrape that held it up would be seen in every latency. It knows neither Locust nor who asks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from client.operation import FAILURES, Outcome
from telemetry import families
from telemetry.buckets import Durations, Total, cumulative_buckets, cumulative_waits
from telemetry.counts import ClientCounts
from telemetry.family import Family, Kind
from telemetry.line import UNTIMED
from telemetry.live import BREAKER_ORDER, Rates, recent_rates
from telemetry.timeline import Timeline
from telemetry.wire import CellKey

PHASES = ("", "stabilization", "testing", "recovery")
"""The value of `scenario_phase` is the place in this list."""

STATUSES = ("success", "failure", "aborted")
RULINGS = ("pass", "fail", "inconclusive")

PRESENT_S = 5.0
"""A load process reports every second; one that did not for this long is not counted."""


@dataclass(frozen=True, kw_only=True)
class ActiveToxic:
    """A fault in force on one node, "" for a fault of none; its numbers become values."""

    server: str
    kind: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class LiveState:
    """What the timeline does not know of the moment. Filled by whoever drives the run.

    `runs` counts finished runs by (scenario, status).
    """

    scenario: str = ""
    phase: str = ""
    active: bool = False
    phase_durations_s: Mapping[str, float] = field(default_factory=dict)
    toxics: tuple[ActiveToxic, ...] = ()
    runs: Mapping[tuple[str, str], int] = field(default_factory=dict)


Source = Callable[[], tuple[Timeline | None, LiveState]]
Cells = Sequence[tuple[CellKey, Total]]


def _give_way() -> None:
    """Let the others of this process run; where threads are patched, those are greenlets."""
    time.sleep(0)


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
        for metric in self._families():
            yield metric  # and it is written out before the next one is made
            _give_way()

    def _families(self) -> Iterator[Metric]:
        timeline, state = self._source()
        if timeline is not None:
            rates = recent_rates(timeline, families.RATE_WINDOW_S)
            cells = list(timeline.cumulative.items())  # reports may add to it on the way
            yield from _operations(cells)
            yield families.WRONG_VALUES.of(timeline.totals()["wrong_values"])
            yield from _rates(timeline, rates)
            yield from _latencies(cells)
            yield from _gauges(rates)
            yield from _client_counts(timeline)
            yield _pool_errors(cells)
        yield from _scenario(state)
        yield from _toxics(state)


def _operations(cells: Cells) -> Iterator[Metric]:
    by_status = dict.fromkeys(STATUSES, 0)
    by_server: dict[str, dict[str, int]] = {}
    failed = dict.fromkeys(sorted(FAILURES), 0)
    outcomes = families.OUTCOMES.counter()
    for (op, node, outcome), cell in cells:
        status = "success"
        if outcome in FAILURES:
            status = "failure"
            failed[outcome] += cell.count
        elif outcome == Outcome.ABORTED:
            status = "aborted"
        by_status[status] += cell.count
        # A series must be there at 0: the rate of one that begins at 70 leaves out the 70.
        by_server.setdefault(node, dict.fromkeys(STATUSES, 0))[status] += cell.count
        outcomes.add_metric((op, node, str(outcome)), cell.count)
    yield _counted(families.OPERATIONS, (((name,), n) for name, n in by_status.items()))
    yield _counted(
        families.SERVER_OPERATIONS,
        (((node, name), n) for node, counts in by_server.items() for name, n in counts.items()),
    )
    yield outcomes
    yield _counted(families.FAILED, (((str(name),), n) for name, n in failed.items()))


def _counted(family: Family, counts: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
    is_counter = family.kind is Kind.COUNTER
    metric = family.counter() if is_counter else family.gauge()
    for labels, count in counts:
        metric.add_metric(labels, count)
    return metric


def _rates(timeline: Timeline, rates: Rates) -> Iterator[Metric]:
    yield families.RATE.of(rates.operations_per_s)
    yield families.ERROR_RATE.of(rates.error_rate)
    yield families.USERS.of(rates.users)
    behind = timeline.seconds_behind().values()
    yield families.WORKERS.of(sum(seconds < PRESENT_S for seconds in behind))
    if rates.hit_ratio is not None:
        yield families.HIT_RATIO.of(rates.hit_ratio)


def _latencies(cells: Cells) -> Iterator[Metric]:
    service: dict[tuple[str, str], list[Durations]] = {}
    response: dict[tuple[str, str], list[Durations]] = {}
    for (op, node, outcome), cell in cells:
        if outcome in UNTIMED:
            continue
        service.setdefault((op, node), []).append(cell.service)
        if any(cell.response.counts):
            response.setdefault((op, node), []).append(cell.response)
    for family, histograms in (
        (families.SERVICE_TIME, service),
        (families.RESPONSE_TIME, response),
    ):
        metric = family.histogram()
        for labels, parts in histograms.items():
            buckets, total_s = cumulative_buckets(parts)
            metric.add_metric(labels, buckets, total_s)
            _give_way()
        yield metric


def _gauges(rates: Rates) -> Iterator[Metric]:
    """Give what clients say of this moment; processes that are gone say nothing."""
    breakers = families.BREAKER_STATE.gauge()
    connections = families.POOL_CONNECTIONS.gauge()
    for server, state in rates.states.items():
        known = [BREAKER_ORDER.index(name) for name in state.breaker if name in BREAKER_ORDER]
        if known:
            breakers.add_metric((server,), max(known))
        total = state.idle + state.in_use
        for name, count in (("idle", state.idle), ("active", state.in_use), ("total", total)):
            connections.add_metric((server, name), count)
    yield from (breakers, connections)


def _client_counts(timeline: Timeline) -> Iterator[Metric]:
    """Give what clients counted; processes that are gone keep their last, so nothing shrinks."""
    servers: dict[str, ClientCounts] = {}
    for nodes in timeline.client_counts.values():
        for server, counts in nodes.items():
            servers.setdefault(server, ClientCounts()).add(counts)
    everything = servers.items()
    yield _counted(families.BREAKER_REQUESTS, (((name,), c.requests) for name, c in everything))
    yield _counted(
        families.BREAKER_TRANSITIONS,
        (((name, *change), n) for name, c in everything for change, n in c.transitions.items()),
    )
    yield _counted(
        families.BREAKER_FAILURES,
        (((name, kind), n) for name, c in everything for kind, n in c.failures.items()),
    )
    yield _counted(families.POOL_CREATED, (((name,), c.created) for name, c in everything))
    waits = families.POOL_WAIT.histogram()
    for server, counts in everything:
        buckets, total_s = cumulative_waits(counts.waits)
        waits.add_metric((server,), buckets, total_s)
    yield waits


def _pool_errors(cells: Cells) -> Metric:
    by_node: dict[str, int] = {}
    for (_, node, outcome), cell in cells:
        if node:
            missed = cell.count if outcome == Outcome.POOL_TIMEOUT else 0
            by_node[node] = by_node.get(node, 0) + missed
    return _counted(families.POOL_ERRORS, (((node,), n) for node, n in by_node.items()))


def _scenario(state: LiveState) -> Iterator[Metric]:
    phase = families.PHASE.gauge()
    if state.scenario:
        place = PHASES.index(state.phase) if state.phase in PHASES else 0
        phase.add_metric((state.scenario,), place)
    yield phase
    durations = (((state.scenario, name), s) for name, s in state.phase_durations_s.items())
    yield _counted(families.PHASE_DURATION, durations)
    runs = dict.fromkeys(((state.scenario, ruling) for ruling in RULINGS if state.scenario), 0)
    yield _counted(families.RUNS, {**runs, **state.runs}.items())
    yield families.ACTIVE.of(int(state.active))


def _toxics(state: LiveState) -> Iterator[Metric]:
    in_force: dict[tuple[str, str], float] = {}
    attributes: dict[tuple[str, str, str], float] = {}
    for toxic in state.toxics:
        in_force[toxic.server, toxic.kind] = 1
        for name, value in toxic.attributes.items():
            if isinstance(value, int | float):
                attributes[toxic.server, toxic.kind, name] = float(value)
    yield _counted(families.TOXIC_ACTIVE, in_force.items())
    yield _counted(families.TOXIC_VALUE, attributes.items())
