"""The metrics have the catalogue's names and say what the timeline says."""

from __future__ import annotations

import gevent
import pytest
from prometheus_client.parser import text_string_to_metric_families

from client.operation import Outcome
from telemetry.counts import ClientCounts, read_counts
from telemetry.families import FAMILIES
from telemetry.prometheus import ActiveToxic, LiveState, Metrics
from telemetry.recorder import Recorder
from telemetry.timeline import Timeline
from telemetry.window import NodeState

Labels = tuple[tuple[str, str], ...]

STATE = LiveState(
    scenario="node-blackhole",
    phase="testing",
    active=True,
    phase_durations_s={"stabilization": 30.0, "testing": 4.0},
    toxics=(
        ActiveToxic(server="node1", kind="latency", attributes={"latency_s": 0.2, "why": "x"}),
        ActiveToxic(server="", kind="abort", attributes={"abort_share": 0.01}),
    ),
    runs={("node-blackhole", "pass"): 3},
)

SAID = {
    "w1": {
        "breaker": "open",
        "pool": {"idle": 1, "in_use": 2, "created": 5, "acquire_wait_us": {"128": 2, 1024: 1}},
        "transitions": {"closed>open": 2},
        "failures": {"timeout": 7, "a word of its own": 1},
        "requests": 100,
    },
    "w2": {
        "breaker": "closed",
        "pool": {"idle": 1, "in_use": 0, "created": 1, "acquire_wait_us": {128: 1}},
        "transitions": {"closed>open": 1},
        "failures": {"timeout": 1},
        "requests": 50,
    },
}


def timeline() -> Timeline:
    recorder, result = Recorder(lambda: 1.0), Timeline(lambda: 2.5)
    recorder.paced = True
    recorder.start(0.0)
    result.start(0.0)
    for number in range(8):
        recorder.record("get", "node1", Outcome.HIT, 0.1, 0.1, 0.1003, 1, 1)
        recorder.record("set", "node2", Outcome.STORED, 0.1, 0.1, 0.1003 + number / 10)
    recorder.record("get", "node1", Outcome.POOL_TIMEOUT, 0.5, 0.5, 0.5)
    recorder.record("get", "node1", Outcome.TIMEOUT, 0.1, 0.1, 0.6)
    result.merge("w1", recorder.take())
    for worker, said in SAID.items():
        words = Recorder(lambda: 1.0)
        words.start(0.0)
        pool = said["pool"]
        state = NodeState({said["breaker"]: 1}, idle=pool["idle"], in_use=pool["in_use"])
        words.node_states(0.9, {"node1": state})
        words.client_counts({"node1": read_counts(said)})
        result.merge(worker, words.take())
    return result


def samples(metrics: Metrics) -> dict[tuple[str, Labels], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


FOUND = samples(Metrics(lambda: (timeline(), STATE)))


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("memcache_operations_total", {"status": "success"}, 16),
        ("memcache_operations_total", {"status": "failure"}, 2),
        ("memcache_server_operations_total", {"server": "node1", "status": "failure"}, 2),
        ("memcache_server_operations_total", {"server": "node2", "status": "failure"}, 0),
        ("memcache_failures_total", {"outcome": "timeout"}, 1),
        ("memcache_failures_total", {"outcome": "refused"}, 0),
        ("memcache_operations_per_second", {}, 18),
        ("memcache_error_rate", {}, 2 / 18),
        ("memcache_circuit_breaker_state", {"server": "node1"}, 2),
        (
            "memcache_circuit_breaker_transitions_total",
            {"server": "node1", "from": "closed", "to": "open"},
            3,
        ),
        (
            "memcache_circuit_breaker_transitions_total",
            {"server": "node1", "from": "half_open", "to": "closed"},
            0,
        ),
        ("memcache_circuit_breaker_requests", {"server": "node1"}, 150),
        ("memcache_circuit_breaker_failures", {"server": "node1", "type": "timeout"}, 8),
        ("memcache_circuit_breaker_failures", {"server": "node1", "type": "other"}, 1),
        ("memcache_workers", {}, 2),
        ("memcache_pool_connections", {"server": "node1", "state": "idle"}, 2),
        ("memcache_pool_connections", {"server": "node1", "state": "active"}, 2),
        ("memcache_pool_connections", {"server": "node1", "state": "total"}, 4),
        ("memcache_pool_connections_created_total", {"server": "node1"}, 6),
        ("memcache_pool_acquire_errors_total", {"server": "node1"}, 1),
        ("memcache_pool_wait_seconds_count", {"server": "node1"}, 4),
        ("memcache_pool_wait_seconds_bucket", {"server": "node1", "le": "0.000128"}, 3),
        ("memcache_operation_duration_seconds_count", {"operation": "get", "server": "node1"}, 9),
        ("memcache_response_duration_seconds_count", {"operation": "set", "server": "node2"}, 8),
        ("scenario_phase", {"scenario": "node-blackhole"}, 2),
        (
            "scenario_phase_duration_seconds",
            {"scenario": "node-blackhole", "phase": "testing"},
            4,
        ),
        ("scenario_runs_total", {"scenario": "node-blackhole", "status": "pass"}, 3),
        ("scenario_runs_total", {"scenario": "node-blackhole", "status": "fail"}, 0),
        ("scenario_active", {}, 1),
        ("toxiproxy_toxic_active", {"server": "node1", "type": "latency"}, 1),
        ("toxiproxy_toxic_active", {"server": "", "type": "abort"}, 1),
        (
            "toxiproxy_toxic_value",
            {"server": "node1", "type": "latency", "param": "latency_s"},
            0.2,
        ),
    ],
)
def test_every_metric_of_the_catalogue_is_there(
    name: str, labels: dict[str, str], value: float
) -> None:
    """Names and labels are a contract with dashboards and alert rules."""
    assert FOUND[name, tuple(sorted(labels.items()))] == pytest.approx(value)


