"""What the dashboards are made of, by Grafana's own builders: kinds of panels, and the whole.

Its rule: what is the same for every panel is written here once; what a panel is about is written
where the panel is, with the builder's methods. Writes no file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from grafana_foundation_sdk.builders import common as parts
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import prometheus, stat, statetimeline, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models.prometheus import QueryEditorMode

from dashboard.grafana import queries as q
from telemetry import families as f

GREEN, YELLOW, RED, BLUE, GREY = "green", "yellow", "red", "blue", "#8e8e8e"
SOURCE = dashboard.DataSourceRef(type_val="prometheus", uid="${datasource}")
TAGS = ["memquake"]
FAULTS = q.now(f.TOXIC_ACTIVE)

# What Grafana reads of an annotation of Prometheus's and its published schema does not have. The
# query is asked for in two forms: as a target since Grafana 11, beside it before.
BEYOND_SCHEMA = {
    "target": {"refId": "Anno", "expr": FAULTS, "interval": "1s"},
    "step": "1s",
    "titleFormat": "{{type}} {{server}}",
    "tagKeys": "server,type",
}

Rows = Mapping[str, Sequence[Builder[dashboard.Panel]]]
Words = Mapping[str, tuple[str, str]]  # value -> (text, color)
P = TypeVar("P", timeseries.Panel, stat.Panel, statetimeline.Panel)


def query(expr: str, legend: str = "__auto") -> prometheus.Dataquery:
    """Return a query and what its series are called, `{{label}}` for a label's value."""
    return (
        prometheus.Dataquery()
        .datasource(SOURCE)
        .expr(expr)
        .legend_format(legend)
        .editor_mode(QueryEditorMode.CODE)
        .range()
    )


def graph(
    title: str,
    about: str,
    *queries: prometheus.Dataquery,
    stacked: bool = False,
    red_from: float | None = None,
) -> timeseries.Panel:
    """Return lines over time, a third of the page wide."""
    stacking = common.StackingMode.NORMAL if stacked else common.StackingMode.NONE
    panel = (
        _panel(timeseries.Panel(), title, about, queries, red_from)
        .fill_opacity(40 if stacked else 10)
        .show_points(common.VisibilityMode.NEVER)
        .span_nulls(3_000)  # ms: a scrape or two that failed is no gap
        .stacking(parts.StackingConfig().mode(stacking).group("A"))
        .legend(_legend(is_shown=True))
        .tooltip(_tooltip(common.TooltipDisplayMode.MULTI, common.SortOrder.DESCENDING))
        .span(8)
        .height(7)
    )
    if red_from is not None:
        style = common.GraphThresholdsStyleMode.DASHED_AND_AREA
        panel.thresholds_style(parts.GraphThresholdsStyleConfig().mode(style))
        panel.gradient_mode(common.GraphGradientMode.SCHEME)
        panel.color_scheme(_color(dashboard.FieldColorModeId.THRESHOLDS))
    return panel


def figure(
    title: str, about: str, asked: prometheus.Dataquery, *, red_from: float | None = None
) -> stat.Panel:
    """Return one number, an eighth of the page wide."""
    newest = parts.ReduceDataOptions().calcs(["lastNotNull"]).fields("").values(False)
    return (
        _panel(stat.Panel(), title, about, [asked], red_from)
        .color_scheme(_color(dashboard.FieldColorModeId.THRESHOLDS))
        .reduce_options(newest)
        .span(3)
        .height(4)
    )


def states(
    title: str, about: str, asked: prometheus.Dataquery, words: Words
) -> statetimeline.Panel:
    """Return bars over time, half of the page wide."""
    return (
        _panel(statetimeline.Panel(), title, about, [asked], None)
        .mappings(named(words))
        .line_width(0)
        .fill_opacity(80)
        .row_height(0.8)
        .legend(_legend(is_shown=False))
        .tooltip(_tooltip(common.TooltipDisplayMode.SINGLE, common.SortOrder.NONE))
        .span(12)
        .height(5)
    )


