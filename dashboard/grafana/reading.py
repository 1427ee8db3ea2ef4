"""What a dashboard's file asks of Prometheus, read from the JSON that Grafana would load.

From the file and not from the code that writes it: what was changed by hand counts as well. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dashboard.grafana.queries import DEFAULTS, resolve

_VARIABLE_QUERY = re.compile(r"label_values\((?P<series>.+), *(?P<label>\w+)\)")
_VARIABLE = re.compile(r"\$\{?(\w+)")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One query: who asks it, the PromQL with its variables, and how series are called."""

    by: str
    expr: str
    legend: str = ""

    def resolved(self, values: Mapping[str, str] = DEFAULTS) -> str:
        """Give the PromQL with values for Grafana's variables."""
        return resolve(self.expr, values)


def asked(dashboard: Mapping[str, Any]) -> Iterator[Asked]:
    """Give every query of the panels, annotations and variables of a dashboard."""
    title = dashboard["title"]
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield Asked(
                by=f"{title}: {panel['title']}",
                expr=target["expr"],
                legend=target.get("legendFormat", ""),
            )
    for annotation in dashboard["annotations"]["list"]:
        name = f"{title}: annotation {annotation['name']}"
        for expr in {annotation["target"]["expr"], annotation["expr"]}:
            yield Asked(by=name, expr=expr, legend=annotation["titleFormat"])
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            name = f"{title}: variable {variable['name']}"
            found = _VARIABLE_QUERY.fullmatch(variable["query"]["query"])
            if found is None:
                raise ValueError(f"{name}: {variable['query']['query']!r} is no label_values(...)")
            yield Asked(by=name, expr=found["series"], legend=f"{{{{{found['label']}}}}}")


def unknown_variables(dashboard: Mapping[str, Any]) -> list[str]:
    """Name the variables that queries use and the dashboard does not have."""
    known = {variable["name"] for variable in dashboard["templating"]["list"]}
    built_in = {name.removeprefix("$") for name in DEFAULTS if name.startswith("$__")}
    return sorted(
        f"{query.by}: there is no variable ${name}"
        for query in asked(dashboard)
        for name in _VARIABLE.findall(query.expr)
        if name not in known | built_in
    )
