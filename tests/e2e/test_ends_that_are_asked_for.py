"""A run that is told to end heals and judges, however often it is told and whoever listens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from memquake.paths import LOCUSTFILE
from tests import processes
from tests.e2e.conftest import RUN_MARK, newest_run
from tests.e2e.test_distributed_runs import wait_for

pytestmark = [pytest.mark.prove, pytest.mark.light]

LIGHT = ["-u", "10", "--target-rate", "100"]
FAULTY = ["--scenario", "node-blackhole", "--time-scale", "0.3", *LIGHT]
END_S = 30.0


def test_more_than_one_sigterm(start_locust: Callable) -> None:
    """The end that is under way goes on: one verdict, one report, no second end beside it."""
    run = start_locust(FAULTY)
    wait_for(lambda: "FAULT" in run.stdout, 60, "the fault")
    run.signal(signal.SIGTERM)
    deadline = time.monotonic() + END_S
    while run.process.poll() is None and time.monotonic() < deadline:
        run.signal(signal.SIGTERM)
        time.sleep(0.02)
    result = run.finish(1)
    assert result.exit_code == 3, str(result)
    assert result.verdict is not None, str(result)
    assert "Traceback" not in result.stderr, str(result)
    assert result.stdout.count("report.html") == 1, str(result)


@pytest.mark.parametrize("number", range(8))
def test_a_run_that_nobody_listens_to(tmp_path: Path, number: int) -> None:
    """With both pipes unread it ends at SIGTERM like any other, and its verdict is written.

    A broken stderr once made gevent forget its timers, in one run of twelve.
    """
    mark = f"{tmp_path}"
    command = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless"]
    run = subprocess.Popen(
        [*command, *FAULTY, "--runs-dir", str(tmp_path)],
        cwd=tmp_path,
        env=os.environ | {RUN_MARK: mark},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert run.stdout is not None
    assert run.stderr is not None
    try:
        while b"FAULT" not in (line := run.stdout.readline()):
            assert line, "it ended by itself"
        run.stdout.close()
        run.stderr.close()
        time.sleep(number / 8)  # the live line is written each second
        run.send_signal(signal.SIGTERM)
        assert run.wait(END_S) == 3
    finally:
        run.kill()
        run.wait(5)
        left = processes.marked(RUN_MARK, mark)
        for process in left:
            process.kill()
    assert not left, processes.describe(left)
    folder = newest_run(tmp_path)
    assert folder is not None
    assert json.loads((folder / "verdict.json").read_text())["verdict"] == "INCONCLUSIVE"
