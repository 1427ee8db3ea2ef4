"""One Job, whose end is the verdict: Complete for PASS, Failed with the exit code for the rest."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.k8s.cluster import Namespace, applied, soon

pytestmark = pytest.mark.k8s

# A short scenario under a small load: what is tested here is the way things hang together.
SMALL = {
    "LOCUST_SCENARIO": "node-blackhole",
    "LOCUST_TIME_SCALE": "0.3",
    "LOCUST_USERS": "20",
    "LOCUST_TARGET_RATE": "300",
}
JOB_WITHIN_S = 420.0  # three images to start, a run of a minute, a busy machine
PASS, FAIL, INCONCLUSIVE, USAGE = 0, 1, 3, 2
ATTEMPTS = 3
POD_KILL = "/scenarios/pod-kill.yaml"


def end_of(namespace: Namespace) -> tuple[dict[str, Any], str, dict[str, Any]]:
    """Wait for the Job; give its last condition, its log and how its container ended."""

    def condition() -> Any:
        found = namespace.get("job", "memquake")["status"].get("conditions", [])
        ends = [each for each in found if each["type"] in ("Complete", "Failed")]
        return ends[0] if ends and ends[0]["status"] == "True" else None

    try:
        ended = soon(condition, JOB_WITHIN_S, "the end of the Job")
    except AssertionError as error:
        raise AssertionError(f"{error}\n{namespace.story()}") from None
    pod = namespace.get("pods", "-l", "batch.kubernetes.io/job-name=memquake")["items"][0]
    state = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    return ended, namespace.kubectl("logs", "job/memquake").output, state


def judged(folder: Path, **settings: str) -> tuple[dict[str, Any], str, dict[str, Any]]:
    """Run the Job; again while a run says itself that it proves nothing (others on the machine)."""
    for _ in range(ATTEMPTS):
        with applied("ci", folder, SMALL | settings) as namespace:
            ended, log, state = end_of(namespace)
        if state["exitCode"] != INCONCLUSIVE:
            break
    return ended, log, state


def test_a_good_client_completes_the_job(tmp_path: Path) -> None:
    """PASS is a Job that is Complete, with the verdict at the end of its log."""
    ended, log, state = judged(tmp_path)
    assert (ended["type"], state["exitCode"]) == ("Complete", PASS), f"{ended}\n{log[-5000:]}"
    # The runtime reads stdout and stderr apart, and writes them in the order it comes to them.
    assert any(re.match("PASS .*client memquake", line) for line in log.splitlines()), log[-3000:]


def test_a_client_without_breaker_fails_it(tmp_path: Path) -> None:
    """FAIL is a failed Job whose message names exit code 1, and whose pod says what failed."""
    ended, log, state = judged(tmp_path, LOCUST_CLIENT="pymemcache-pooled")
    assert (ended["type"], state["exitCode"]) == ("Failed", FAIL), f"{ended}\n{log[-5000:]}"
    assert ended["reason"] == "PodFailurePolicy"
    assert "exit code 1 " in ended["message"], ended
    assert "rule at index 0" in ended["message"], ended
    assert "FAIL" in state["message"], state


@pytest.mark.parametrize(
    ("settings", "code", "index"),
    [
        pytest.param(
            {"LOCUST_SCENARIO": "none", "LOCUST_RUN_TIME": "2s"}, INCONCLUSIVE, 1, id="inconclusive"
        ),
        pytest.param({"LOCUST_SCENARIO": "node-crash"}, USAGE, 2, id="cannot-start"),
    ],
)
def test_other_ends_are_told_apart(
    settings: dict[str, str], code: int, index: int, tmp_path: Path
) -> None:
    """What proved nothing, and what could not start, are failed Jobs with codes of their own."""
    with applied("ci", tmp_path, SMALL | settings) as namespace:
        ended, log, state = end_of(namespace)
    assert (ended["type"], state["exitCode"]) == ("Failed", code), f"{ended}\n{log[-5000:]}"
    assert f"exit code {code} " in ended["message"], ended
    assert f"rule at index {index}" in ended["message"], ended
    assert state["message"].strip(), "the pod does not say why"


def test_run_folders_outlive_the_job(tmp_path: Path) -> None:
    """With the component that keeps them, report and verdict are there when the pod is gone."""
    settings = {"LOCUST_SCENARIO": "none", "LOCUST_RUN_TIME": "2s"}
    with applied("ci-kept", tmp_path, SMALL | settings) as namespace:
        _, log, state = end_of(namespace)
        assert state["exitCode"] == INCONCLUSIVE, log[-5000:]
        done = namespace.kubectl("delete", "job", "memquake", "--wait", limit_s=120)
        assert done.code == 0, done
        namespace.kubectl("scale", "deployment/reader", "--replicas=1")
        namespace.roll_out("deployment/reader")
        read = ("exec", "deployment/reader", "--")
        verdict = namespace.kubectl(*read, "cat", "/runs/latest/verdict.json")
        assert json.loads(verdict.output)["verdict"] == "INCONCLUSIVE", verdict
        names = namespace.kubectl(*read, "tar", "c", "-C", "/runs", "-f", "/dev/null", "-v", ".")
        assert "report.html" in names.output, names


def test_a_deleted_pod_is_a_fault_like_any_other(tmp_path: Path) -> None:
    """With the component that may delete pods, a node's pod goes and comes back, and is judged."""
    with applied("pod-chaos", tmp_path, {**SMALL, "LOCUST_SCENARIO": POD_KILL}) as namespace:
        before = {p["metadata"]["name"]: p["metadata"]["uid"] for p in nodes_of(namespace)}
        ended, log, state = end_of(namespace)
        after = {p["metadata"]["name"]: p["metadata"]["uid"] for p in nodes_of(namespace)}
    assert state["exitCode"] in (PASS, INCONCLUSIVE), f"{ended}\n{log[-5000:]}"
    assert "FAULT pod_kill node2" in log, log[-5000:]
    assert [name for name in before if before[name] != after[name]] == ["memcached-1"]


def nodes_of(namespace: Namespace) -> list[dict[str, Any]]:
    """Give the pods of memcached, once there are three."""

    def three() -> list[dict[str, Any]]:
        found = namespace.get("pods", "-l", "app.kubernetes.io/name=memcached")["items"]
        return found if len(found) == 3 else []

    return soon(three, 60, "three pods of memcached")
