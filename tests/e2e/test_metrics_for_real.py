"""A run, a real Prometheus that scrapes it, and everything that Grafana and the rules ask of it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import promql_parser
import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from dashboard.grafana.build import FOLDER
from dashboard.grafana.queries import DEFAULTS
from dashboard.grafana.reading import Asked, asked
from dashboard.promql import rules
from faults.kinds import KINDS
from telemetry.families import FAMILIES
from telemetry.family import Family, Kind
from tests.conftest import wait_until
from tests.e2e.prometheus_server import PROMETHEUS, PrometheusServer

RULES = rules(PROMETHEUS / "rules")
FIRES = {"MemquakeBreakerOpen", "MemquakeErrorRateHigh", "MemquakeFaultActive"}
EARLIEST = {"memcache_hit_ratio", "memcache_circuit_breaker_state"}  # then the first second is in
LENGTH = "60s"
SERIES_MAX = 3_000  # of three nodes, with every method and outcome that a run has

SCENARIO = """\
name: everything-measured
description: One node slow, then two silent, so that every metric has something to tell.
phases: {stabilization: 7s, recovery: 16s}
load: {users: 10, target_rate: 200}
faults:
  - {id: slow, at: 0s, duration: 16s, kind: latency, latency: 50ms, jitter: 5ms, target: {nodes: [node2]}}
  - {id: hole, at: 8s, duration: 8s, kind: timeout, target: {nodes: [node1, node3]}}
