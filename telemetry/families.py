"""The metrics by name: type, unit, labels and meaning, in one list.

Its rule: this list is the only place where a name is written down. The collector
(telemetry.prometheus) makes its families from it, docs/metrics.md is rendered from it, and the
dashboards and alert rules are held against it. Every label says which values it can have, and all
of them are bounded by the run: nodes, kinds of calls, words of ours. Keys, values, addresses and
process ids are never labels. Pure data; it reads no run.
"""

from __future__ import annotations

from collections.abc import Mapping

from client.operation import FAILURES, Outcome
from telemetry.counts import OTHER_FAILURE, STATES
from telemetry.family import Family, Kind, Values, spelled, words_of

RATE_WINDOW_S = 5
"""Seconds behind rates: short enough to see a fault begin, long enough not to flicker."""


METHODS = (
    *("get", "gets", "set", "add", "replace", "cas", "delete", "incr", "decr", "touch"),
    *("get_many", "set_many", "delete_many"),
)
"""The methods that users call, by the contract for clients."""


NODES, NODES_AND_NONE, KINDS, PARAMS = "nodes", "(nodes + 1)", "kinds", "attributes"

SERVER = Values(meaning="a node by name (`node1`, `node2`, ...)", many=NODES)
KEY_SERVER = Values(
    meaning="the node the key lives on; empty for a batch over several nodes", many=NODES_AND_NONE
)
FAULT_SERVER = Values(meaning="the node; empty for a fault of no node", many=NODES_AND_NONE)
OPERATION = words_of("the method called", *METHODS)
OUTCOME = words_of("what came of it, of the words of `client/operation.py`", *Outcome)
FAILURE = words_of("a kind of failure, of the words of `client/operation.py`", *FAILURES)
CLIENT_FAILURE = words_of(
    f"a failure, as above; `{OTHER_FAILURE}` for a client's own words", *FAILURES, OTHER_FAILURE
)
STATUS = words_of(
    "`success`, `failure`, `aborted` (cut off by the harness)", "success", "failure", "aborted"
)
STATE = spelled(*STATES)
POOL_STATE = words_of("`idle`, `active`, `total` (both)", "idle", "active", "total")
PHASE_NAME = spelled("stabilization", "testing", "recovery")
RULING = spelled("pass", "fail", "inconclusive")
SCENARIO = Values(meaning="the scenario's name", many="1")
SCENARIOS = Values(meaning="a scenario that was run", many="scenarios")
FAULT = Values(meaning="a kind of fault (docs/faults.md)", many=KINDS)
PARAM = Values(meaning="a numeric attribute of the kind", many=PARAMS)


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
    labels={"server": KEY_SERVER, "status": STATUS},
    help="Finished operations by the node their key lives on.",
)
OUTCOMES = Family(
    name="memcache_outcomes_total",
    kind=Kind.COUNTER,
    unit="operations",
    labels={"operation": OPERATION, "server": KEY_SERVER, "outcome": OUTCOME},
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
    labels={"operation": OPERATION, "server": KEY_SERVER},
    help="Service time: from the call to its answer, of calls that were sent.",
)
RESPONSE_TIME = Family(
    name="memcache_response_duration_seconds",
    kind=Kind.HISTOGRAM,
    unit="seconds",
    labels={"operation": OPERATION, "server": KEY_SERVER},
    help="Response time: from the intended start to the answer, of calls that were sent; paced "
    "load only.",
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
    labels={"server": SERVER, "type": CLIENT_FAILURE},
    help="Failures the client counted since it was made.",
    needs=_CLIENT,
)
POOL_CONNECTIONS = Family(
    name="memcache_pool_connections",
    kind=Kind.GAUGE,
    unit="connections",
    labels={"server": SERVER, "state": POOL_STATE},
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
    labels={"scenario": SCENARIO, "phase": PHASE_NAME},
    help="How long the phase has lasted, or lasted.",
)
RUNS = Family(
    name="scenario_runs_total",
    kind=Kind.COUNTER,
    unit="runs",
    labels={"scenario": SCENARIOS, "status": RULING},
    help="Runs judged since the master started.",
)
ACTIVE = Family(
    name="scenario_active", kind=Kind.GAUGE, unit="0 or 1", help="1 while a run is under way."
)
TOXIC_ACTIVE = Family(
    name="toxiproxy_toxic_active",
    kind=Kind.GAUGE,
    unit="1",
    labels={"server": FAULT_SERVER, "type": FAULT},
    help="A fault in force, whatever does it; missing when there is none.",
)
TOXIC_VALUE = Family(
    name="toxiproxy_toxic_value",
    kind=Kind.GAUGE,
    unit="as in docs/faults.md (times in seconds)",
    labels={
        "server": FAULT_SERVER,
        "type": FAULT,
        "param": PARAM,
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
"""All of them, in the order in which they are documented."""

LABELS_BY_SERIES: Mapping[str, frozenset[str]] = {
    series: family.queried_labels for family in FAMILIES for series in family.series
}
"""What can be asked for: the labels of every series by its name."""
