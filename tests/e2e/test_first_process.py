"""A load process that is the first one of its container ends when it is told to, at any moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from memquake.paths import LOCUSTFILE

pytestmark = pytest.mark.prove  # needs root, for a process namespace

READY_S, END_S = 30.0, 8.0
LOOKING_S = 2.0  # it looks for its master by now, for a minute


def test_a_worker_without_master_ends_at_sigterm(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    """It is the kernel's way to spare a first process: without a handler it would live on."""
    said = tmp_path / "said"
    locust = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE)]
    with said.open("wb") as output:
        outside = subprocess.Popen(
            [
                *("unshare", "--pid", "--fork", "--kill-child", *locust),
                *("--worker", "--master-port", str(free_port()), "-L", "INFO"),
            ],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | {"LOCUST_RUNS_DIR": str(tmp_path)},
        )
    try:
        deadline = time.monotonic() + READY_S
        while "Starting Locust" not in said.read_text():
            assert time.monotonic() < deadline, said.read_text()
            assert outside.poll() is None, said.read_text()
            time.sleep(0.1)
        time.sleep(LOOKING_S)
        (first,) = psutil.Process(outside.pid).children()
        first.send_signal(signal.SIGTERM)
        assert outside.wait(END_S) == 128 + signal.SIGTERM, said.read_text()
    finally:
        outside.kill()
        outside.wait(5)
