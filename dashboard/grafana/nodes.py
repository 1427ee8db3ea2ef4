"""The dashboard of the nodes: breakers, pools, and what each node does for its keys."""

from __future__ import annotations

from grafana_foundation_sdk.builders import timeseries

from dashboard.grafana import queries as q
from dashboard.grafana.panels import GREEN, RED, YELLOW, board, graph, query, states
from telemetry import families as f

BY_SERVER = "{{server}}"
FAILED = q.rate(f.SERVER_OPERATIONS, q.NODE, 'status="failure"', by="server")
ALL = q.rate(f.SERVER_OPERATIONS, q.NODE, 'status!="aborted"', by="server")


def _connections(state: str) -> timeseries.Panel:
    return graph(
        f"Connections: {state}",
        "In the pools of all load processes.",
        query(q.summed(f.POOL_CONNECTIONS, q.NODE, f'state="{state}"', by="server"), BY_SERVER),
    )


TRAFFIC = (
    graph(
        "Operations a second",
        "By the node the key lives on; without a name: batches over several nodes.",
        query(ALL, BY_SERVER),
    ).unit("ops"),
    graph(
        "Error rate",
        "Share of the node's operations that failed. Red from 10 %.",
        query(f"{FAILED} / ({ALL} > 0)", BY_SERVER),
        red_from=0.1,
    )
    .unit("percentunit")
    .max(1),
    graph(
        "Service time (p99)",
        "From the call to its answer, of calls that were sent.",
        query(q.quantile(0.99, f.SERVICE_TIME, q.NODE, by="server"), BY_SERVER),
    ).unit("s"),
)

BREAKERS = (
    states(
        "State",
        "The worst state that any load process has for the node.",
        query(q.now(f.BREAKER_STATE, q.NODE), BY_SERVER),
        {"0": ("closed", GREEN), "1": ("half-open", YELLOW), "2": ("open", RED)},
    ).height(7),
    graph(
        "Changes of state",
        "All load processes together.",
        query(
            q.increase(f.BREAKER_TRANSITIONS, q.NODE, by="server, from, to"),
            "{{server}} {{from}} > {{to}}",
        ),
    ).span(12),
    graph(
        "Failures",
        "What the clients counted since they were made, by kind.",
        query(q.summed(f.BREAKER_FAILURES, q.NODE, by="server, type"), "{{server}} {{type}}"),
    ).span(12),
    graph(
        "Requests",
        "What the clients counted since they were made, the prefill included.",
        query(q.summed(f.BREAKER_REQUESTS, q.NODE, by="server"), BY_SERVER),
    ).span(12),
)

POOLS = (
    *map(_connections, ("total", "active", "idle")),
    graph(
        "Connections made",
        "A second. In a steady run: none.",
        query(q.rate(f.POOL_CREATED, q.NODE, by="server"), BY_SERVER),
    ),
    graph(
        "Waiting for a connection (p99)",
        "Of calls that had to wait for one or open one; the others did not wait.",
        query(q.quantile(0.99, f.POOL_WAIT, q.NODE, by="server"), BY_SERVER),
    ).unit("s"),
    graph(
        "No connection in time",
        "Operations a second that ended so.",
        query(q.rate(f.POOL_ERRORS, q.NODE, by="server"), BY_SERVER),
    ).unit("ops"),
)

NODES = board(
    "memquake-nodes",
    "memquake: nodes",
    "Breakers, pools and traffic of each node. The shaded windows are the faults.",
    {
        "Traffic by node": TRAFFIC,
        "Circuit breakers (of clients that tell)": BREAKERS,
        "Connection pools (of clients that tell)": POOLS,
    },
)
