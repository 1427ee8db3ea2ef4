"""A dashboard in few words, and the JSON that Grafana 11 makes of it.

Its rule: what is the same for every panel is written here once, and what a panel is about is
written where the panel is. Plain dictionaries in Grafana's own words; whether they are in its
schema is tested, not hoped. Pure: knows no metric and writes no file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

SCHEMA_VERSION = 39  # of Grafana 11.1
COLUMNS = 24
SOURCE = {"type": "prometheus", "uid": "${datasource}"}

GREEN, YELLOW, RED, BLUE, GREY = "green", "yellow", "red", "blue", "#8e8e8e"

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Query:
    """What is asked, and what each series is called (`{{label}}` for a label's value)."""

    expr: str
    legend: str = "__auto"


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One panel. `steps` are (from, color) thresholds, `words` (value, text, color) mappings.

    `width` is of 24 columns; `unit` is Grafana's name of one.
    """

    title: str
    about: str
    queries: Sequence[Query]
    kind: str = "timeseries"  # or stat, state-timeline
    unit: str = "short"
    width: int = 8
    height: int = 7
    steps: Sequence[tuple[float | None, str]] = ()
    words: Sequence[tuple[str, str, str]] = ()
    least: float | None = 0
    most: float | None = None
    decimals: int | None = None
    stacked: bool = False
    colors: Mapping[str, str] = field(default_factory=dict)  # series name -> color
    no_value: str = ""


@dataclass(frozen=True, kw_only=True)
class Row:
    """Panels under a heading, laid out from left to right."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, kw_only=True)
class Variable:
    """A choice at the top of the dashboard, of the values of a label."""

    name: str
    label: str
    query: str


@dataclass(frozen=True, kw_only=True)
class Annotation:
    """Windows of time in which `query` has a value, drawn over every panel."""

    name: str
    query: Query
    color: str = RED
    tags: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Dashboard:
    """One dashboard. `uid` is part of its address and never changes."""

    uid: str
    title: str
    about: str
    rows: Sequence[Row]
    variables: Sequence[Variable]
    annotations: Sequence[Annotation]
    tags: Sequence[str] = ("memquake",)

    def queries(self) -> list[tuple[str, Query]]:
        """Give every query with the panel (or annotation) it belongs to."""
        panels = [panel for row in self.rows for panel in row.panels]
        found = [(panel.title, query) for panel in panels for query in panel.queries]
        return found + [(f"annotation {a.name}", a.query) for a in self.annotations]


def to_json(dashboard: Dashboard) -> Json:
    """Give the dashboard as Grafana loads it from a file."""
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.about,
        "tags": list(dashboard.tags),
        "editable": False,
        "graphTooltip": 1,  # one crosshair on all panels
        "refresh": "1s",
        "timezone": "browser",
        "time": {"from": "now-5m", "to": "now"},
        "timepicker": {"refresh_intervals": ["1s", "5s", "10s", "30s", "1m", "5m"]},
        "schemaVersion": SCHEMA_VERSION,
        "links": [_link(dashboard)],
        "templating": {"list": [_source(), *map(_variable, dashboard.variables)]},
        "annotations": {"list": [_annotation(each) for each in dashboard.annotations]},
        "panels": _panels(dashboard.rows),
    }


def _link(dashboard: Dashboard) -> Json:
    return {
        "title": "memquake",
        "type": "dashboards",
        "tags": list(dashboard.tags),
        "asDropdown": False,
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
        "icon": "external link",
        "tooltip": "",
        "url": "",
    }


def _source() -> Json:
    return {
        "type": "datasource",
        "name": "datasource",
        "label": "Prometheus",
        "query": "prometheus",
        "refresh": 1,
        "hide": 0,
        "includeAll": False,
        "multi": False,
    }


def _variable(variable: Variable) -> Json:
    return {
        "type": "query",
        "name": variable.name,
        "label": variable.label,
        "datasource": SOURCE,
        "query": {"query": variable.query, "refId": variable.name},
        "definition": variable.query,
        "refresh": 2,  # whenever the range of time changes: the next run brings its own values
        "sort": 1,
        "hide": 0,
        "includeAll": True,
        "allValue": ".*",
        "multi": False,
        "current": {"selected": True, "text": "All", "value": "$__all"},
    }


