"""The metrics have the catalogue's names and say what the timeline says."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from client.operation import Outcome
from telemetry.histogram import bucket_of
from telemetry.prometheus import (
    BOUNDS_S,
    ActiveToxic,
    LiveState,
    Metrics,
    cumulative_buckets,
)
from telemetry.recorder import Recorder
from telemetry.timeline import Timeline

Labels = tuple[tuple[str, str], ...]

STATE = LiveState(
    scenario="node-blackhole",
    phase="testing",
    active=True,
    phase_durations_s={"stabilization": 30.0, "testing": 4.0},
    toxics=(ActiveToxic(server="node1", kind="timeout", attributes={"timeout": 0, "why": "x"}),),
    snapshots={
        "w1": {
            "127.0.0.1:1": {
                "breaker": "open",
                "pool": {"idle": 1, "in_use": 2, "created": 5},
                "transitions": {"closed>open": 2},
                "failures": {"timeout": 7},
                "requests": 100,
            }
        },
        "w2": {
            "127.0.0.1:1": {
                "breaker": "closed",
                "pool": {"idle": 1, "in_use": 0, "created": 1},
                "transitions": {"closed>open": 1},
                "failures": {"timeout": 1},
                "requests": 50,
            }
        },
    },
    servers={"127.0.0.1:1": "node1"},
    runs={("node-blackhole", "PASS"): 3},
)


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
        ("memcache_operations_per_second", {}, 18),
        ("memcache_error_rate", {}, 2 / 18),
        ("memcache_circuit_breaker_state", {"server": "node1"}, 2),
        (
            "memcache_circuit_breaker_transitions_total",
            {"server": "node1", "from": "closed", "to": "open"},
            3,
        ),
        ("memcache_circuit_breaker_requests", {"server": "node1"}, 150),
        ("memcache_circuit_breaker_failures", {"server": "node1", "type": "timeout"}, 8),
        ("memcache_pool_connections", {"server": "node1", "state": "idle"}, 2),
        ("memcache_pool_connections", {"server": "node1", "state": "active"}, 2),
        ("memcache_pool_connections", {"server": "node1", "state": "total"}, 4),
        ("memcache_pool_connections_created_total", {"server": "node1"}, 6),
        ("memcache_pool_acquire_errors_total", {"server": "node1"}, 1),
        ("memcache_operation_duration_seconds_count", {"operation": "get", "server": "node1"}, 9),
        ("memcache_response_duration_seconds_count", {"operation": "set", "server": "node2"}, 8),
        ("scenario_phase", {"scenario": "node-blackhole"}, 2),
        (
            "scenario_phase_duration_seconds",
            {"scenario": "node-blackhole", "phase": "testing"},
            4,
        ),
        ("scenario_runs_total", {"scenario": "node-blackhole", "status": "PASS"}, 3),
        ("scenario_active", {}, 1),
        ("toxiproxy_toxic_active", {"server": "node1", "type": "timeout"}, 1),
        ("toxiproxy_toxic_value", {"server": "node1", "type": "timeout", "param": "timeout"}, 0),
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


def test_a_stranger_snapshot_cannot_break_a_scrape() -> None:
    """Clients under test may say anything in `snapshot()`."""
    odd = LiveState(
        snapshots={
            "w": {
                "a:1": {"breaker": "on fire", "pool": None, "transitions": 7, "requests": "many"},
                "b:2": None,  # type: ignore[dict-item]  # exactly what a stranger might give
            }
        }
    )
    assert b"scenario_active" in Metrics(lambda: (None, odd)).render()


def test_buckets_are_cumulative_and_bounded() -> None:
    """Each value is at or below the first bound that holds it; the last bucket holds all."""
    histogram = {bucket_of(40): 1, bucket_of(50): 1, bucket_of(700): 2, bucket_of(60_000_000): 1}
    buckets, total_s = cumulative_buckets(histogram)
    counts = dict(buckets)
    assert counts["5e-05"] == 2
    assert counts["0.0005"] == 2
    assert counts["0.00075"] == counts["10.0"] == 4
    assert counts["+Inf"] == 5
    assert total_s == pytest.approx(60.00149, rel=0.016)
    assert (BOUNDS_S[0], BOUNDS_S[-1]) == (0.000_05, 10.0)
    assert list(BOUNDS_S) == sorted(BOUNDS_S)
