"""Whatever part of the harness dies in the middle of a fault, everything heals and the run ends."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.test_distributed_runs import STEADY, wait_for

HALF = ["--scenario", "node-blackhole", "--time-scale", "0.3"]


def part(master: Any, wanted: str) -> psutil.Process:
    """Find a process of the run by a word of its command line."""
    return next(
        process
        for process in master.members()
        if any(wanted in os.path.basename(word) for word in process.cmdline()[:4])
    )


@pytest.mark.prove
@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        pytest.param("guard_child.py", "the guard process died", id="guard"),
        pytest.param("server", "toxiproxy-server died by itself", id="toxiproxy"),
        pytest.param("memcached", "died by itself", id="memcached"),
    ],
)
def test_a_part_that_is_killed_in_a_fault(start_locust: Callable, wanted: str, says: str) -> None:
    """The run ends by itself, proves nothing, says why, and leaves no process behind."""
    master = start_locust(HALF)
    wait_for(lambda: "FAULT" in master.stdout, 60, "the fault")
    part(master, wanted).kill()
    result = master.finish(40)
    assert result.exit_code == 3, str(result)
    assert says in result.check("enough_requests")["why"], str(result)
    assert "Traceback" not in result.stderr


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a folder on a file system of 32 kB; only root may make one."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", folder], check=True)
    yield folder
    deadline = time.monotonic() + 5
    while subprocess.run(["umount", folder], check=False).returncode:
        assert time.monotonic() < deadline, "somebody keeps the file system busy"
        time.sleep(0.1)


@pytest.mark.prove
@pytest.mark.light
def test_a_full_disk_costs_files_and_no_verdict(start_locust: Callable, small_disk: Path) -> None:
    """The verdict is printed, each missing file is named in a line, and the exit code is no 0."""
    master = start_locust(STEADY, runs_dir=small_disk / "runs")
    result = master.finish(60)
    assert result.exit_code == 3, str(result)
    assert "verdict.json cannot be written" in result.stderr, str(result)
    assert "operations in" in result.stdout, str(result)
    assert "Traceback" not in result.stderr
