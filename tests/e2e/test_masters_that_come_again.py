"""A master that was killed and started again: its workers notice, and end to be started again."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from tests.conftest import wait_until

RUN = ["--scenario", "none", "-u", "10", "--target-rate", "200", "-t", "8s"]


@pytest.mark.prove  # what a worker makes of another master's word is in tests/unit/telemetry
def test_a_worker_of_a_master_that_was_started_anew_ends(
    start_locust: Callable, free_port: Callable
) -> None:
    """It leaves the load alone, says why, and its exit code asks for another start.

    The new master takes workers as if nothing had been, and tells of the run that was broken off.
    """
    port = str(free_port())
    join = ["--worker", "--master-port", port]
    serve = ["--master", "--master-bind-port", port, "--expect-workers", "1", *RUN]
    first, worker = start_locust(serve), start_locust(join)
    wait_until(lambda: "running" in first.stdout, within_s=120, every_s=0.1, what="the run")
    first.signal(signal.SIGKILL)
    first.process.wait(5)

    second = start_locust(serve, runs_dir=first.runs_dir)
    ended = worker.finish(60)
    assert ended.exit_code == 3, ended.stderr
    assert "the master was started anew" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "was broken off at " in second.stderr, second.stderr

    again = start_locust(join)
    result = second.finish(120)
    assert result.exit_code in (0, 3), str(result)
    assert result.verdict is not None, str(result)
    assert result.verdict["totals"]["operations"] > 0
    assert not result.verdict["broken_off"]
    assert again.finish(30).exit_code == 0
