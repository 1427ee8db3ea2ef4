"""docs/metrics.md, rendered from the list of metrics and the files of rules.

What the page says of a name is what the collector serves under it. Reads the rules, writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dashboard.promql import rules
from telemetry.buckets import BOUNDS_S, WAIT_BITS
from telemetry.counts import OTHER_FAILURE
from telemetry.families import FAMILIES, POOL_WAIT
from telemetry.family import Family, Kind

TOP = """# Metrics

What a master tells Prometheus, once a second if it likes to ask that often. This page is written by
`make monitoring` from `telemetry/families.py` and `dashboard/prometheus/rules/`; `make check` says
when it is out of date.

- **Where.** `/metrics` of the web UI, on its port; without a web UI on the loopback port that
  `--prometheus-port` names. Only the master is scraped: it speaks for all workers.
- **With what.** `docker compose up` brings Prometheus and Grafana. By hand: take
  `dashboard/prometheus/prometheus.yml` (change the target) and what is in `dashboard/grafana/`.
- **Nothing is counted for Prometheus.** Every number is read from the timeline that the verdict and
  the report are made of. Counters begin anew with every run. Rates, shares and gauges are of the
  last seconds, never since the start.
- What a client under test does not tell is missing, not 0. Metrics with a star need a client with
  `snapshot()`.
"""

COLUMNS = """
| metric | type | unit | labels | meaning |
|---|---|---|---|---|
"""

LABELS = """
## Labels

Prometheus adds `job` and `instance`.

| label | of | values |
|---|---|---|
"""

SERIES = f"""
## How many series

Every label has few values, known beforehand: nodes, methods, words of memquake's own. Keys, values,
addresses, process ids and texts of errors are never labels; words of a client's own become
`{OTHER_FAILURE}`. So there is a bound, however long it runs and whatever the client says:

| metric | at the most |
|---|---|
"""

RULES = """
## Rules

In `dashboard/prometheus/rules/`; `dashboard/prometheus/tests/` tests them (`promtool test rules`).

| rule | from | when, and for how long |
|---|---|---|
"""


def render(folder: Path) -> str:
    """Give the page, with the rules of the files in the folder."""
    tables = (
        (COLUMNS, map(_metric, FAMILIES)),
        (LABELS, _labels()),
        (SERIES, (f"| `{family.name}` | {_bound(family)} |" for family in FAMILIES)),
        (RULES, _rules(folder)),
    )
    return TOP + "".join(head + "\n".join(rows) + "\n" for head, rows in tables)


def _metric(family: Family) -> str:
    star = " *" if family.needs else ""
    labels = ", ".join(f"`{name}`" for name in family.labels)
    return f"| `{family.name}`{star} | {family.kind} | {family.unit} | {labels} | {family.help} |"


def _labels() -> Iterable[str]:
    users: dict[tuple[str, str], list[str]] = {}
    for family in FAMILIES:
        for label, values in family.labels.items():
            users.setdefault((label, values.meaning), []).append(f"`{family.name}`")
    for (label, meaning), names in sorted(users.items()):
        yield f"| `{label}` | {', '.join(names)} | {meaning} |"


def _bound(family: Family) -> str:
    factors = [values.bound for values in family.labels.values() if values.bound != "1"]
    if family.kind is Kind.HISTOGRAM:
        bounds = len(WAIT_BITS) if family is POOL_WAIT else len(BOUNDS_S)
        factors.append(str(bounds + 3))  # +Inf, _count, _sum
    numbers = [int(factor) for factor in factors if factor.isdigit()]
    product = 1
    for number in numbers:
        product *= number
    words = [factor for factor in factors if not factor.isdigit()]
    return " x ".join([*words, *([str(product)] if product > 1 or not words else [])])


def _rules(folder: Path) -> Iterable[str]:
    for name, rule in rules(folder):
        file, _, title = name.partition(": ")
        lasting = f", for {rule['for']}" if "for" in rule else ""
        yield f"| `{title}` | {file} | `{rule['expr'].replace('|', chr(92) + '|')}`{lasting} |"
