"""The dashboard of the nodes: breakers, pools, and what each node does for its keys."""

from __future__ import annotations

from dashboard.grafana import queries as q
from dashboard.grafana.choices import FAULTS, NODE, SCENARIO
from dashboard.grafana.model import GREEN, RED, YELLOW, Dashboard, Panel, Query, Row
from telemetry import families as f

BY_SERVER = "{{server}}"

BREAKERS = Row(
    title="Circuit breakers (of clients that tell)",
    panels=(
        Panel(
            title="State",
            about="The worst state that any load process has for the node.",
            queries=[Query(expr=q.now(f.BREAKER_STATE, q.NODE), legend=BY_SERVER)],
            kind="state-timeline",
            words=(("0", "closed", GREEN), ("1", "half-open", YELLOW), ("2", "open", RED)),
            width=12,
        ),
        Panel(
            title="Changes of state",
            about="All load processes together.",
            queries=[
                Query(
                    expr=q.increase(f.BREAKER_TRANSITIONS, q.NODE, by="server, from, to"),
                    legend="{{server}} {{from}} > {{to}}",
                )
            ],
            width=12,
        ),
        Panel(
            title="Failures",
            about="What the clients counted since they were made, by kind.",
            queries=[
                Query(
                    expr=q.summed(f.BREAKER_FAILURES, q.NODE, by="server, type"),
                    legend="{{server}} {{type}}",
                )
            ],
            width=12,
        ),
        Panel(
            title="Requests",
            about="What the clients counted since they were made, the prefill included.",
            queries=[
                Query(expr=q.summed(f.BREAKER_REQUESTS, q.NODE, by="server"), legend=BY_SERVER)
            ],
            width=12,
        ),
    ),
)


def _connections(state: str) -> Panel:
    return Panel(
        title=f"Connections: {state}",
        about="In the pools of all load processes.",
        queries=[
            Query(
                expr=q.summed(f.POOL_CONNECTIONS, q.NODE, f'state="{state}"', by="server"),
                legend=BY_SERVER,
            )
        ],
    )


POOLS = Row(
    title="Connection pools (of clients that tell)",
    panels=(
        *map(_connections, ("total", "active", "idle")),
        Panel(
            title="Connections made",
            about="A second. In a steady run: none.",
            queries=[Query(expr=q.rate(f.POOL_CREATED, q.NODE, by="server"), legend=BY_SERVER)],
        ),
        Panel(
            title="Waiting for a connection (p99)",
            about="Of calls that had to wait for one or open one; the others did not wait.",
            queries=[
                Query(expr=q.quantile(0.99, f.POOL_WAIT, q.NODE, by="server"), legend=BY_SERVER)
            ],
            unit="s",
        ),
        Panel(
            title="No connection in time",
            about="Operations a second that ended so.",
            queries=[Query(expr=q.rate(f.POOL_ERRORS, q.NODE, by="server"), legend=BY_SERVER)],
            unit="ops",
        ),
    ),
)

_FAILED = q.rate(f.SERVER_OPERATIONS, q.NODE, 'status="failure"', by="server")
_ALL = q.rate(f.SERVER_OPERATIONS, q.NODE, 'status!="aborted"', by="server")

TRAFFIC = Row(
    title="Traffic by node",
    panels=(
        Panel(
            title="Operations a second",
            about="By the node the key lives on; without a name: batches over several nodes.",
            queries=[Query(expr=_ALL, legend=BY_SERVER)],
            unit="ops",
        ),
        Panel(
            title="Error rate",
            about="Share of the node's operations that failed. Red from 10 %.",
            queries=[Query(expr=f"{_FAILED} / ({_ALL} > 0)", legend=BY_SERVER)],
            unit="percentunit",
            most=1,
            steps=((None, GREEN), (0.1, RED)),
        ),
        Panel(
            title="Service time (p99)",
            about="From the call to its answer, of calls that were sent.",
            queries=[
                Query(expr=q.quantile(0.99, f.SERVICE_TIME, q.NODE, by="server"), legend=BY_SERVER)
            ],
            unit="s",
        ),
    ),
)

NODES = Dashboard(
    uid="memquake-nodes",
    title="memquake: nodes",
    about="Breakers, pools and traffic of each node. The shaded windows are the faults.",
    rows=(TRAFFIC, BREAKERS, POOLS),
    variables=(SCENARIO, NODE),
    annotations=(FAULTS,),
)