def _annotation(annotation: Annotation) -> Json:
    expr, legend = annotation.query.expr, annotation.query.legend
    return {
        "name": annotation.name,
        "datasource": SOURCE,
        "enable": True,
        "hide": False,
        "iconColor": annotation.color,
        # Asked for in two forms: as a target since Grafana 11, beside it before.
        "target": {"refId": "Anno", "expr": expr, "interval": "1s"},
        "expr": expr,
        "step": "1s",
        "titleFormat": legend,
        "tagKeys": ",".join(annotation.tags),
    }


def _panels(rows: Sequence[Row]) -> list[Json]:
    result: list[Json] = []
    top = 0
    for row in rows:
        result.append(
            {
                "type": "row",
                "id": len(result) + 1,
                "title": row.title,
                "collapsed": False,
                "gridPos": {"h": 1, "w": COLUMNS, "x": 0, "y": top},
                "panels": [],
            }
        )
        top += 1
        left = tallest = 0
        for panel in row.panels:
            if left + panel.width > COLUMNS:
                top, left, tallest = top + tallest, 0, 0
            place = {"h": panel.height, "w": panel.width, "x": left, "y": top}
            result.append(_panel(panel, len(result) + 1, place))
            left += panel.width
            tallest = max(tallest, panel.height)
        top += tallest
    return result


def _panel(panel: Panel, number: int, place: Json) -> Json:
    return {
        "type": panel.kind,
        "id": number,
        "title": panel.title,
        "description": panel.about,
        "datasource": SOURCE,
        "gridPos": place,
        "targets": [_target(query, place) for place, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": _overrides(panel)},
        "options": _OPTIONS[panel.kind],
    }


def _target(query: Query, place: int) -> Json:
    return {
        "refId": chr(ord("A") + place),
        "datasource": SOURCE,
        "expr": query.expr,
        "legendFormat": query.legend,
        "editorMode": "code",
        "range": True,
        "instant": False,
    }


def _defaults(panel: Panel) -> Json:
    by_threshold = bool(panel.steps) or panel.kind == "stat"
    defaults: Json = {
        "unit": panel.unit,
        "color": {"mode": "thresholds" if by_threshold else "palette-classic"},
        "thresholds": {
            "mode": "absolute",
            "steps": [{"value": at, "color": c} for at, c in panel.steps or [(None, GREEN)]],
        },
        "mappings": _mappings(panel.words),
        "custom": _custom(panel),
    }
    optional = {"min": panel.least, "max": panel.most, "decimals": panel.decimals}
    defaults.update({name: value for name, value in optional.items() if value is not None})
    if panel.no_value:
        defaults["noValue"] = panel.no_value
    return defaults


def _mappings(words: Sequence[tuple[str, str, str]]) -> list[Json]:
    if not words:
        return []
    options = {
        value: {"text": text, "color": color, "index": place}
        for place, (value, text, color) in enumerate(words)
    }
    return [{"type": "value", "options": options}]


def _custom(panel: Panel) -> Json:
    if panel.kind == "stat":
        return {}
    if panel.kind == "state-timeline":
        return {"lineWidth": 0, "fillOpacity": 80}
    custom: Json = {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 40 if panel.stacked else 10,
        "showPoints": "never",
        "spanNulls": 3_000,  # ms: a scrape or two that failed is no gap
        "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
    }
    if panel.steps:
        custom["thresholdsStyle"] = {"mode": "dashed+area"}
        custom["gradientMode"] = "scheme"
    return custom


def _overrides(panel: Panel) -> list[Json]:
    return [
        {
            "matcher": {"id": "byName", "options": name},
            "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": color}}],
        }
        for name, color in panel.colors.items()
    ]


_TOOLTIP: Json = {"mode": "multi", "sort": "desc"}
_OPTIONS: Mapping[str, Json] = {
    "timeseries": {
        "legend": {
            "displayMode": "list",
            "placement": "bottom",
            "showLegend": True,
            "calcs": [],
        },
        "tooltip": _TOOLTIP,
    },
    "stat": {
        "colorMode": "value",
        "graphMode": "area",
        "justifyMode": "auto",
        "orientation": "auto",
        "textMode": "auto",
        "wideLayout": True,
        "showPercentChange": False,
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    },
    "state-timeline": {
        "mergeValues": True,
        "showValue": "auto",
        "alignValue": "left",
        "rowHeight": 0.8,
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False, "calcs": []},
        "tooltip": {"mode": "single", "sort": "none"},
    },
}
