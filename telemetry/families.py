"""The metrics by name: type, unit, labels and meaning, in one list.

Its rule: this list is the only place where a name is written down. The collector
(telemetry.prometheus) makes its families from it, docs/metrics.md is rendered from it, and the
dashboards and alert rules are held against it. Every label says which values it can have, and all
of them are bounded by the run: nodes, kinds of calls, words of ours. Keys, values, addresses and
process ids are never labels. Pure data; it reads no run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

RATE_WINDOW_S = 5
"""Seconds behind rates: short enough to see a fault begin, long enough not to flicker."""


class Kind(StrEnum):
    """The types of Prometheus that are used here."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


HISTOGRAM_SERIES = ("_bucket", "_count", "_sum")

SERVER = "a node by name (`node1`, `node2`, ...)"
BATCHED = f"{SERVER}; empty for a batch over several nodes"
OPERATION = "the method called (`get`, `set`, `get_many`, ...)"
OUTCOME = "what came of a call: the words of `client/operation.py`"
FAILURE = "a kind of failure: the words of `client/operation.py`"
STATUS = "`success`, `failure`, `aborted` (cut off by the harness at the end)"
STATE = "`closed`, `half_open`, `open`"
SCENARIO = "the scenario's name"
FAULT = "a kind of fault (docs/faults.md)"


@dataclass(frozen=True, kw_only=True)
class Family:
    """One metric. `name` is as it is queried, for a histogram without its endings.

    `unit` is that of its values; `labels` gives for each label what its values are. What
    `needs` a client with a certain `snapshot()` is missing for other clients.
    """

    name: str
    kind: Kind
    unit: str
    help: str
    labels: Mapping[str, str] = field(default_factory=dict)
    needs: str = ""

    @property
    def series(self) -> tuple[str, ...]:
        """Give the names a query can use."""
        if self.kind is Kind.HISTOGRAM:
            return tuple(self.name + ending for ending in HISTOGRAM_SERIES)
        return (self.name,)

    @property
    def queried_labels(self) -> frozenset[str]:
        """Give the labels a query can use."""
        more = {"le"} if self.kind is Kind.HISTOGRAM else set()
        return frozenset(self.labels) | more

    def counter(self) -> CounterMetricFamily:
        """Give an empty counter of this name."""
        return CounterMetricFamily(self.name.removesuffix("_total"), self.help, labels=self._names)

    def gauge(self) -> GaugeMetricFamily:
        """Give an empty gauge of this name."""
        return GaugeMetricFamily(self.name, self.help, labels=self._names)

    def histogram(self) -> HistogramMetricFamily:
        """Give an empty histogram of this name."""
        return HistogramMetricFamily(self.name, self.help, labels=self._names)

    def of(self, value: float) -> Metric:
        """Give the metric with its one value, for a metric without labels."""
        family = self.counter() if self.kind is Kind.COUNTER else self.gauge()
        family.add_metric((), value)
        return family

    @property
    def _names(self) -> tuple[str, ...]:
        return tuple(self.labels)


_OVER = f"over the last {RATE_WINDOW_S} s"

OPERATIONS = Family(
    name="memcache_operations_total",
    kind=Kind.COUNTER,
    unit="operations",
    labels={"status": STATUS},
    help="Finished operations since the start of the run.",
)
SERVER_OPERATIONS = Family(
    name="memcache_server_operations_total",
    kind=Kind.COUNTER,
    unit="operations",
    labels={"server": BATCHED, "status": STATUS},
    help="Finished operations by the node their key lives on.",
)
OUTCOMES = Family(
    name="memcache_outcomes_total",
    kind=Kind.COUNTER,
    unit="operations",
    labels={"operation": OPERATION, "server": BATCHED, "outcome": OUTCOME},
    help="Operations by method, node and outcome; an outcome appears with its first operation.",
)
FAILED = Family(
    name="memcache_failures_total",
    kind=Kind.COUNTER,
    unit="operations",
    labels={"outcome": FAILURE},
    help="Failed operations by kind of failure, 0 for a kind that has not occurred.",
)
WRONG_VALUES = Family(
    name="memcache_wrong_values_total",
    kind=Kind.COUNTER,
    unit="values",
    help="Values that failed verification: foreign, stale or damaged.",
)
RATE = Family(
    name="memcache_operations_per_second",
    kind=Kind.GAUGE,
    unit="operations/s",
    help=f"Finished operations a second {_OVER}.",
)
ERROR_RATE = Family(
    name="memcache_error_rate",
    kind=Kind.GAUGE,
    unit="ratio, 0-1",
    help=f"Share of operations that failed {_OVER}.",
)
HIT_RATIO = Family(
    name="memcache_hit_ratio",
    kind=Kind.GAUGE,
    unit="ratio, 0-1",
    help=f"Hits of the keys asked for {_OVER}; missing while nothing is read.",
)
USERS = Family(
    name="memcache_users", kind=Kind.GAUGE, unit="users", help="Users running, all workers."
)
WORKERS = Family(
    name="memcache_workers",
    kind=Kind.GAUGE,
    unit="processes",
    help="Load processes that reported within the last 5 s.",
)
SERVICE_TIME = Family(
    name="memcache_operation_duration_seconds",
    kind=Kind.HISTOGRAM,
    unit="seconds",
    labels={"operation": OPERATION, "server": BATCHED},
    help="Service time: from the call to its answer, of calls that were sent.",
)
RESPONSE_TIME = Family(
    name="memcache_response_duration_seconds",
    kind=Kind.HISTOGRAM,
    unit="seconds",
    labels={"operation": OPERATION, "server": BATCHED},
    help="Response time: from the intended start to the answer; paced load only.",
)

