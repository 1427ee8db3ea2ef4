"""Runs over several processes: nothing lost, nothing counted twice, losses noted."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from session.broken_off import tell_broken_off
from tests.e2e.conftest import newest_run

# Half a dozen processes share the machine's cores: far below what would saturate any of them.
STEADY = ["--scenario", "none", "-u", "20", "--target-rate", "400", "-t", "10s"]


def wait_for(condition: Callable[[], bool], limit_s: float, what: str) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {limit_s} s for {what}"
        time.sleep(0.1)


@pytest.mark.alone
@pytest.mark.prove
def test_forked_workers_add_up(judge: Callable) -> None:
    """With --processes 2 the total is the sum of what both workers did, to the operation."""
    arguments = [*STEADY, "--processes", "2"]
    result = judge(arguments, timeout_s=90)
    assert result.exit_code == 0, str(result)
    workers = result.verdict["workers"]
    assert len(workers) == 2
    assert all(worker["operations"] > 500 for worker in workers)
    assert sum(w["operations"] for w in workers) == result.verdict["totals"]["operations"]


@pytest.fixture
def cluster_of_three(start_locust: Callable, free_port: Callable) -> Callable:
    """Give a function that starts a master and two workers of their own."""

    def start(arguments: list[str]):
        port = str(free_port())
        master = start_locust(
            ["--master", "--master-bind-port", port, "--expect-workers", "2", *arguments]
        )
        join = ["--worker", "--master-port", port]
        workers = [start_locust(join, headless=True) for _ in range(2)]
        return master, workers

    return start


def test_separate_workers_add_up(cluster_of_three: Callable, judged: Callable) -> None:
    """One master and two workers of their own end with PASS and exact totals."""

    def attempt() -> Any:
        master, workers = cluster_of_three(STEADY)
        result = master.finish(90)
        for worker in workers:
            worker.finish(20)
        return result

    result = judged(attempt)
    assert result.exit_code == 0, str(result)
    verdict = result.verdict
    assert len(verdict["workers"]) == 2
    assert sum(w["operations"] for w in verdict["workers"]) == verdict["totals"]["operations"]


def test_a_killed_worker_is_noted(cluster_of_three: Callable) -> None:
    """A worker that dies is named with its time; the other one takes over and goes on."""
    master, workers = cluster_of_three([*STEADY[:-1], "16s"])
    wait_for(lambda: "running" in master.stdout, 40, "the run to begin")
    time.sleep(4)
    workers[0].signal(signal.SIGKILL)
    result = master.finish(90)
    workers[1].finish(20)
    assert result.verdict is not None, str(result)
    lost = [w for w in result.verdict["workers"] if w["lost_at_s"] is not None]
    assert len(lost) == 1, str(result)
    assert 2 <= lost[0]["lost_at_s"] <= 12
    assert result.exit_code in (0, 3), str(result)
    assert "Traceback" not in result.stderr


LONG_CRASH = """name: long-crash
phases: {stabilization: 8s, testing: 16s, recovery: 16s}
load: {users: 20, target_rate: 300}
faults: [{id: dead, at: 0s, duration: 14s, kind: crash, target: {nodes: [node1]}}]
"""


@pytest.mark.prove
def test_a_worker_that_joins_during_a_fault_works_once_it_is_healed(
    start_locust: Callable, free_port: Callable, tmp_path: Path
) -> None:
    """Its users cannot store their keys while a node is dead, and are told so by the master.

    They gave up for good before: the client was said not to store keys although every node is up.
    """
    (tmp_path / "long-crash.yaml").write_text(LONG_CRASH)
    port = str(free_port())
    scenario = ["--scenario", str(tmp_path / "long-crash.yaml"), "--enable-rebalancing"]
    join = ["--worker", "--master-port", port]
    master = start_locust(
        ["--master", "--master-bind-port", port, "--expect-workers", "1", *scenario]
    )
    workers = [start_locust(join, headless=True)]
    wait_for(lambda: "FAULT" in master.stdout, 60, "the fault")
    workers.append(start_locust(join, headless=True))
    result = master.finish(90)
    for worker in workers:
        worker.finish(20)
    assert result.verdict is not None, str(result)
    (late,) = (w for w in result.verdict["workers"] if w["joined_at_s"] > 0)
    assert late["operations"] > 300, str(result)
    assert result.check("no_lost_writes")["verdict"] != "FAIL", str(result)
    assert "although every node is up" not in result.stderr + workers[1].stdout


@pytest.mark.prove
def test_a_killed_master_leaves_nothing(start_locust: Callable) -> None:
    """After SIGKILL of the master in the middle of a fault no process lives on for 3 s."""
    master = start_locust(["--scenario", "single-node-failure", "--time-scale", "0.3"])
    wait_for(lambda: "FAULT" in master.stdout, 60, "the fault")
    master.signal(signal.SIGKILL)
    master.process.wait(5)
    master.assert_nothing_left(within_s=3.0)


def test_sigterm_ends_a_run_with_a_verdict(start_locust: Callable) -> None:
    """SIGTERM in the middle of a fault heals, judges what there is, and leaves nothing."""
    master = start_locust(["--scenario", "single-node-failure", "--time-scale", "0.3"])
    wait_for(lambda: "FAULT" in master.stdout, 60, "the fault")
    master.signal(signal.SIGTERM)
    result = master.finish(30)
    assert result.verdict is not None, str(result)
    assert result.exit_code == 3, str(result)
    assert result.check("all_faults_healed")["verdict"] == "PASS"


def test_a_killed_master_heals_a_toxiproxy_of_others(
    start_locust: Callable, memcached: Callable, toxiproxy: Any
) -> None:
    """With --toxiproxy-url, 3 s after SIGKILL no toxic is left and every proxy is open.

    The journal says what became of the run, and the next start writes it into verdict.json.
    """
    nodes = ",".join(f"127.0.0.1:{memcached().port}" for _ in range(3))
    arguments = ["--nodes", nodes, "--toxiproxy-url", toxiproxy.url]
    master = start_locust([*arguments, "--scenario", "node-blackhole", "--time-scale", "0.3"])
    wait_for(lambda: "FAULT" in master.stdout, 60, "the fault")
    assert any(proxy["toxics"] for proxy in proxies(toxiproxy.url)), "no toxic in the fault"
    master.signal(signal.SIGKILL)
    master.process.wait(5)
    master.assert_nothing_left(within_s=3.0)
    left = proxies(toxiproxy.url)
    assert len(left) == 3
    assert all(proxy["enabled"] and not proxy["toxics"] for proxy in left), left
    folder = newest_run(master.runs_dir)
    last = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()][-2:]
    assert [entry["event"] for entry in last] == ["broken_off", "guard"], last
    assert not (folder / "verdict.json").exists()
    line = tell_broken_off(master.runs_dir)
    assert "testing phase, while hole was on (healed by the guard)" in line[0], line
    verdict = json.loads((folder / "verdict.json").read_text())
    assert (verdict["verdict"], verdict["broken_off"]) == ("INCONCLUSIVE", True)
    assert sum(w["operations"] for w in verdict["workers"]) == verdict["totals"]["operations"] > 0


def proxies(url: str) -> list[dict[str, Any]]:
    session = requests.Session()
    session.trust_env = False
    with session:
        return list(session.get(f"{url}/proxies", timeout=2).json().values())


@pytest.mark.prove
def test_a_stopped_master_is_healed_and_says_so(start_locust: Callable) -> None:
    """The guard heals while the master is stopped; the run then proves nothing and ends clean."""
    master = start_locust(["--scenario", "single-node-failure", "--time-scale", "0.5"])
    wait_for(lambda: "FAULT" in master.stdout, 60, "the fault")
    master.signal(signal.SIGSTOP)
    time.sleep(4)
    master.signal(signal.SIGCONT)
    result = master.finish(90)
    assert result.run_dir is not None, str(result)
    journal = (result.run_dir / "journal.jsonl").read_text()
    assert '"event": "guard"' in journal, journal
    assert result.exit_code in (1, 3), str(result)
    assert result.check("all_faults_healed")["verdict"] == "PASS", str(result)


def test_a_run_that_is_stopped_before_its_time_is_no_pass(start_locust: Callable) -> None:
    """Ctrl-C in a run of a minute: what there was is judged, and it is said that this is not all.

    It was judged as a whole run, and could end with exit code 0.
    """
    master = start_locust([*STEADY[:-1], "60s"])
    wait_for(lambda: "running" in master.stdout, 40, "the run to begin")
    time.sleep(12)
    master.signal(signal.SIGINT)
    result = master.finish(30)
    assert result.exit_code == 3, str(result)
    assert result.verdict["stopped_early"] == "stopped before its end"
    assert result.check("enough_requests")["verdict"] == "INCONCLUSIVE", str(result)
    assert result.check("no_wrong_values")["verdict"] == "PASS", str(result)
    assert result.verdict["duration_s"] < 30
    assert "Traceback" not in result.stderr


def test_sigterm_while_users_are_prepared_proves_nothing(start_locust: Callable) -> None:
    """A run that never began has a verdict as well, and its exit code is no success."""
    master = start_locust(["--scenario", "none", "-u", "300", "-r", "20", "-t", "10s"])
    wait_for(lambda: "preparing" in master.stdout, 40, "the preparation")
    master.signal(signal.SIGTERM)
    result = master.finish(40)
    assert result.exit_code == 3, str(result)
    assert result.verdict is not None, str(result)
    assert result.verdict["totals"]["operations"] == 0


@pytest.mark.prove
def test_a_memcached_that_dies_convicts_nobody(start_locust: Callable) -> None:
    """A server of the harness's own that dies by itself ends the run as INCONCLUSIVE."""
    master = start_locust([*STEADY[:-2], "-t", "60s"])
    wait_for(lambda: "running" in master.stdout, 40, "the run to begin")
    time.sleep(10)
    victim = next(process for process in master.members() if process.name() == "memcached")
    victim.kill()
    result = master.finish(40)
    assert result.exit_code == 3, str(result)
    assert "died by itself" in result.check("enough_requests")["why"], str(result)
