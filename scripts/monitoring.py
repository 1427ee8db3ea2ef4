"""What Prometheus and Grafana read, generated and checked: `python -m scripts.monitoring`.

Writes the dashboards and docs/metrics.md. With `--check` it writes nothing and says instead what
is out of date, and which query of a panel, annotation, variable or rule could never give data. One
line for each problem, exit code 1 if there is any.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from dashboard.grafana.build import FOLDER, files
from dashboard.grafana.reading import asked, unknown_variables
from dashboard.promql import RulesError, problems, recorded, rule_problems, rules
from memquake.paths import CHECKOUT, DOCS, PROMETHEUS
from scripts.metrics_page import render

RULES = PROMETHEUS / "rules"
PAGE = DOCS / "metrics.md"
WAY_OUT = "run `make monitoring`"


def generated() -> dict[Path, str]:
    """Give the text of every generated file."""
    return {**files(), PAGE: render(RULES)}


def stale(wanted: Mapping[Path, str]) -> list[str]:
    """Name the files that are not what would be generated, a line each."""
    lines = []
    for path, text in wanted.items():
        name = path.relative_to(CHECKOUT)
        if not path.is_file():
            lines.append(f"{name} is missing: {WAY_OUT}")
        elif path.read_text(encoding="utf-8") != text:
            lines.append(f"{name} is not what its source gives: {WAY_OUT}")
    extra = sorted(set(FOLDER.glob("*.json")) - set(wanted))
    lines += [f"{path.relative_to(CHECKOUT)} is written by nothing: remove it" for path in extra]
    return lines


def bad_queries(folder: Path) -> list[str]:
    """Name the queries of a folder of dashboards that could never give data, a line each."""
    records = recorded(rules(RULES))
    lines = []
    for path in sorted(folder.glob("*.json")):
        try:
            dashboard = json.loads(path.read_text(encoding="utf-8"))
            queries = list(asked(dashboard))
        except (ValueError, LookupError, TypeError) as error:
            lines.append(f"{path.name} is no dashboard ({type(error).__name__}: {error})")
            continue
        lines += unknown_variables(dashboard)
        for query in queries:
            found = problems(query.resolved(), legend=query.legend, records=records)
            lines += [f"{path.name}: {query.by}: {line}" for line in found]
    return lines


def main(arguments: list[str]) -> int:
    """Write, or check; give the exit code."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write(f"unknown arguments {arguments}: use --check, or nothing to write\n")
        return 2
    try:
        wanted = generated()
        if arguments:
            lines = [*stale(wanted), *bad_queries(FOLDER), *rule_problems(rules(RULES))]
            for line in lines:
                sys.stderr.write(f"{line}\n")
            return 1 if lines else 0
    except RulesError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for path, text in wanted.items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