_CLIENT = "a client with `snapshot()`"

BREAKER_STATE = Family(
    name="memcache_circuit_breaker_state",
    kind=Kind.GAUGE,
    unit="0 closed, 1 half-open, 2 open",
    labels={"server": SERVER},
    help="The worst state that any load process has for the node.",
    needs=_CLIENT,
)
BREAKER_TRANSITIONS = Family(
    name="memcache_circuit_breaker_transitions_total",
    kind=Kind.COUNTER,
    unit="changes",
    labels={"server": SERVER, "from": STATE, "to": STATE},
    help="Changes of state since the start of the run, all load processes.",
    needs=_CLIENT,
)
BREAKER_REQUESTS = Family(
    name="memcache_circuit_breaker_requests",
    kind=Kind.GAUGE,
    unit="requests",
    labels={"server": SERVER},
    help="Requests for the node since the client was made, the prefill included.",
    needs=_CLIENT,
)
BREAKER_FAILURES = Family(
    name="memcache_circuit_breaker_failures",
    kind=Kind.GAUGE,
    unit="failures",
    labels={"server": SERVER, "type": f"{FAILURE}; `other` for words of a client's own"},
    help="Failures the client counted since it was made.",
    needs=_CLIENT,
)
POOL_CONNECTIONS = Family(
    name="memcache_pool_connections",
    kind=Kind.GAUGE,
    unit="connections",
    labels={"server": SERVER, "state": "`idle`, `active`, `total` (both together)"},
    help="Connections in the pools of all load processes.",
    needs=_CLIENT,
)
POOL_CREATED = Family(
    name="memcache_pool_connections_created_total",
    kind=Kind.COUNTER,
    unit="connections",
    labels={"server": SERVER},
    help="Connections made since the client was made.",
    needs=_CLIENT,
)
POOL_WAIT = Family(
    name="memcache_pool_wait_seconds",
    kind=Kind.HISTOGRAM,
    unit="seconds",
    labels={"server": SERVER},
    help="How long calls waited for a connection, or for one to be opened; "
    "a call that found one idle is not counted. The sum is approximate.",
    needs=_CLIENT,
)
POOL_ERRORS = Family(
    name="memcache_pool_acquire_errors_total",
    kind=Kind.COUNTER,
    unit="operations",
    labels={"server": SERVER},
    help="Operations that got no connection in time.",
)
PHASE = Family(
    name="scenario_phase",
    kind=Kind.GAUGE,
    unit="0 none, 1 stabilization, 2 testing, 3 recovery",
    labels={"scenario": SCENARIO},
    help="The phase of the current scenario.",
)
PHASE_DURATION = Family(
    name="scenario_phase_duration_seconds",
    kind=Kind.GAUGE,
    unit="seconds",
    labels={"scenario": SCENARIO, "phase": "`stabilization`, `testing`, `recovery`"},
    help="How long the phase has lasted, or lasted.",
)
RUNS = Family(
    name="scenario_runs_total",
    kind=Kind.COUNTER,
    unit="runs",
    labels={"scenario": SCENARIO, "status": "`pass`, `fail`, `inconclusive`"},
    help="Runs judged since the master started.",
)
ACTIVE = Family(
    name="scenario_active", kind=Kind.GAUGE, unit="0 or 1", help="1 while a run is under way."
)
TOXIC_ACTIVE = Family(
    name="toxiproxy_toxic_active",
    kind=Kind.GAUGE,
    unit="1",
    labels={"server": f"{SERVER}; empty for a fault of no node", "type": FAULT},
    help="A fault in force, whatever does it; missing when there is none.",
)
TOXIC_VALUE = Family(
    name="toxiproxy_toxic_value",
    kind=Kind.GAUGE,
    unit="as in docs/faults.md (times in seconds)",
    labels={
        "server": f"{SERVER}; empty for a fault of no node",
        "type": FAULT,
        "param": "a numeric attribute of the kind",
    },
    help="The attributes of a fault in force.",
)

FAMILIES: tuple[Family, ...] = (
    OPERATIONS,
    SERVER_OPERATIONS,
    OUTCOMES,
    FAILED,
    WRONG_VALUES,
    RATE,
    ERROR_RATE,
    HIT_RATIO,
    USERS,
    WORKERS,
    SERVICE_TIME,
    RESPONSE_TIME,
    BREAKER_STATE,
    BREAKER_TRANSITIONS,
    BREAKER_REQUESTS,
    BREAKER_FAILURES,
    POOL_CONNECTIONS,
    POOL_CREATED,
    POOL_WAIT,
    POOL_ERRORS,
    PHASE,
    PHASE_DURATION,
    RUNS,
    ACTIVE,
    TOXIC_ACTIVE,
    TOXIC_VALUE,
)
"""All of them, in the order in which they are served and documented."""

LABELS_BY_SERIES: Mapping[str, frozenset[str]] = {
    series: family.queried_labels for family in FAMILIES for series in family.series
}
"""What can be asked for: the labels of every series by its name."""