def test_an_idle_master_has_metrics_too() -> None:
    """Before the first run a scrape succeeds and says that nothing is on."""
    found = samples(Metrics(lambda: (None, LiveState())))
    assert found["scenario_active", ()] == 0
    assert not any(name.startswith("memcache_operations") for name, _ in found)


def test_error_rate_is_of_the_last_seconds() -> None:
    """Errors of long ago do not keep the rate up, and old successes do not hide new errors."""
    old = timeline()
    old.start(-100.0)
    assert samples(Metrics(lambda: (old, LiveState())))["memcache_error_rate", ()] == 0


def test_a_stranger_snapshot_cannot_break_a_scrape_or_make_labels() -> None:
    """Clients under test may say anything in `snapshot()`; labels stay words of ours."""
    odd = {
        "breaker": "on fire",
        "pool": {"created": "many", "acquire_wait_us": {"long": 3, 7: "x", -5: 2}},
        "transitions": {"user:42": 1, "closed>open": None, "open>user:42": 3},
        "failures": {f"user:{number}": 1 for number in range(1_000)},
        "requests": True,
    }
    for said in (odd, dict.fromkeys(odd, 7), dict.fromkeys(odd)):
        line = timeline()
        line.client_counts = {"w": {"node1": read_counts(said)}}
        line.window(0).nodes["node1"] = NodeState(breaker={"on fire": 1})
        found = samples(Metrics(lambda line=line: (line, LiveState())))  # type: ignore[misc]
        assert not [labels for _, labels in found if "user:" in str(labels)]
        assert not [name for name, _ in found if name == "memcache_circuit_breaker_state"]
    assert read_counts(odd).failures == {"other": 1_000}


def test_gauges_forget_a_lost_worker_and_counters_keep_it() -> None:
    """An open breaker of a process that is gone is open no more; what it counted stays counted."""
    line = timeline()
    line.start(-20.0)
    found = samples(Metrics(lambda: (line, STATE)))
    assert not [name for name, _ in found if name == "memcache_circuit_breaker_state"]
    assert found["memcache_workers", ()] == 0
    assert found["memcache_circuit_breaker_requests", (("server", "node1"),)] == 150


def test_counts_survive_their_way_to_the_master() -> None:
    """What is packed is what arrives, and totals of several clients add up."""
    counts = read_counts(SAID["w1"])
    assert ClientCounts.unpack(counts.pack()) == counts
    both = ClientCounts()
    for said in SAID.values():
        both.add(read_counts(said))
    assert (both.requests, both.created, both.waits) == (150, 6, {7: 3, 10: 1})
    assert both.transitions["closed", "open"] == 3


def test_what_is_served_is_what_is_listed() -> None:
    """Every metric of the list is served with its type, its text and exactly its labels."""
    served = {
        family.name + ("_total" if family.type == "counter" else ""): family
        for family in text_string_to_metric_families(
            Metrics(lambda: (timeline(), STATE)).render().decode()
        )
    }
    assert set(served) == {family.name for family in FAMILIES}
    for family in FAMILIES:
        found = served[family.name]
        assert (found.type, found.documentation) == (family.kind, family.help)
        assert found.samples, family.name
        for sample in found.samples:
            assert sample.name in family.series
            assert set(sample.labels) <= family.queried_labels
            assert set(family.labels) <= set(sample.labels)


def test_a_scrape_gives_way() -> None:
    """Others run between the steps of a scrape, also while reports come in that add to it."""
    line = timeline()
    turns = 0

    def work() -> None:
        nonlocal turns
        while True:
            turns += 1
            line.cumulative["get", f"node{turns}", "hit"].add(["", "", "", 1, 1, 0, [turns, 1], []])
            gevent.sleep(0)

    other = gevent.spawn(work)
    try:
        found = samples(Metrics(lambda: (line, STATE)))
    finally:
        other.kill()
    assert turns >= len(FAMILIES)
    assert found["memcache_operations_total", (("status", "success"),)] == 16
