"""Reports between a real Locust master and real workers, over real sockets."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from locust.env import Environment
from locust.runners import LocalRunner, MasterRunner, WorkerRunner

from client.operation import Outcome
from telemetry.clock_sync import ClockSync
from telemetry.collector import Collector
from telemetry.exporter import MetricsPortError, serve
from telemetry.prometheus import LiveState, Metrics
from telemetry.recorder import Recorder
from telemetry.report import Reporter
from telemetry.timeline import Timeline

WAIT_S = 10.0


def eventually(check: Callable[[], bool], what: str) -> None:
    with gevent.Timeout(WAIT_S, AssertionError(f"waited {WAIT_S} s for {what}")):
        while not check():
            gevent.sleep(0.02)


def record(recorder: Recorder, count: int, begin: float) -> None:
    for number in range(count):
        at = begin + number / 1_000
        recorder.record("get", "node1", Outcome.HIT, at, at, at + 0.0003, 1, 1)


def close(end: Any) -> None:
    """Close one end with its context, which Locust leaves to the garbage collector."""
    context = end.socket.context
    end.close(linger=0)
    context.term()


@pytest.fixture
def master() -> Iterator[MasterRunner]:
    runner = Environment(user_classes=[]).create_master_runner("127.0.0.1", 0)
    yield runner
    runner.quit()
    runner.greenlet.kill(block=True, timeout=WAIT_S)
    close(runner.server)


@pytest.fixture
def workers(master: MasterRunner) -> Iterator[list[WorkerRunner]]:
    runners = [
        Environment(user_classes=[]).create_worker_runner("127.0.0.1", master.server.port)
        for _ in range(2)
    ]
    eventually(lambda: len(master.clients.ready) == 2, "both workers to be ready")
    yield runners
    for runner in runners:
        runner.greenlet.kill(block=True, timeout=WAIT_S)
        close(runner.client)


@pytest.fixture
def loops() -> Iterator[list[Any]]:
    greenlets: list[Any] = []
    yield greenlets
    gevent.killall(greenlets, block=True, timeout=WAIT_S)


def test_the_master_ends_with_the_sum_of_its_workers(
    master: MasterRunner, workers: list[WorkerRunner], loops: list[Any]
) -> None:
    """Two runs in a row, two workers: every operation arrives once, with the final data."""
    collector = Collector(master)
    syncs = [
        ClockSync(runner, spawn=lambda loop: loops.append(gevent.spawn(loop))) for runner in workers
    ]
    eventually(lambda: all(sync.error_s < 1.0 for sync in syncs), "the clocks to be compared")
    assert all(abs(sync.offset_s) <= sync.error_s + 1e-6 for sync in syncs)
    for run in ("first", "second"):
        timeline = Timeline()
        collector.begin(run, timeline)
        reporters = []
        for number, runner in enumerate(workers):
            recorder = Recorder(lambda: 10.0)
            recorder.start(0.0)
            reporter = Reporter(runner, recorder, run=run, clock_sync=syncs[number])
            loops.append(gevent.spawn(reporter.run))
            record(recorder, 300 + number, begin=1.0)
            gevent.sleep(0.05)
            record(recorder, 200, begin=3.0)
            reporters.append(reporter)
        endings = [gevent.spawn(r.finish, {"number": n}) for n, r in enumerate(reporters)]
        ids = [runner.client_id for runner in workers]
        assert collector.wait_final(ids, WAIT_S) == []
        gevent.joinall(endings, timeout=WAIT_S)
        assert [ending.value for ending in endings] == [True, True]
        assert timeline.operations == {ids[0]: 500, ids[1]: 501}
        assert [sum(c.count for c in w.cells.values()) for w in timeline.windows()] == [
            *(0, 601, 0, 400)
        ]
        assert [collector.workers[worker].unaccounted for worker in ids] == [0, 0]
        assert [collector.workers[worker].final for worker in ids] == [
            {"number": 0},
            {"number": 1},
        ]


def test_a_worker_stops_when_the_master_is_on_another_run(
    master: MasterRunner, workers: list[WorkerRunner]
) -> None:
    """Over the wire as in one process: a foreign report is answered, not counted."""
    collector, timeline = Collector(master), Timeline()
    collector.begin("current", timeline)
    recorder = Recorder()
    recorder.start(0.0)
    record(recorder, 10, begin=1.0)
    reporter = Reporter(workers[0], recorder, run="past")
    assert reporter.finish({}) is False
    assert reporter.foreign
    assert timeline.totals()["operations"] == 0


def test_both_ends_work_on_one_local_runner() -> None:
    """In a local run the messages loop back at once, and the clock is the same."""
    runner = LocalRunner(Environment(user_classes=[]))
    try:
        timeline, collector, sync = Timeline(), Collector(runner), ClockSync(runner)
        collector.begin("run", timeline)
        assert (sync.offset_s, sync.error_s) == (0.0, 0.0)
        recorder = Recorder()
        recorder.start(0.0)
        reporter = Reporter(runner, recorder, run="run", clock_sync=sync)
        record(recorder, 10, begin=1.0)
        reporter.report()
        record(recorder, 5, begin=2.0)
        assert reporter.finish({"last": True})
        assert timeline.operations == {"local": 15}
        assert collector.workers["local"].final == {"last": True}
    finally:
        runner.quit()


def get(url: str) -> tuple[int, str, str]:
    with urllib.request.urlopen(url, timeout=WAIT_S) as response:
        body = response.read().decode()
        return response.status, response.headers["Content-Type"], body


def test_metrics_are_served_until_stopped() -> None:
    """The exporter answers /metrics, refuses a taken port in one line, and lets go of its own."""
    metrics = Metrics(lambda: (None, LiveState(active=True)))
    server = serve(metrics, 0)
    try:
        status, content_type, body = get(f"http://127.0.0.1:{server.port}/metrics")
        assert (status, content_type) == (200, metrics.content_type)
        assert "scenario_active 1.0" in body
        with pytest.raises(urllib.error.HTTPError, match="404") as missing:
            get(f"http://127.0.0.1:{server.port}/")
        missing.value.close()
        with pytest.raises(MetricsPortError, match="is in use: choose another") as taken:
            serve(metrics, server.port)
        assert "\n" not in str(taken.value)
    finally:
        server.stop()
        server.stop()
    again = serve(metrics, server.port)
    again.stop()
