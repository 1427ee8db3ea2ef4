"""Master, workers and memcached on machines of their own: clocks, partitions, deaths, ways.

The machines are network namespaces (tests/e2e/machines.py). The time limits are those of a busy
machine; what is asserted is what was counted, never how fast it went.
"""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import wait_until
from tests.e2e.conftest import LocustProcess, Result, newest_run
from tests.e2e.machines import Machine, Machines, why_not, with_clock

pytestmark = pytest.mark.prove

PORT = 11211
USERS, RATE = 10, 200
LOAD = ["-u", str(USERS), "--target-rate", str(RATE)]
ENDED = (0, 3)  # PASS, or INCONCLUSIVE on a busy machine: clocks and partitions convict nobody
SUPERVISED = ["sh", "-c", 'until "$@"; do sleep 0.5; done', "sh"]
"""The loop of docs/deploy.md: whoever ends otherwise than in order is started again."""


class Site:
    """A master, two workers and three memcached, each on a machine of its own."""

    def __init__(self, start: Callable[..., LocustProcess]) -> None:
        self.machines = Machines()
        self._start = start
        self._servers: list[subprocess.Popen[bytes]] = []
        self.master = self.machines.add("master")
        self.workers = [self.machines.add(f"worker{number}") for number in (1, 2)]
        self.nodes = [self.machines.add(f"node{number}") for number in (1, 2, 3)]

    @property
    def addresses(self) -> str:
        """The nodes as `--nodes` takes them."""
        return ",".join(f"{node.address}:{PORT}" for node in self.nodes)

    def start_nodes(self, memcached: str) -> None:
        """Start a memcached on each node's machine and wait until the workers reach it."""
        for node in self.nodes:
            listen = ["-l", node.address, "-p", str(PORT), "-U", "0", "-t", "1", "-u", "root"]
            self._servers.append(subprocess.Popen(node.command(memcached, *listen)))
        for node in self.nodes:
            wait_until(
                lambda node=node: self.workers[0].has_memcached(PORT, node.address),
                what=f"memcached at {node.address}",
            )

    def start_master(self, *arguments: str, runs_dir: Path | None = None) -> LocustProcess:
        """Start a headless master that waits for two workers."""
        return self._start(
            [
                *("--master", "--master-bind-host", self.master.address),
                *("--expect-workers", "2", "--nodes", self.addresses, *LOAD, *arguments),
            ],
            runs_dir=runs_dir,
            through=self.master.command(),
        )

    def start_worker(self, machine: Machine, through: Sequence[str] = ()) -> LocustProcess:
        """Start a worker."""
        return self._start(
            ["--worker", "--master-host", self.master.address],
            through=machine.command(*through),
        )

    def remove(self) -> None:
        """End and remove everything."""
        self.machines.remove()
        for server in self._servers:
            server.wait(5)


@pytest.fixture
def site(
    start_locust: Callable[..., LocustProcess], binary: Callable[[str], str]
) -> Iterator[Site]:
    if reason := why_not():
        pytest.fail(reason)
    made = Site(start_locust)
    try:
        made.start_nodes(binary("memcached"))
        yield made
    finally:
        made.remove()