def named(words: Words) -> list[dashboard.ValueMapping]:
    """Return the mappings of values to words with colors."""
    results = {
        value: dashboard.ValueMappingResult(text=text, color=color, index=place)
        for place, (value, (text, color)) in enumerate(words.items())
    }
    return [dashboard.ValueMap(options=results)]


def fixed(color: str) -> list[dashboard.DynamicConfigValue]:
    """Return what gives a series a color of its own, for `override_by_name`."""
    value = {"mode": "fixed", "fixedColor": color}
    return [dashboard.DynamicConfigValue(id_val="color", value=value)]


def board(uid: str, title: str, about: str, rows: Rows) -> dict[str, Any]:
    """Return a dashboard as Grafana loads it from a file; `uid` is part of its address."""
    source = builders.DatasourceVariable("datasource").label("Prometheus").type("prometheus")
    scenario = _variable("scenario", "Scenario", f"label_values({f.PHASE.name}, scenario)")
    node = _variable("node", "Node", f"label_values({f.POOL_ERRORS.name}, server)")
    intervals = ["1s", "5s", "10s", "30s", "1m", "5m"]
    whole = (
        builders.Dashboard(title)
        .uid(uid)
        .description(about)
        .tags(TAGS)
        .readonly()
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .refresh("1s")
        .timezone("browser")
        .time("now-5m", "now")
        .timepicker(builders.TimePicker().refresh_intervals(intervals))
        .link(_to_others())
        .variables([source, scenario, node])
        .annotation(
            builders.AnnotationQuery()
            .name("Faults")
            .datasource(SOURCE)
            .enable(True)
            .icon_color(RED)
            .expr(FAULTS)
        )
    )
    for heading, panels in rows.items():
        whole.with_row(builders.Row(heading))
        for panel in panels:
            whole.with_panel(panel)
    document: dict[str, Any] = json.loads(JSONEncoder().encode(whole.build()))
    for number, each in enumerate(document["panels"], 1):
        each["id"] = number
    for annotation in document["annotations"]["list"]:
        annotation.update(BEYOND_SCHEMA)
    return document


def _panel(
    panel: P,
    title: str,
    about: str,
    queries: Sequence[prometheus.Dataquery],
    red_from: float | None,
) -> P:
    """Set of a panel what each kind has."""
    steps = [dashboard.Threshold(value=None, color=GREEN)]
    if red_from is not None:
        steps.append(dashboard.Threshold(value=red_from, color=RED))
    thresholds = builders.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(steps)
    for place, asked in enumerate(queries):
        panel.with_target(asked.ref_id(chr(ord("A") + place)))
    return (
        panel.title(title)
        .description(about)
        .datasource(SOURCE)
        .unit("short")
        .min(0)
        .thresholds(thresholds)
        .color_scheme(_color(dashboard.FieldColorModeId.PALETTE_CLASSIC))
    )


def _color(mode: dashboard.FieldColorModeId) -> builders.FieldColor:
    return builders.FieldColor().mode(mode)


def _legend(*, is_shown: bool) -> parts.VizLegendOptions:
    return (
        parts.VizLegendOptions()
        .display_mode(common.LegendDisplayMode.LIST)
        .placement(common.LegendPlacement.BOTTOM)
        .show_legend(is_shown)
        .calcs([])
    )


def _tooltip(mode: common.TooltipDisplayMode, order: common.SortOrder) -> parts.VizTooltipOptions:
    return parts.VizTooltipOptions().mode(mode).sort(order)


def _variable(name: str, label: str, values: str) -> builders.QueryVariable:
    """Return a choice at the top of the dashboard, of the values of a label."""
    return (
        builders.QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query({"query": values, "refId": name})
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)  # the next run has its own values
        .sort(dashboard.VariableSort.ALPHABETICAL_ASC)
        .include_all(True)
        .all_value(".*")
        .current(dashboard.VariableOption(selected=True, text="All", value="$__all"))
    )


def _to_others() -> builders.DashboardLink:
    return (
        builders.DashboardLink("memquake")
        .type(dashboard.DashboardLinkType.DASHBOARDS)
        .tags(TAGS)
        .icon("external link")
        .include_vars(True)
        .keep_time(True)
    )
