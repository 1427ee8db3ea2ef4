"""The words that panels are queried with: which series, of which scenario and node, how joined.

Its rule: the metrics themselves carry no scenario, so that none of them doubles with every
scenario that is run; a query keeps the moments in which the chosen scenario was on. Pure text.
"""

from __future__ import annotations

from collections.abc import Mapping

from telemetry.family import Family

SCENARIO = 'scenario=~"$scenario"'
NODE = 'server=~"$node"'
DURING = f"and on (job, instance) scenario_phase{{{SCENARIO}}}"
PER = "$__rate_interval"

DEFAULTS: Mapping[str, str] = {
    "$scenario": ".*",
    "$node": ".*",
    "$__rate_interval": "5s",
    "$__range": "60s",
}
"""What Grafana puts in for the variables when nothing was chosen, for whoever runs a query."""


def now(family: Family, *matchers: str, series: str = "") -> str:
    """Give a metric's value while the chosen scenario is on."""
    return f"{_selected(family, matchers, series)} {DURING}"


def summed(family: Family, *matchers: str, by: str = "") -> str:
    """Give the sum of a metric's values by these labels."""
    return f"sum{_by(by)} ({now(family, *matchers)})"


def rate(family: Family, *matchers: str, by: str = "", series: str = "") -> str:
    """Give how much a counter grows in a second, by these labels."""
    return f"sum{_by(by)} (rate({_selected(family, matchers, series)}[{PER}]) {DURING})"


def increase(family: Family, *matchers: str, by: str = "") -> str:
    """Give how much a counter has grown since the point before, by these labels."""
    return f"sum{_by(by)} (increase({_selected(family, matchers, '')}[{PER}]) {DURING})"


def quantile(share: float, family: Family, *matchers: str, by: str = "") -> str:
    """Give the value below which `share` (0-1) of what a histogram counted of late lies."""
    labels = f"{by}, le" if by else "le"
    return f"histogram_quantile({share:g}, {rate(family, *matchers, by=labels, series='_bucket')})"


def resolve(expression: str, values: Mapping[str, str] = DEFAULTS) -> str:
    """Put values in for Grafana's variables, as Grafana would."""
    for name in sorted(values, key=len, reverse=True):
        expression = expression.replace(name, values[name])
    return expression


def _selected(family: Family, matchers: tuple[str, ...], series: str) -> str:
    return f"{family.name}{series}{{{', '.join(matchers)}}}" if matchers else family.name + series


def _by(labels: str) -> str:
    return f" by ({labels})" if labels else ""