"""  # noqa: E501 - as a user writes it


def scraped(port: int) -> str:
    """Give what /metrics says, "" while nobody answers."""
    with requests.Session() as session:
        session.trust_env = False
        try:
            return session.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
        except requests.ConnectionError:
            return ""


def names_of(text: str) -> set[str]:
    """Give the families of a text of metrics that have a sample, as the list names them."""
    return {
        sample.name.removesuffix("_bucket") if family.type == "histogram" else sample.name
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if family.type != "histogram" or sample.name.endswith("_bucket")
    }


def assert_as_listed(text: str, scenario: str) -> None:
    """Assert that whatever is served is in the list, with its type, labels and their values."""
    listed = {family.name: family for family in FAMILIES}
    samples = 0
    for served in text_string_to_metric_families(text):
        counted = served.type == "counter"
        family = listed[f"{served.name}_total" if counted else served.name]
        assert served.type == family.kind, family.name
        assert served.documentation == family.help
        for sample in served.samples:
            samples += 1
            assert sample.name in family.series, sample
            assert_bounded(family, sample.labels, scenario)
    assert samples <= SERIES_MAX


def assert_bounded(family: Family, labels: dict[str, str], scenario: str) -> None:
    """Assert that the labels of a sample are those of the list and their values bounded."""
    more = {"le"} if family.kind is Kind.HISTOGRAM and "le" in labels else set()
    assert set(labels) == set(family.labels) | more, family.name
    for label, values in family.labels.items():
        value = labels[label]
        if values.words is not None:
            assert value in values.words, f"{family.name}: {label}={value!r}"
        elif label == "server":
            assert re.fullmatch(r"(node[1-3])?", value), f"{family.name}: {label}={value!r}"
        elif label == "scenario":
            assert value == scenario
        elif label == "type":
            assert value in KINDS
        else:
            assert label == "param"
            assert re.fullmatch(r"[a-z_]+", value)


def test_metrics_are_as_listed(start_locust: Callable, free_port: Callable) -> None:
    """What /metrics serves during a run is what docs/metrics.md lists; only faults are missing."""
    port = free_port()
    options = ["-u", "10", "--target-rate", "200", "-t", "8s", "--prometheus-port", str(port)]
    run = start_locust(["--scenario", "none", *options])
    text = wait_until(
        lambda: (page := scraped(port)) and names_of(page) >= EARLIEST and page,
        within_s=60,
        every_s=0.5,
        what="a scrape in the midst of a run",
    )
    run.finish(60)
    assert_as_listed(text, "none")
    phases = {"scenario_phase_duration_seconds"}  # of a scenario with phases
    faults = {"toxiproxy_toxic_active", "toxiproxy_toxic_value"}
    failures = {"memcache_circuit_breaker_failures"}
    assert {family.name for family in FAMILIES} - names_of(text) <= faults | phases | failures
    assert names_of(text) <= {family.name for family in FAMILIES}


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Callable[[int], PrometheusServer]]:
    """Give a function that starts a Prometheus that scrapes a loopback port."""
    started: list[PrometheusServer] = []

    def start(target_port: int) -> PrometheusServer:
        folder = tmp_path / f"prometheus{len(started)}"
        folder.mkdir()
        started.append(PrometheusServer(folder, target_port))
        return started[-1]

    yield start
    for server in started:
        server.stop()


def everything_asked() -> list[Asked]:
    """Give every query of every dashboard."""
    dashboards = [json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))]
    return [query for dashboard in dashboards for query in asked(dashboard)]


def selectors(expression: str) -> set[str]:
    """Give what a query reads, without what is then compared and joined."""
    found: list[object] = []
    promql_parser.walk(promql_parser.parse(expression), pre_visit=found.append)
    return {str(node) for node in found if isinstance(node, promql_parser.VectorSelector)}


@pytest.mark.prove
def test_every_query_of_panels_and_rules_has_data(
    start_locust: Callable, free_port: Callable, prometheus: Callable, tmp_path: Path
) -> None:
    """During a run with faults, a real Prometheus has data for each query, and alerts fire."""
    port = free_port()
    server = prometheus(port)
    scenario = tmp_path / "everything-measured.yaml"
    scenario.write_text(SCENARIO)
    since = time.time()
    run = start_locust(
        ["--scenario", str(scenario), "--processes", "2", "--prometheus-port", str(port)]
    )
    page, firing, up = "", set(), set()
    while run.process.poll() is None:
        page = scraped(port) or page
        up |= {target["health"] for target in server.api("targets")["activeTargets"]}
        alerts = server.api("alerts")["alerts"]
        firing |= {each["labels"]["alertname"] for each in alerts if each["state"] == "firing"}
        assert time.time() < since + 180, run.result()
        time.sleep(1)
    result = run.finish(30)
    assert result.exit_code in {0, 1, 3}, str(result)
    assert "up" in up
    assert_as_listed(page, "everything-measured")

    chosen = {**DEFAULTS, "$scenario": "everything-measured", "$node": "node1|node2|node3"}
    silent = []
    for query in everything_asked():
        found = server.over(query.resolved(), since)
        again = server.over(query.resolved(chosen), since)
        if found and again:
            print(f"{query.by}: {query.legend} = {found[0][1]:g} {found[0][0]}")  # noqa: T201
        else:
            silent.append(f"{query.by}: {query.resolved()}")
    missed = server.over(f'count_over_time((up{{job="memquake"}} == 0)[{LENGTH}:1s])', since)
    assert not silent, "\n".join([*silent, f"scrapes that failed: {missed}"])

    for name in ("scrape_samples_scraped", "scrape_duration_seconds"):
        print(f"{name}: at most {server.over(name, since)[0][1]:g}")  # noqa: T201
    for _, rule in RULES:
        server.over(rule["expr"], since)
        for selector in selectors(rule["expr"]):
            assert server.over(selector, since), f"{rule['expr']}: no {selector}"
        if "record" in rule:
            assert server.over(rule["record"], since), rule["record"]
    groups = server.api("rules")["groups"]
    states = {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}
    assert states == {rule.get("alert") or rule["record"]: "ok" for _, rule in RULES}
    assert firing >= FIRES, f"{firing}\n{result}"
    assert "MemquakeWrongValue" not in firing

    def told() -> bool:
        alerts = server.api("alerts")["alerts"]
        return any(
            each["labels"]["alertname"] == "MemquakeMasterDown" and each["state"] == "firing"
            for each in alerts
        )

    wait_until(told, within_s=60, every_s=1, what="the alert that the master is gone")