def lines(folder: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def second_of(process: LocustProcess) -> int:
    """Give the newest second whose line is in the timeline, -1 before there is one."""
    folder = newest_run(process.runs_dir)
    path = folder / "timeline.jsonl" if folder else None
    return len(path.read_text().splitlines()) - 1 if path and path.exists() else -1


def await_second(process: LocustProcess, second: int, within_s: float = 60.0) -> None:
    def is_there() -> bool:
        assert process.process.poll() is None, f"it ended\n{process.result()}"
        return second_of(process) >= second

    wait_until(is_there, within_s=within_s, every_s=0.1, what=f"second {second} of the run")


def assert_sums(result: Result) -> None:
    """Assert that run, workers and timeline tell the same number of operations."""
    assert result.verdict is not None, str(result)
    assert result.run_dir is not None
    workers, total = result.verdict["workers"], result.verdict["totals"]["operations"]
    timeline = lines(result.run_dir, "timeline.jsonl")
    assert sum(worker["operations"] for worker in workers) == total > 0, str(result)
    assert sum(sum(line["operations"].values()) for line in timeline) == total, str(result)
    for worker in workers:
        told = sum(line["workers"].get(worker["id"], 0) for line in timeline)
        assert told == worker["operations"], str(result)


def assert_at_work(worker: str, timeline: Sequence[dict[str, Any]]) -> None:
    """Assert that a worker has operations in these seconds; a busy machine may cost one in four."""
    told = [line["workers"].get(worker, 0) for line in timeline]
    assert sum(count > 0 for count in told) >= 0.75 * len(told) > 0, (worker, told)


def test_totals_are_sums_and_a_clock_that_is_off_changes_nothing(site: Site) -> None:
    """Both clocks of one worker are 5 s off: each second still has its part of the operations.

    A worker files an operation by its own clock; an offset that were not known would leave the
    first seconds to the other worker alone.
    """
    site.start_worker(site.workers[0])
    site.start_worker(site.workers[1], with_clock(monotonic_s=5, wall_s=-5))
    master = site.start_master("--scenario", "none", "-t", "12s")
    result = master.finish(120)
    assert result.exit_code in ENDED, str(result)
    assert_sums(result)
    assert result.verdict is not None
    assert result.run_dir is not None
    ids = [worker["id"] for worker in result.verdict["workers"]]
    assert len(ids) == 2
    timeline = lines(result.run_dir, "timeline.jsonl")
    for worker in ids:
        assert_at_work(worker, timeline[:12])
        assert_at_work(worker, timeline[:4])
        assert_at_work(worker, timeline[8:12])
    assert sum(sum(line["operations"].values()) for line in timeline[13:]) == 0
    assert result.verdict["totals"]["errors"] == 0
    assert all(check["verdict"] != "FAIL" for check in result.verdict["checks"]), str(result)


def test_a_worker_cut_off_for_ten_seconds_brings_its_numbers_afterwards(site: Site) -> None:
    """The partition is told with its times, and what was done in it is counted once."""
    cut, _ = site.workers
    for machine in site.workers:
        site.start_worker(machine)
    master = site.start_master("--scenario", "none", "-t", "40s")
    await_second(master, 4)
    cut.cut_from(site.master)
    time.sleep(10)
    cut.join()
    result = master.finish(120)
    assert result.exit_code in ENDED, str(result)
    assert_sums(result)
    assert result.verdict is not None
    assert result.run_dir is not None
    (away,) = [worker for worker in result.verdict["workers"] if worker["away_s"]]
    assert away["lost_at_s"] is None
    ((begin, end),) = away["away_s"]
    assert 3 < begin < 12, str(result)
    assert begin + 8 < end < begin + 28, str(result)  # the network repeats itself ever more slowly
    why = result.check("enough_requests")["why"]
    assert f"{away['id']} was cut off from {begin:.1f} s to {end:.1f} s" in why, str(result)
    timeline = lines(result.run_dir, "timeline.jsonl")
    assert_at_work(away["id"], timeline[int(begin) : int(end)])
    events = [entry["event"] for entry in lines(result.run_dir, "journal.jsonl")]
    assert events.count("worker_lost") == events.count("worker_returned") == 1, events


def test_a_worker_that_stays_cut_off_is_declared_lost(site: Site) -> None:
    """The run ends in time, names who was lost and when, and sums up what arrived.

    The lost worker, whose load nobody can stop from afar, ends by itself.
    """
    cut, _ = site.workers
    lost, _ = [site.start_worker(machine) for machine in site.workers]
    master = site.start_master("--scenario", "none", "-t", "20s")
    await_second(master, 4)
    cut.cut_from(site.master)
    began = time.monotonic()
    result = master.finish(90)
    assert result.exit_code in ENDED, str(result)
    assert_sums(result)
    assert result.verdict is not None
    (gone,) = [w for w in result.verdict["workers"] if w["lost_at_s"] is not None]
    assert 3 < gone["lost_at_s"] < 12
    assert gone["operations"] > 0
    assert f"{gone['id']} at " in result.check("enough_requests")["why"], str(result)
    ended = lost.finish(100)
    assert ended.exit_code == 3, ended.stderr
    assert time.monotonic() - began < 110


def test_a_master_that_is_killed_and_started_again_gets_its_workers_back(site: Site) -> None:
    """Supervised workers come to the next master; the broken-off run says what happened.

    The proxies are the master's own, bound for all and advertised where the workers reach them.
    """
    for machine in site.workers:
        site.start_worker(machine, SUPERVISED)
    runs = ["--scenario", "node-blackhole", "--time-scale", "0.3", "--proxy-bind", "0.0.0.0"]
    runs += ["--proxy-advertise", site.master.address, "--allow-remote-faults"]
    first = site.start_master(*runs)
    wait_until(lambda: "FAULT" in first.stdout, within_s=90, every_s=0.1, what="the fault")
    first.signal(signal.SIGKILL)
    first.process.wait(5)
    first.assert_nothing_left()
    broken = newest_run(first.runs_dir)
    assert broken is not None

    second = site.start_master(*runs, runs_dir=first.runs_dir)
    result = second.finish(180)
    assert result.exit_code in ENDED, str(result)
    assert_sums(result)
    assert result.verdict is not None
    assert len(result.verdict["workers"]) == 2
    assert result.verdict["faults"][0]["confirmed"], str(result)

    assert f"{broken.name} was broken off at " in result.stderr, result.stderr
    verdict = json.loads((broken / "verdict.json").read_text())
    assert (verdict["verdict"], verdict["broken_off"]) == ("INCONCLUSIVE", True)
    assert "in the testing phase, while hole was on" in verdict["stopped_early"]
    assert sum(w["operations"] for w in verdict["workers"]) == verdict["totals"]["operations"] > 0
    assert (broken / "junit.xml").exists()
    assert newest_run(first.runs_dir) == result.run_dir != broken


def test_proxies_are_advertised_where_workers_reach_them(site: Site) -> None:
    """Where the master's way to the nodes is none of the workers', it has to say another host.

    The master reaches the nodes from an address of a network that the workers are not in.
    """
    site.master.configure("address", "add", "10.78.0.1/32", "dev", "eth0")
    for node in site.nodes:
        node.configure("route", "add", "10.78.0.1/32", "dev", "eth0")
        site.master.configure("route", "add", node.address, "dev", "eth0", "src", "10.78.0.1")
    runs = ["--scenario", "node-blackhole", "--time-scale", "0.3", "--proxy-bind", "0.0.0.0"]
    runs += ["--allow-remote-faults"]

    workers = [site.start_worker(machine) for machine in site.workers]
    unreachable = site.start_master(*runs).finish(90)
    assert unreachable.exit_code == 2, str(unreachable)
    assert "no way to the proxy of node1 at 10.78.0.1:" in unreachable.stderr, unreachable.stderr
    assert "--proxy-advertise" in unreachable.stderr, unreachable.stderr
    for worker in workers:
        worker.finish(30)

    workers = [site.start_worker(machine) for machine in site.workers]
    result = site.start_master(*runs, "--proxy-advertise", site.master.address).finish(120)
    assert result.exit_code in ENDED, str(result)
    assert_sums(result)
    assert result.verdict is not None
    assert result.verdict["faults"][0]["confirmed"], str(result)
