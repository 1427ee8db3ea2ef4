"""The dashboard of a run: what the scenario does, what the users feel."""

from __future__ import annotations

from grafana_foundation_sdk.builders import prometheus

from dashboard.grafana import queries as q
from dashboard.grafana.panels import (
    BLUE,
    GREEN,
    GREY,
    RED,
    YELLOW,
    board,
    figure,
    fixed,
    graph,
    named,
    query,
    states,
)
from telemetry import families as f
from telemetry.family import Family

PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}


def _percentiles(family: Family) -> list[prometheus.Dataquery]:
    return [query(q.quantile(share, family, q.NODE), name) for name, share in PERCENTILES.items()]


AT_A_GLANCE = (
    figure("Run", "Whether a run is under way.", query(f"max ({q.now(f.ACTIVE)})")).mappings(
        named({"0": ("idle", GREY), "1": ("running", BLUE)})
    ),
    figure(
        "Operations",
        "Finished operations a second over the last 5 s, all workers.",
        query(q.summed(f.RATE)),
    ).unit("ops"),
    figure(
        "Errors",
        "Share of operations that failed over the last 5 s. Red from 10 %.",
        query(f"max ({q.now(f.ERROR_RATE)})"),
        red_from=0.1,
    )
    .unit("percentunit")
    .decimals(2),
    figure(
        "Wrong values",
        "Values of this run that were foreign, stale or damaged. One is one too many.",
        query(q.summed(f.WRONG_VALUES)),
        red_from=1,
    ),
    figure(
        "Hit ratio",
        "Hits of the keys asked for over the last 5 s.",
        query(f"min ({q.now(f.HIT_RATIO)})"),
    )
    .unit("percentunit")
    .decimals(1)
    .max(1),
    figure("Users", "Users running: the limit of calls in flight.", query(q.summed(f.USERS))),
    figure(
        "Workers",
        "Load processes that reported within the last 5 s.",
        query(q.summed(f.WORKERS)),
    ),
    figure(
        "Finished runs",
        "Verdicts since the master started, of the chosen scenario.",
        query(f"sum by (status) ({f.RUNS.name}{{{q.SCENARIO}}})", "{{status}}"),
    ),
)

SCENARIO = (
    states(
        "Phase",
        "Stabilization, testing with faults, recovery.",
        query(f"{f.PHASE.name}{{{q.SCENARIO}}}", "{{scenario}}"),
        {
            "0": ("none", GREY),
            "1": ("stabilization", BLUE),
            "2": ("testing", YELLOW),
            "3": ("recovery", GREEN),
        },
    ),
    states(
        "Faults in force",
        "Every fault, whatever does it, on every node it is on.",
        query(q.now(f.TOXIC_ACTIVE, q.NODE), "{{server}} {{type}}"),
        {"1": ("in force", RED)},
    ),
    graph(
        "Length of the phases",
        "How long each phase has lasted.",
        query(f"{f.PHASE_DURATION.name}{{{q.SCENARIO}}}", "{{phase}}"),
    )
    .unit("s")
    .span(12)
    .height(5),
    graph(
        "Attributes of the faults",
        "Latency and jitter in seconds, shares from 0 to 1, sizes in bytes.",
        query(q.now(f.TOXIC_VALUE, q.NODE), "{{server}} {{type}} {{param}}"),
    )
    .span(12)
    .height(5),
)

LOAD = (
    graph(
        "Operations a second",
        "By what came of them; aborted are calls that the harness itself cut off.",
        query(q.rate(f.OPERATIONS, by="status"), "{{status}}"),
        stacked=True,
    )
    .unit("ops")
    .override_by_name("success", fixed(GREEN))
    .override_by_name("failure", fixed(RED))
    .override_by_name("aborted", fixed(GREY)),
    graph(
        "Error rate",
        "Share of operations that failed over the last 5 s. Red from 10 %.",
        query(q.now(f.ERROR_RATE), "error rate"),
        red_from=0.1,
    )
    .unit("percentunit")
    .max(1),
    graph(
        "Failures by kind",
        "breaker_open and pool_timeout are calls that were never sent.",
        query(q.rate(f.FAILED, by="outcome"), "{{outcome}}"),
        stacked=True,
    ).unit("ops"),
    graph(
        "Outcomes by method",
        "Each method's answers; a miss is an answer, not an error.",
        query(q.rate(f.OUTCOMES, q.NODE, by="operation, outcome"), "{{operation}} {{outcome}}"),
    ).unit("ops"),
    graph(
        "Hit ratio",
        "Hits of the keys asked for over the last 5 s.",
        query(q.now(f.HIT_RATIO), "hit ratio"),
    )
    .unit("percentunit")
    .max(1),
    graph(
        "Users and workers",
        "A worker that comes or goes moves the split of the load.",
        query(q.summed(f.USERS), "users"),
        query(q.summed(f.WORKERS), "workers"),
    ),
)

LATENCY = (
    graph(
        "Response time",
        "From the moment a request should have started: what the users feel.",
        *_percentiles(f.RESPONSE_TIME),
    ).unit("s"),
    graph(
        "Service time",
        "From the call to its answer: what the nodes do.",
        *_percentiles(f.SERVICE_TIME),
    ).unit("s"),
    graph(
        "Service time by method (p99)",
        "Of the nodes chosen above.",
        query(q.quantile(0.99, f.SERVICE_TIME, q.NODE, by="operation"), "{{operation}}"),
    ).unit("s"),
)

RUN = board(
    "memquake-run",
    "memquake: run",
    "One run as its users see it. The shaded windows are the faults.",
    {"At a glance": AT_A_GLANCE, "Scenario": SCENARIO, "Load": LOAD, "Latency": LATENCY},
)
