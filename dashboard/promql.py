"""Queries held against the list of metrics, without a Prometheus.

Its rule: a query that cannot give data is an error: a metric that does not exist, a label it does
not have, a value that label never has. Rules and panels go through the same check. It needs
promql-parser, a package of development; nothing that runs imports this module.
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
from telemetry.family import Family

TARGET_LABELS = frozenset({"job", "instance"})
"""Given to every series by Prometheus when it scrapes."""

BUILT_IN: Mapping[str, frozenset[str]] = {"up": TARGET_LABELS}
"""Series that Prometheus makes itself and that are used here."""

NO_RECORDS: Mapping[str, frozenset[str]] = {}

_FAMILIES: Mapping[str, Family] = {
    series: family for family in FAMILIES for series in family.series
}
Rule = tuple[str, Mapping[str, Any]]
"""A rule of Prometheus's, after its name for people."""


class RulesError(Exception):
    """A file of rules cannot be read. One line."""


_LEGEND = re.compile(r"{{\s*(\w+)\s*}}")
_RULE_LABEL = re.compile(r"\$labels\.(\w+)")


def problems(
    expression: str, *, legend: str = "", records: Mapping[str, frozenset[str]] = NO_RECORDS
) -> list[str]:
    """Say what is wrong with a query, in a line each.

    `legend` is a text with `{{label}}`; `records` are further series by name with their labels.
    """
    try:
        parsed = promql.parse(expression)
    except ValueError as error:
        return [f"{expression!r} is no query: {error}"]
    found = [line for each in _selectors(parsed) for line in _of_selector(each, records)]
    if found:
        return found  # what follows from it says nothing more
    known = _labels(parsed, records)
    wanted = _LEGEND.findall(legend)
    found += [f"the result has no label {name}" for name in wanted if name not in known]
    found += _of_grouping(parsed, records)
    return found


def rules(folder: Path) -> list[Rule]:
    """Read the rules of all files of a folder, with a name for people. Raises RulesError."""
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
    """Give the series that rules record, with their labels, in the order of the rules."""
    series: dict[str, frozenset[str]] = {}
    for _, rule in found:
        if "record" in rule:
            labels: frozenset[str] = frozenset()
            with contextlib.suppress(ValueError):  # named by who looks at the query itself
                labels = _labels(promql.parse(rule["expr"]), series)
            series[rule["record"]] = labels
    return series


def rule_problems(found: Iterable[Rule]) -> list[str]:
    """Say what is wrong with rules, in a line each: queries, and labels named in texts."""
    everything = list(found)
    records = recorded(everything)
    lines = []
    for name, rule in everything:
        texts = " ".join(map(str, rule.get("annotations", {}).values()))
        legend = " ".join(f"{{{{{label}}}}}" for label in _RULE_LABEL.findall(texts))
        for line in problems(rule["expr"], legend=legend, records=records):
            lines.append(f"{name}: {line}")
    return lines


def _selectors(parsed: Any) -> Iterator[Any]:
    for node in _nodes(parsed):
        if isinstance(node, promql.VectorSelector):
            yield node


def _nodes(parsed: Any) -> list[Any]:
    nodes: list[Any] = []
    promql.walk(parsed, pre_visit=nodes.append)
    return nodes


def _of_selector(selector: Any, records: Mapping[str, frozenset[str]]) -> list[str]:
    name = selector.name
    labels = _labels_of(name, records)
    if labels is None:
        return [f"there is no metric {name}"]
    found = []
    family = _FAMILIES.get(name)
    for matcher in selector.matchers.matchers:
        if matcher.name not in labels:
            found.append(f"{name} has no label {matcher.name}")
        elif family is not None and matcher.name in family.labels:
            words = family.labels[matcher.name].words
            if words is not None and not _can_match(matcher, words):
                found.append(f"{name}: {matcher.name} is never {matcher.value!r}")
    return found


def _can_match(matcher: Any, words: frozenset[str]) -> bool:
    if matcher.op in (promql.MatchOp.Re, promql.MatchOp.NotRe):
        return any(re.fullmatch(matcher.value, word) for word in words)
    return matcher.value in words


def _labels_of(name: str | None, records: Mapping[str, frozenset[str]]) -> frozenset[str] | None:
    """Give the labels of a series, None when there is none of that name."""
    name = name or ""
    if name in _FAMILIES:
        return _FAMILIES[name].queried_labels | TARGET_LABELS
    return records.get(name) or BUILT_IN.get(name)


def _of_grouping(parsed: Any, records: Mapping[str, frozenset[str]]) -> list[str]:
    """Find labels in `by` and `on` that what is grouped or joined does not have."""
    found = []
    for node in _nodes(parsed):
        if isinstance(node, promql.AggregateExpr) and node.modifier is not None:
            inside = _labels(node.expr, records)
            lacking = [name for name in node.modifier.labels if name not in inside]
            found += [f"cannot sum by {name}: what is summed does not have it" for name in lacking]
        if isinstance(node, promql.BinaryExpr) and node.modifier and node.modifier.matching:
            for side in (node.lhs, node.rhs):
                inside = _labels(side, records)
                names = node.modifier.matching.labels
                lacking = [name for name in names if name not in inside]
                found += [f"cannot join on {name}: one side does not have it" for name in lacking]
    return found


def _labels(node: Any, records: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Give the labels that the result of a query can have, as far as its form tells."""
    found: frozenset[str] = frozenset()
    match node:
        case promql.VectorSelector():
            found = _labels_of(node.name, records) or frozenset()
        case promql.MatrixSelector():
            found = _labels(node.vector_selector, records)
        case promql.AggregateExpr():
            found = frozenset(node.modifier.labels) if node.modifier else frozenset()
        case promql.BinaryExpr():
            found = _labels(node.lhs, records) or _labels(node.rhs, records)
        case promql.Call():
            found = frozenset().union(*(_labels(each, records) for each in node.args))
            found -= {"le"} if node.func.name == "histogram_quantile" else set()
        case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            found = _labels(node.expr, records)
    return found
