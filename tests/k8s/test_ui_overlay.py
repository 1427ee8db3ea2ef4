"""The web UI in a cluster: a run from its form while workers are added and taken away."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.k8s.cluster import Namespace, applied, forwarded, soon

pytestmark = pytest.mark.k8s

FORM = {
    "user_count": "20",
    "spawn_rate": "20",
    "scenario": "none",
    "seed": "3",
    "target_rate": "200",
    "time_scale": "1",
}
STEADY_S = 12.0  # of the run with each number of workers, after the change has settled
SETTLED_S = 8.0
ARRIVAL_S = 150.0  # a pod that is scheduled, started and connected, on a busy machine


class Page:
    """The master's web UI."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.session = requests.Session()
        self.session.trust_env = False

    def call(self, method: str, path: str, **more: Any) -> Any:
        """Ask the page; give the JSON of its answer."""
        answer = self.session.request(method, self.base + path, timeout=20, **more)
        assert answer.status_code == requests.codes.ok, answer.text
        return answer.json()

    def workers(self) -> dict[str, int]:
        """Give worker -> its users, of those at work."""
        found = self.call("GET", "/stats/requests")["workers"]
        return {w["id"]: w["user_count"] for w in found if w["state"] in ("running", "spawning")}

    def state(self) -> Any:
        """Give what memquake's own page shows."""
        return self.call("GET", "/memquake/state")


@contextmanager
def page_of(namespace: Namespace) -> Iterator[Page]:
    """Give the master's page, by way of `kubectl port-forward` as the overlay says."""
    with forwarded(namespace.name, "deployment/master", 8089) as base:
        page = Page(base)
        with page.session:
            yield page


def scale(namespace: Namespace, page: Page, count: int) -> float:
    """Change the number of workers; give the run's second from which on the load is settled."""
    done = namespace.kubectl("scale", "deployment/worker", f"--replicas={count}")
    assert done.code == 0, done
    soon(lambda: len(page.workers()) == count, ARRIVAL_S, f"{count} workers at work")
    soon(
        lambda: sum(page.workers().values()) >= int(FORM["user_count"]), ARRIVAL_S, "all the users"
    )
    time.sleep(SETTLED_S)
    settled = float(page.state()["t"])
    time.sleep(STEADY_S)
    return settled


def seconds_of(timeline: str) -> dict[int, dict[str, Any]]:
    # kubectl may say words of its own in between.
    lines = [json.loads(line) for line in timeline.splitlines() if line.startswith("{")]
    return {int(line["t"]): line for line in lines}


def test_workers_come_and_go_in_mid_run(tmp_path: Path) -> None:
    """From 2 to 4 workers and back: the rate stays, each takes its part, the verdict notes it."""
    with applied("ui", tmp_path, {}) as namespace:
        namespace.roll_out(
            "statefulset/memcached", "deployment/toxiproxy", "deployment/master",
            "deployment/worker",
        )  # fmt: skip
        with page_of(namespace) as page:
            soon(
                lambda: len(page.call("GET", "/stats/requests")["workers"]) == 2,
                ARRIVAL_S,
                "two workers",
            )
            assert page.call("POST", "/swarm", data=FORM)["success"]
            soon(lambda: page.state()["phase"] == "running", ARRIVAL_S, "the run")
            begun = set(page.workers())
            stages = {2: scale(namespace, page, 2)}
            for count in (4, 3):
                stages[count] = scale(namespace, page, count)
            page.call("POST", "/stop")
            soon(lambda: page.state()["phase"] == "finished", 60, "the verdict")
        master = ("exec", "deploy/master", "-c", "master", "--", "cat")
        verdict = json.loads(namespace.kubectl(*master, "/runs/latest/verdict.json").output)
        timeline = seconds_of(namespace.kubectl(*master, "/runs/latest/timeline.jsonl").output)

    workers = {worker["id"]: worker for worker in verdict["workers"]}
    assert sum(w["operations"] for w in workers.values()) == verdict["totals"]["operations"]
    came = {name for name, worker in workers.items() if worker["joined_at_s"] > 0}
    assert len(came) == 2, workers
    assert not came & begun
    went = [worker for worker in workers.values() if worker["lost_at_s"] is not None]
    assert len(went) == 1, workers
    why = next(c["why"] for c in verdict["checks"] if c["name"] == "enough_requests")
    assert all(f"{name} joined at" in why for name in came), why
    assert went[0]["id"] in why, why
    for count, settled in stages.items():
        window = [timeline[s] for s in range(int(settled), int(settled + STEADY_S) - 1)]
        sent = statistics.median(sum(line["operations"].values()) for line in window)
        assert 150 <= sent <= 300, (count, sent)
        parts = [line["workers"] for line in window]
        assert all(len(each) == count for each in parts), (count, parts)
        shares = [statistics.median(each[name] for each in parts) / sent for name in parts[0]]
        assert all(0.5 / count <= share <= 1.7 / count for share in shares), (count, shares)
