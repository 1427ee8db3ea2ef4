"""Queries are held against the list of metrics; rules are what Prometheus and people can read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from dashboard.promql import RulesError, problems, recorded, rule_problems, rules
from scripts.monitoring import RULES
from telemetry.families import FAMILIES

FOLDER = RULES.parent
EVERYTHING = rules(RULES)
ALERTS = {rule["alert"]: rule for _, rule in EVERYTHING if "alert" in rule}


@pytest.mark.parametrize(
    ("query", "legend", "said"),
    [
        ("memcache_users", "", None),
        ('sum by (server) (rate(memcache_pool_wait_seconds_count{server="node1"}[5s]))', "", None),
        ('up{job="memquake"}', "{{instance}}", None),
        ("sum(memcache_user)", "", "there is no metric memcache_user"),
        ("rate(memcache_pool_wait_seconds[5s])", "", "there is no metric memcache_pool_wait_s"),
        ('memcache_users{server="node1"}', "", "memcache_users has no label server"),
        ('memcache_operations_total{status="failed"}', "", "status is never 'failed'"),
        ('memcache_failures_total{outcome=~"time.*|x"}', "", None),
        ('memcache_failures_total{outcome=~"hit"}', "", "outcome is never 'hit'"),
        ("sum by (node) (memcache_users)", "", "cannot sum by node"),
        ("memcache_users and on (server) scenario_active", "", "cannot join on server"),
        ("sum by (status) (memcache_operations_total)", "{{server}}", "has no label server"),
        ("histogram_quantile(0.9, memcache_pool_wait_seconds_bucket)", "{{le}}", "no label le"),
        ("sum(memcache_users", "", "is no query"),
        ("", "", "is no query"),
    ],
)
def test_a_query_that_can_give_nothing_is_named(query: str, legend: str, said: str | None) -> None:
    """A metric, a label or a value that does not exist makes a line; what is right makes none."""
    found = problems(query, legend=legend)
    assert not found if said is None else any(said in line for line in found), found


def test_the_rules_ask_for_what_there_is() -> None:
    """Every rule's query and every label in its texts exists."""
    assert not rule_problems(EVERYTHING)
    broken = [
        ("a", {"alert": "A", "expr": "memcache_error_rat > 0.1"}),
        ("b", {"alert": "B", "expr": "memcache_users", "annotations": {"x": "{{ $labels.kind }}"}}),
        ("c", {"record": "users:max", "expr": "max by (job) (memcache_users)"}),
        ("d", {"alert": "D", "expr": 'users:max{instance="x"}'}),
        ("e", {"record": "users:sum", "expr": "sum(memcache_users)"}),
        ("f", {"alert": "F", "expr": "users:sum > 1"}),
    ]
    assert rule_problems(broken) == [
        "a: there is no metric memcache_error_rat",
        "b: the result has no label kind",
        "d: users:max has no label instance",
    ]


@pytest.mark.parametrize(
    "text", ["groups: [", "groups: 7", "{}", "groups: [{rules: [{alert: A}]}]", "groups: [{}]"]
)
def test_a_file_that_is_no_file_of_rules_is_named(tmp_path: Path, text: str) -> None:
    """Bad rules are one line with the file's name."""
    (tmp_path / "odd.yml").write_text(text)
    with pytest.raises(
        RulesError, match=r"^odd\.yml is no file of rules \([^\n]+\): see promtool$"
    ):
        rules(tmp_path)


def test_rules_are_named_by_level_metric_and_operation() -> None:
    """Recorded series follow Prometheus's convention and hide no metric of ours."""
    for name in recorded(EVERYTHING):
        assert re.fullmatch(r"server:memcache_\w+:\w+", name)
    assert not set(recorded(EVERYTHING)) & {family.name for family in FAMILIES}


def test_alerts_tell_what_is_wrong_and_how_bad_it_is() -> None:
    """What the product has to report has an alert, with a severity, a summary and a description."""
    assert set(ALERTS) == {
        "MemquakeBreakerOpen",
        "MemquakeErrorRateHigh",
        "MemquakeWrongValue",
        "MemquakeFaultActive",
        "MemquakeNoLoad",
        "MemquakeMasterDown",
    }
    for name, rule in ALERTS.items():
        assert rule["labels"]["severity"] in {"info", "warning", "critical"}, name
        assert set(rule["annotations"]) == {"summary", "description"}, name


def test_every_rule_has_a_test_for_promtool() -> None:
    """Each alert is expected and not expected somewhere, each recorded series has values."""
    cases = [
        case
        for path in sorted((FOLDER / "tests").glob("*.yml"))
        for case in yaml.safe_load(path.read_text())["tests"]
    ]
    alerts = [test for case in cases for test in case.get("alert_rule_test", ())]
    for name in ALERTS:
        outcomes = {bool(test["exp_alerts"]) for test in alerts if test["alertname"] == name}
        assert outcomes == {True, False}, name
    queries = {test["expr"] for case in cases for test in case.get("promql_expr_test", ())}
    assert queries == set(recorded(EVERYTHING))


def test_prometheus_scrapes_and_evaluates_each_second() -> None:
    """The configuration of the Compose file: the master's metrics, and all rules, every second."""
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    assert config["global"] == {
        "scrape_interval": "1s",
        "scrape_timeout": "1s",
        "evaluation_interval": "1s",
    }
    assert config["rule_files"] == ["rules/*.yml"]
    (job,) = config["scrape_configs"]
    assert job["metrics_path"] == "/metrics"
    assert job["static_configs"] == [{"targets": ["master:8089"]}]
    for path in RULES.glob("*.yml"):
        for group in yaml.safe_load(path.read_text())["groups"]:
            assert group["interval"] == "1s"
