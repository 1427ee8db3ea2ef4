"""Locust's web UI with memquake in it: the form, the tab, the page, the metrics, the run folder."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Any

import requests

FORM = {
    "user_count": "10",
    "spawn_rate": "10",
    "scenario": "none",
    "seed": "3",
    "target_rate": "300",
    "time_scale": "1",
}


def test_a_run_from_the_form(start_locust: Callable, free_port: Callable) -> None:
    """What the form starts is checked first, shown while it runs, and leaves a run folder."""
    port = free_port()
    master = start_locust(["--web-port", str(port)], headless=False)
    session = requests.Session()
    session.trust_env = False
    base = f"http://127.0.0.1:{port}"

    def call(method: str, path: str, **more: Any) -> requests.Response:
        return session.request(method, base + path, timeout=20, **more)

    def state() -> Any:
        return call("GET", "/memquake/state").json()

    deadline = time.monotonic() + 30
    while f"web UI at {base}" not in master.stdout:
        assert time.monotonic() < deadline, master.result()
        time.sleep(0.1)

    refused = call("POST", "/swarm", data=FORM | {"scenario": "node-blackholee"}).json()
    assert not refused["success"]
    assert "node-blackhole" in refused["message"]
    refused = call("POST", "/swarm", data=FORM | {"host": "10.0.0.1:11211"}).json()
    assert not refused["success"], "a host that nothing is sent to"
    assert "--nodes" in refused["message"]
    refused = call("POST", "/swarm", data=FORM | {"run_time": "0s"}).json()
    assert not refused["success"], "a run of no time"
    assert "0s is too short" in refused["message"]
    assert "memquake: live page" in call("GET", "/").text
    assert "<title>memquake</title>" in call("GET", "/memquake").text

    assert call("POST", "/swarm", data=FORM).json()["success"]
    again = call("POST", "/swarm", data=FORM | {"scenario": "node-crash"}).json()
    assert not again["success"], "a second run was started beside the first"
    time.sleep(13)
    live = state()
    assert live["phase"] == "running"
    assert live["seed"] == 3
    assert live["numbers"]["ops"] > 100
    stats = call("GET", "/stats/requests").json()["extended_stats"]
    rows = next(entry["data"] for entry in stats if entry["key"] == "memcached")
    assert {row["name"] for row in rows} >= {"node1", "node2", "node3"}
    metrics = call("GET", "/metrics").text
    for name in ("memcache_operations_total", "memcache_circuit_breaker_state", "scenario_active"):
        assert f"\n{name}" in metrics

    call("POST", "/stop")
    deadline = time.monotonic() + 20
    while (last := state()["last"]) is None:
        assert time.monotonic() < deadline, master.result()
        time.sleep(0.2)
    assert last["verdict"] == "PASS", last
    assert {"report.html", "verdict.json", "findings.jsonl"} < set(last["files"])
    for file in last["files"]:
        assert call("GET", f"/memquake/runs/{last['run']}/{file}").status_code == 200
    assert call("GET", f"/memquake/runs/{last['run']}/../../settings.py").status_code == 404
    time.sleep(2.5)
    over = state()
    assert over["series"][-1]["t"] + 1 <= over["t"], "seconds after the end are drawn as idle ones"

    assert call("POST", "/swarm", data=FORM | {"run_time": "8500ms"}).json()["success"]
    deadline = time.monotonic() + 60
    while (second := state()["last"]) is None or second["run"] == last["run"]:
        assert time.monotonic() < deadline, master.result()
        time.sleep(0.2)
    judged = call("GET", f"/memquake/runs/{second['run']}/verdict.json").json()
    assert judged["duration_s"] >= 8.5, "counted from when users were started, as Locust does"
    assert not judged["stopped_early"], "its own end is no stop"
    master.signal(signal.SIGTERM)
    result = master.finish(30)
    assert result.exit_code == 0, str(result)
