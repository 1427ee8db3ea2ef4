"""docker-compose.yml on a real engine, from nothing to a verdict and back to nothing.

The tests are one story and run in their order; `make compose-test` runs them.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import requests

from memquake.paths import CHECKOUT, RUNS
from tests.compose.browser import browser
from tests.compose.project import Project, judged, soon

pytestmark = pytest.mark.compose

PICTURES = CHECKOUT / RUNS / "compose-test"  # to be looked at; left there
RUN_WITHIN_S = 120.0  # a scenario of 25 s, its preparation and its verdict
SMALL = ("--time-scale", "0.3", "-u", "20", "--target-rate", "300")
SERVICES = ("memcached-1", "memcached-2", "memcached-3", "toxiproxy", "master", "worker")
WATCHERS = ("prometheus", "grafana")


def last_run(project: Project) -> dict[str, Any]:
    state = project.get(project.web_port, "/memquake/state")
    found: dict[str, Any] = state["last"] or {}
    return found


def test_up_brings_everything_up_healthy(project: Project) -> None:
    """Every service with its health check passed, two workers that the master knows."""
    done = project.up("--build")
    PICTURES.mkdir(parents=True, exist_ok=True)
    (PICTURES / "times.txt").write_text(f"up --build --wait: {done.seconds:.1f} s\n")
    health = {
        c["Config"]["Labels"]["com.docker.compose.service"]: c["State"]["Health"]["Status"]
        for c in project.containers()
    }
    assert health == dict.fromkeys((*SERVICES, *WATCHERS), "healthy")
    assert len(soon(project.workers, 20, "workers of the master")) == 2


def test_nothing_is_published_beyond_loopback(project: Project) -> None:
    """As the engine really did it, not as the file says it."""
    bindings = [
        binding
        for container in project.containers()
        for bound in (container["NetworkSettings"]["Ports"] or {}).values()
        for binding in bound or ()
    ]
    assert len(bindings) == 3
    assert {binding["HostIp"] for binding in bindings} == {"127.0.0.1"}


def test_nobody_is_root_and_no_root_file_system_can_be_written(project: Project) -> None:
    """Of every container, and within one of them."""
    for container in project.containers():
        assert container["Config"]["User"].partition(":")[0] not in ("", "0", "root")
        assert container["HostConfig"]["ReadonlyRootfs"]
        assert container["HostConfig"]["CapDrop"] == ["ALL"]
        assert container["HostConfig"]["Memory"] > 0
        assert container["HostConfig"]["NanoCpus"] > 0
    script = "import os; print(os.getuid()); open('/opt/memquake/x', 'w')"
    done = project.compose("exec", "-T", "worker", "python", "-c", script)
    assert done.code == 1
    assert "10001" in done.output
    assert "Read-only file system" in done.output


def test_who_only_looks_reaches_no_node(project: Project) -> None:
    """Prometheus and Grafana are on a network of their own with the master.

    Tried from the other end, where there is a Python: what one cannot reach cannot reach back.
    """
    for service, port in (("prometheus", 9090), ("grafana", 3000)):
        host = address_in(project.of(service)[0], "watch")
        script = f"import socket; socket.create_connection(('{host}', {port}), 2)"
        master = project.compose("exec", "-T", "master", "python", "-c", script)
        assert master.code == 0, master
        worker = project.compose("exec", "-T", "worker", "python", "-c", script)
        assert worker.code == 1
        assert "timed out" in worker.output or "unreachable" in worker.output, worker


def address_in(container: dict[str, Any], network: str) -> str:
    """Give the address of a container in a network of the project."""
    networks = container["NetworkSettings"]["Networks"]
    return next(str(n["IPAddress"]) for name, n in networks.items() if name.endswith(network))


def test_the_start_button_starts_a_run_that_is_judged(project: Project, tmp_path: Path) -> None:
    """Pressed in a browser; the run ends by itself, with its verdict on the page."""
    address = f"http://127.0.0.1:{project.web_port}"
    with browser(tmp_path) as page:
        page.open(f"{address}/")
        page.wait_for("!!document.querySelector('button[type=submit]')")
        page.picture(PICTURES / "form.png")
        page.click("button[type=submit]")
        soon(
            lambda: project.get(project.web_port, "/stats/requests")["state"] == "running",
            30,
            "the run of the start button",
        )
        soon(lambda: project.get(project.web_port, "/memquake/state")["t"] > 12, 60, "second 12")
        page.picture(PICTURES / "running.png")
        page.open(f"{address}/memquake")
        page.wait_for("document.body.innerText.includes('single-node-failure')")
        page.picture(PICTURES / "live.png")
        run = soon(lambda: last_run(project), RUN_WITHIN_S, "the verdict")
        page.wait_for("/PASS|FAIL|INCONCLUSIVE/.test(document.body.innerText)")
        page.picture(PICTURES / "verdict.png")
        assert run["verdict"] in ("PASS", "INCONCLUSIVE"), run


def test_the_runs_folder_comes_out_of_its_volume(project: Project) -> None:
    """verdict.json with both workers, whose operations add up, and the report."""
    folder = project.runs() / "latest"
    verdict = json.loads((folder / "verdict.json").read_text())
    assert verdict["scenario"] == "single-node-failure"
    assert len(verdict["workers"]) == 2
    assert all(worker["operations"] > 1000 for worker in verdict["workers"])
    assert sum(w["operations"] for w in verdict["workers"]) == verdict["totals"]["operations"]
    assert [fault["confirmed"] for fault in verdict["faults"]] == [True]
    assert "single-node-failure" in (folder / "report.html").read_text()
    shutil.copy(folder / "report.html", PICTURES / "report.html")


def test_the_report_is_shown_by_the_web_ui(project: Project) -> None:
    """The same file, over the published port."""
    name = (project.runs() / "latest").resolve().name
    with requests.Session() as session:
        session.trust_env = False
        url = f"http://127.0.0.1:{project.web_port}/memquake/runs/{name}/report.html"
        answer = session.get(url, timeout=10)
    assert answer.status_code == 200
    assert "single-node-failure" in answer.text


def test_prometheus_has_scraped_the_run(project: Project) -> None:
    """Its target is up, and what it counted is what the verdict counted."""
    assert project.query("up") == [1.0]
    counted = soon(
        lambda: project.query("max(sum(max_over_time(memcache_operations_total[5m])))"),
        30,
        "operations in Prometheus",
    )
    verdict = json.loads((project.runs() / "latest" / "verdict.json").read_text())
    assert counted[0] == pytest.approx(verdict["totals"]["operations"], rel=0.05)
    assert max(project.query("max_over_time(scenario_phase[5m])")) == 3.0


def test_grafana_answers(project: Project) -> None:
    """What it shows is tested with the dashboards; here, that it is there."""
    assert project.get(project.grafana_port, "/api/health")["database"] == "ok"


def test_workers_are_scaled_while_everything_runs(project: Project) -> None:
    """Two more join the master that is there."""
    before = project.of("master")[0]["Id"]
    project.up("--no-recreate", "--scale", "worker=4")
    assert soon(lambda: len(project.workers()) == 4, 30, "four workers")
    assert project.of("master")[0]["Id"] == before
    project.up("--no-recreate", "--scale", "worker=2")
    assert soon(lambda: len(project.workers()) == 2, 30, "two workers")


def test_a_worker_that_dies_comes_back(project: Project) -> None:
    """Its container is started again, and the master has two workers as before."""
    worker = project.of("worker")[0]
    known = set(project.workers())
    project.kill_main_process(worker)
    soon(lambda: len(set(project.workers()) - known) == 1, 60, "a new worker")
    assert soon(lambda: len(project.workers()) == 2, 60, "two workers")


def test_a_master_that_dies_comes_back_and_gets_its_workers(project: Project) -> None:
    """The engine starts it again; its workers end without it and are started again as well."""
    master = project.of("master")[0]
    project.kill_main_process(master)
    project.wait_for_restart(master)
    assert soon(lambda: len(project.workers()) == 2, 150, "two workers of the new master")


def test_ci_passes_where_the_client_does_well(project: Project) -> None:
    """Exit code 0 is PASS."""
    done = judged(project, "--scenario", "node-blackhole", *SMALL)
    assert done.code == 0, done
    verdict = done.output.index("PASS  node-blackhole")
    assert verdict > done.output.index("Error report")  # the verdict is what the log ends with


def test_ci_fails_where_the_client_does_badly(project: Project) -> None:
    """Exit code 1 is FAIL."""
    client = ("--client", "pymemcache-pooled")
    done = judged(project, "--scenario", "node-blackhole", *SMALL, *client)
    assert done.code == 1, done
    assert "FAIL  node-blackhole" in done.output


def test_ci_says_when_a_run_proves_nothing(project: Project) -> None:
    """Exit code 3 is INCONCLUSIVE."""
    done = project.ci("--scenario", "none", "-u", "2", "--target-rate", "5", "-t", "3s")
    assert done.code == 3, done
    assert "INCONCLUSIVE  none" in done.output


def test_a_fault_that_cannot_be_done_here_is_refused_before_the_start(project: Project) -> None:
    """Exit code 2, one line that says what to enable, and no run folder."""
    before = sorted(path.name for path in project.runs().iterdir())
    done = project.ci("--scenario", "node-crash", "--time-scale", "0.5")
    assert done.code == 2, done
    (line,) = [line for line in done.output.splitlines() if line.startswith("memquake: ")]
    assert "needs nodes that memquake started" in line
    assert sorted(path.name for path in project.runs().iterdir()) == before


def test_down_leaves_nothing(project: Project) -> None:
    """No container, no network, no volume."""
    project.down()
    assert project.left() == []
