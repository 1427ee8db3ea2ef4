"""What both dashboards have: the choices at the top, and the windows of the faults."""

from __future__ import annotations

from dashboard.grafana import queries as q
from dashboard.grafana.model import RED, Annotation, Query, Variable
from telemetry import families as f

SCENARIO = Variable(
    name="scenario", label="Scenario", query=f"label_values({f.PHASE.name}, scenario)"
)
NODE = Variable(name="node", label="Node", query=f"label_values({f.POOL_ERRORS.name}, server)")

FAULTS = Annotation(
    name="Faults",
    query=Query(expr=q.now(f.TOXIC_ACTIVE), legend="{{type}} {{server}}"),
    color=RED,
    tags=("server", "type"),
)
