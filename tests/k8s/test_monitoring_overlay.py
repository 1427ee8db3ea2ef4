"""A Prometheus in the namespace `monitoring` is let in where the master's annotations point."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.k8s.cluster import PROMETHEUS, Namespace, applied, forwarded, kubectl, soon
from tests.k8s.test_ui_overlay import FORM, page_of

pytestmark = pytest.mark.k8s

MONITORING = "monitoring"
NAME = {"app.kubernetes.io/name": "prometheus"}
RUN = FORM | {"scenario": "node-blackhole", "time_scale": "0.3"}


def configuration(watched: Namespace) -> str:
    """Give the configuration of a Prometheus that scrapes the annotated pods of a namespace.

    The pods are looked up here, as service discovery would do it: a Prometheus may be built
    without that of Kubernetes.
    """
    jobs = []
    for pod in watched.get("pods")["items"]:
        notes = pod["metadata"].get("annotations", {})
        if notes.get("prometheus.io/scrape") == "true":
            target = f"{pod['status']['podIP']}:{notes['prometheus.io/port']}"
            path = notes["prometheus.io/path"]
            where = {"metrics_path": path, "static_configs": [{"targets": [target]}]}
            jobs.append({"job_name": "memquake", **where})
    second = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    return yaml.safe_dump(
        {"global": second, "rule_files": ["/etc/prometheus/*.yml.rules"], "scrape_configs": jobs}
    )


def objects(watched: Namespace) -> Iterator[dict[str, Any]]:
    """Give a Prometheus with the rules that the overlay's ConfigMap carries."""
    maps = watched.get("configmaps", "-l", "prometheus_rule=1")["items"]
    rules = {f"{name}.rules": text for each in maps for name, text in each["data"].items()}
    assert rules
    core, inside = {"apiVersion": "v1"}, {"namespace": MONITORING, "name": "prometheus"}
    data = {"prometheus.yml": configuration(watched), **rules}
    yield {**core, "kind": "ConfigMap", "metadata": inside, "data": data}
    container = {
        "name": "prometheus",
        "image": PROMETHEUS,
        "imagePullPolicy": "IfNotPresent",
        "args": [
            "--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus/data",
        ],
        "readinessProbe": {"httpGet": {"path": "/-/ready", "port": 9090}, "periodSeconds": 2},
        "volumeMounts": [{"name": "configuration", "mountPath": "/etc/prometheus"}],
    }  # fmt: skip
    spec = {
        "containers": [container],
        "volumes": [{"name": "configuration", "configMap": {"name": "prometheus"}}],
    }
    template = {"metadata": {"labels": NAME}, "spec": spec}
    deployment = {"replicas": 1, "selector": {"matchLabels": NAME}, "template": template}
    yield {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": inside, "spec": deployment}


def of_the_api(base: str, path: str, **parameters: str) -> Any:
    """Ask Prometheus's API."""
    with requests.Session() as session:
        session.trust_env = False
        answer = session.get(f"{base}/api/v1/{path}", params=parameters, timeout=20).json()
    assert answer["status"] == "success", answer
    return answer["data"]


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Namespace]:
    """Give the overlay's namespace, with a Prometheus beside it; both are gone afterwards."""
    there = kubectl("get", "namespace", MONITORING)
    assert there.code != 0, f"there is a namespace {MONITORING}: this test needs to make its own"
    with applied("monitoring", tmp_path, {}) as namespace:
        namespace.roll_out(
            "statefulset/memcached", "deployment/toxiproxy", "deployment/master",
            "deployment/worker",
        )  # fmt: skip
        try:
            assert kubectl("create", "namespace", MONITORING).code == 0
            text = json.dumps({"apiVersion": "v1", "kind": "List", "items": [*objects(namespace)]})
            done = kubectl("apply", "-f", "-", text=text)
            assert done.code == 0, done
            wait = ("rollout", "status", "deployment/prometheus", "--timeout=120s")
            done = kubectl("-n", MONITORING, *wait, limit_s=130)
            assert done.code == 0, done
            yield namespace
        finally:
            done = kubectl("delete", "namespace", MONITORING, "--ignore-not-found", limit_s=180)
    assert done.code == 0, done


def test_a_run_is_scraped_and_its_fault_alerts(watched: Namespace) -> None:
    """The target is up, a run's operations are counted each second, and the fault's alert fires."""
    with forwarded(MONITORING, "deployment/prometheus", 9090) as base, page_of(watched) as page:

        def targets() -> Any:
            found = of_the_api(base, "targets")["activeTargets"]
            return found if [each["health"] for each in found] == ["up"] else []

        (target,) = soon(targets, 60, "one target, and up")
        assert target["scrapeUrl"].endswith(":8089/metrics"), target
        soon(lambda: len(page.call("GET", "/stats/requests")["workers"]) == 2, 150, "two workers")
        assert page.call("POST", "/swarm", data=RUN)["success"]
        firing: set[str] = set()

        def is_over() -> bool:
            alerts = of_the_api(base, "alerts")["alerts"]
            firing.update(a["labels"]["alertname"] for a in alerts if a["state"] == "firing")
            return bool(page.state()["phase"] == "finished")

        soon(is_over, 240, "the verdict")
        asked = "max_over_time(sum(rate(memcache_operations_total[5s]))[4m:1s])"
        (sample,) = of_the_api(base, "query", query=asked)["result"]
        assert float(sample["value"][1]) > int(RUN["target_rate"]) / 2, sample
        assert {"MemquakeFaultActive", "MemquakeBreakerOpen"} <= firing, firing
        health = {
            rule["name"]: rule["health"]
            for group in of_the_api(base, "rules")["groups"]
            for rule in group["rules"]
        }
        assert health
        assert set(health.values()) == {"ok"}, health
