"""The dashboard of a run: what the scenario does, what the users feel."""

from __future__ import annotations

from functools import partial

from dashboard.grafana import queries as q
from dashboard.grafana.choices import FAULTS, NODE, SCENARIO
from dashboard.grafana.model import (
    BLUE,
    GREEN,
    GREY,
    RED,
    YELLOW,
    Dashboard,
    Panel,
    Query,
    Row,
)
from telemetry import families as f
from telemetry.family import Family

Figure = partial(Panel, kind="stat", width=3, height=4)
ERROR_STEPS = ((None, GREEN), (0.1, RED))
PERCENTILES = ((0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9"))


def _percentiles(family: Family) -> list[Query]:
    return [Query(expr=q.quantile(share, family, q.NODE), legend=n) for share, n in PERCENTILES]


AT_A_GLANCE = Row(
    title="At a glance",
    panels=(
        Figure(
            title="Run",
            about="Whether a run is under way.",
            queries=[Query(expr=f"max ({q.now(f.ACTIVE)})")],
            words=(("0", "idle", GREY), ("1", "running", BLUE)),
        ),
        Figure(
            title="Operations",
            about="Finished operations a second over the last 5 s, all workers.",
            queries=[Query(expr=q.summed(f.RATE))],
            unit="ops",
        ),
        Figure(
            title="Errors",
            about="Share of operations that failed over the last 5 s. Red from 10 %.",
            queries=[Query(expr=f"max ({q.now(f.ERROR_RATE)})")],
            unit="percentunit",
            decimals=2,
            steps=ERROR_STEPS,
        ),
        Figure(
            title="Wrong values",
            about="Values of this run that were foreign, stale or damaged. One is one too many.",
            queries=[Query(expr=q.summed(f.WRONG_VALUES))],
            steps=((None, GREEN), (1, RED)),
        ),
        Figure(
            title="Hit ratio",
            about="Hits of the keys asked for over the last 5 s.",
            queries=[Query(expr=f"min ({q.now(f.HIT_RATIO)})")],
            unit="percentunit",
            decimals=1,
            most=1,
        ),
        Figure(
            title="Users",
            about="Users running: the limit of calls in flight.",
            queries=[Query(expr=q.summed(f.USERS))],
        ),
        Figure(
            title="Workers",
            about="Load processes that reported within the last 5 s.",
            queries=[Query(expr=q.summed(f.WORKERS))],
        ),
        Figure(
            title="Finished runs",
            about="Verdicts since the master started, of the chosen scenario.",
            queries=[
                Query(expr=f"sum by (status) ({f.RUNS.name}{{{q.SCENARIO}}})", legend="{{status}}")
            ],
        ),
    ),
)

SCENARIO_ROW = Row(
    title="Scenario",
    panels=(
        Panel(
            title="Phase",
            about="Stabilization, testing with faults, recovery.",
            queries=[Query(expr=f"{f.PHASE.name}{{{q.SCENARIO}}}", legend="{{scenario}}")],
            kind="state-timeline",
            words=(
                ("0", "none", GREY),
                ("1", "stabilization", BLUE),
                ("2", "testing", YELLOW),
                ("3", "recovery", GREEN),
            ),
            width=12,
            height=5,
        ),
        Panel(
            title="Faults in force",
            about="Every fault, whatever does it, on every node it is on.",
            queries=[Query(expr=q.now(f.TOXIC_ACTIVE, q.NODE), legend="{{server}} {{type}}")],
            kind="state-timeline",
            words=(("1", "in force", RED),),
            width=12,
            height=5,
        ),
        Panel(
            title="Length of the phases",
            about="How long each phase has lasted.",
            queries=[
                Query(expr=f"{f.PHASE_DURATION.name}{{{q.SCENARIO}}}", legend="{{phase}}"),
            ],
            unit="s",
            width=12,
            height=5,
        ),
        Panel(
            title="Attributes of the faults",
            about="Latency and jitter in seconds, shares from 0 to 1, sizes in bytes.",
            queries=[
                Query(expr=q.now(f.TOXIC_VALUE, q.NODE), legend="{{server}} {{type}} {{param}}")
            ],
            width=12,
            height=5,
        ),
    ),
)

LOAD = Row(
    title="Load",
    panels=(
        Panel(
            title="Operations a second",
            about="By what came of them; aborted are calls that the harness itself cut off.",
            queries=[Query(expr=q.rate(f.OPERATIONS, by="status"), legend="{{status}}")],
            unit="ops",
            stacked=True,
            colors={"success": GREEN, "failure": RED, "aborted": GREY},
        ),
        Panel(
            title="Error rate",
            about="Share of operations that failed over the last 5 s. Red from 10 %.",
            queries=[Query(expr=q.now(f.ERROR_RATE), legend="error rate")],
            unit="percentunit",
            steps=ERROR_STEPS,
            most=1,
        ),
        Panel(
            title="Failures by kind",
            about="breaker_open and pool_timeout are calls that were never sent.",
            queries=[Query(expr=q.rate(f.FAILED, by="outcome"), legend="{{outcome}}")],
            unit="ops",
            stacked=True,
        ),
        Panel(
            title="Outcomes by method",
            about="Each method's answers; a miss is an answer, not an error.",
            queries=[
                Query(
                    expr=q.rate(f.OUTCOMES, q.NODE, by="operation, outcome"),
                    legend="{{operation}} {{outcome}}",
                )
            ],
            unit="ops",
        ),
        Panel(
            title="Hit ratio",
            about="Hits of the keys asked for over the last 5 s.",
            queries=[Query(expr=q.now(f.HIT_RATIO), legend="hit ratio")],
            unit="percentunit",
            most=1,
        ),
        Panel(
            title="Users and workers",
            about="A worker that comes or goes moves the split of the load.",
            queries=[
                Query(expr=q.summed(f.USERS), legend="users"),
                Query(expr=q.summed(f.WORKERS), legend="workers"),
            ],
        ),
    ),
)

LATENCY = Row(
    title="Latency",
    panels=(
        Panel(
            title="Response time",
            about="From the moment a request should have started: what the users feel.",
            queries=_percentiles(f.RESPONSE_TIME),
            unit="s",
        ),
        Panel(
            title="Service time",
            about="From the call to its answer: what the nodes do.",
            queries=_percentiles(f.SERVICE_TIME),
            unit="s",
        ),
        Panel(
            title="Service time by method (p99)",
            about="Of the nodes chosen above.",
            queries=[
                Query(
                    expr=q.quantile(0.99, f.SERVICE_TIME, q.NODE, by="operation"),
                    legend="{{operation}}",
                )
            ],
            unit="s",
        ),
    ),
)

RUN = Dashboard(
    uid="memquake-run",
    title="memquake: run",
    about="One run as its users see it. The shaded windows are the faults.",
    rows=(AT_A_GLANCE, SCENARIO_ROW, LOAD, LATENCY),
    variables=(SCENARIO, NODE),
    annotations=(FAULTS,),
)
