"""Queries held against the list of metrics, without a Prometheus.

Its rule: a query that cannot give data is an error: a metric that does not exist, a label it does
not have, a value that label never has. Rules and panels go through the same check. promql-parser,
a package of development, reads the queries (nothing that runs imports this module); whether rules
do what they should is for promtool.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import promql_parser as promql
import yaml

from telemetry.families import FAMILIES

TARGET_LABELS = frozenset({"job", "instance"})
"""Given to every series by Prometheus when it scrapes."""

Series = Mapping[str, frozenset[str]]
"""Labels by the name of a series."""

Rule = tuple[str, Mapping[str, Any]]
"""A rule of Prometheus's, after its name for people."""

NONE: Series = {}
KNOWN: Series = {"up": TARGET_LABELS} | {
    series: family.queried_labels | TARGET_LABELS for family in FAMILIES for series in family.series
}
WORDS: Mapping[tuple[str, str], frozenset[str]] = {
    (series, label): values.words
    for family in FAMILIES
    for label, values in family.labels.items()
    for series in family.series
    if values.words is not None
}
_LEGEND = re.compile(r"{{\s*(\w+)\s*}}")
_RULE_LABEL = re.compile(r"\$labels\.(\w+)")


class RulesError(Exception):
    """A file of rules cannot be read. One line."""


def problems(expression: str, *, legend: str = "", records: Series = NONE) -> list[str]:
    """Return what is wrong with a query, in a line each.

    `legend` is a text with `{{label}}`; `records` are series beside those that are scraped.
    """
    try:
        parsed = promql.parse(expression)
    except ValueError as error:
        return [f"{expression!r} is no query: {error}"]
    known = {**KNOWN, **records}
    nodes: list[Any] = []
    promql.walk(parsed, pre_visit=nodes.append)
    selectors = [node for node in nodes if isinstance(node, promql.VectorSelector)]
    found = [line for selector in selectors for line in _of_selector(selector, known)]
    if found:
        return found  # what follows from it says nothing more
    there = _labels(parsed, known)
    found = [
        f"the result has no label {name}" for name in _LEGEND.findall(legend) if name not in there
    ]
    return found + [line for node in nodes for line in _of_grouping(node, known)]


def rules(folder: Path) -> list[Rule]:
    """Return the rules of all files of a folder, with a name for people. Raises RulesError."""
    found: list[Rule] = []
    for path in sorted(folder.glob("*.yml")):
        try:
            groups = yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
            for rule in [rule for group in groups for rule in group["rules"]]:
                name = rule["alert"] if "alert" in rule else rule["record"]
                found.append((f"{path.name}: {name}", {**rule, "expr": rule["expr"]}))
        except (yaml.YAMLError, KeyError, TypeError) as error:
            why = " ".join(f"{type(error).__name__}: {error}".split())
            raise RulesError(f"{path.name} is no file of rules ({why}): see promtool") from error
    return found


def recorded(found: Iterable[Rule]) -> dict[str, frozenset[str]]:
    """Return the series that rules record, with their labels, in the order of the rules."""
    series: dict[str, frozenset[str]] = {}
    for _, rule in found:
        if "record" in rule:
            series[rule["record"]] = frozenset()
            with contextlib.suppress(ValueError):  # named where the query itself is looked at
                series[rule["record"]] = _labels(promql.parse(rule["expr"]), {**KNOWN, **series})
    return series


def rule_problems(found: Iterable[Rule]) -> list[str]:
    """Return what is wrong with rules, in a line each: queries, and labels named in texts."""
    everything = list(found)
    records = recorded(everything)
    lines = []
    for name, rule in everything:
        texts = " ".join(map(str, rule.get("annotations", {}).values()))
        legend = " ".join(f"{{{{{label}}}}}" for label in _RULE_LABEL.findall(texts))
        lines += [
            f"{name}: {line}" for line in problems(rule["expr"], legend=legend, records=records)
        ]
    return lines


def _of_selector(selector: Any, known: Series) -> Iterator[str]:
    name = selector.name or ""
    if name not in known:
        yield f"there is no metric {selector.name}"
        return
    for matcher in selector.matchers.matchers:
        words = WORDS.get((name, matcher.name))
        is_pattern = matcher.op in (promql.MatchOp.Re, promql.MatchOp.NotRe)
        wanted = re.compile(matcher.value if is_pattern else re.escape(matcher.value))
        if matcher.name not in known[name]:
            yield f"{name} has no label {matcher.name}"
        elif words is not None and not any(map(wanted.fullmatch, words)):
            yield f"{name}: {matcher.name} is never {matcher.value!r}"


def _of_grouping(node: Any, known: Series) -> Iterator[str]:
    """Find labels in `by` and `on` that what is grouped or joined does not have."""
    inside, names, how = [], [], ""
    if isinstance(node, promql.AggregateExpr) and node.modifier is not None:
        inside, names, how = [node.expr], node.modifier.labels, "sum by"
    elif isinstance(node, promql.BinaryExpr) and node.modifier and node.modifier.matching:
        inside, names, how = [node.lhs, node.rhs], node.modifier.matching.labels, "join on"
    for part in inside:
        for name in names:
            if name not in _labels(part, known):
                yield f"cannot {how} {name}: what it is done to does not have it"


def _labels(node: Any, known: Series) -> frozenset[str]:
    """Return the labels that the result of a query can have, as far as its form tells."""
    found: frozenset[str] = frozenset()
    match node:
        case promql.VectorSelector():
            found = known.get(node.name or "", found)
        case promql.MatrixSelector():
            found = _labels(node.vector_selector, known)
        case promql.AggregateExpr():
            found = frozenset(node.modifier.labels) if node.modifier else found
        case promql.BinaryExpr():
            found = _labels(node.lhs, known) or _labels(node.rhs, known)
        case promql.Call():
            found = found.union(*(_labels(each, known) for each in node.args))
            found -= {"le"} if node.func.name == "histogram_quantile" else set()
        case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            found = _labels(node.expr, known)
    return found
