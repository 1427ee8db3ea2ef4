"""Runs beside each other and workers that do not belong: nobody is disturbed, and it is said."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from memquake.paths import CHECKOUT, LOCUSTFILE

STEADY = ["--scenario", "none", "-u", "10", "--target-rate", "300", "-t", "10s"]


@pytest.mark.parametrize(
    ("flag", "more"),
    [
        ("--prometheus-port", ["-t", "2s"]),
        ("--master-bind-port", ["--master", "-t", "2s"]),
        ("--web-port", []),
    ],
)
def test_a_port_in_use_is_named(run_locust: Callable, flag: str, more: list[str]) -> None:
    """A taken port is one line with its option, exit code 2."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        headless = flag != "--web-port"
        result = run_locust([flag, port, *more], timeout_s=30, headless=headless)
    assert result.exit_code == 2, str(result)
    (line,) = result.stderr.strip().splitlines()
    assert flag in line
    assert port in line


@pytest.mark.prove
@pytest.mark.light
def test_two_runs_with_forked_workers_do_not_meet(start_locust: Callable, tmp_path: Path) -> None:
    """Two runs at once, in one runs folder, each with forked workers of its own."""
    runs = [start_locust([*STEADY, "--processes", "1"], runs_dir=tmp_path / "r") for _ in range(2)]
    for run in runs:
        run.finish(90)
    folders = [path for path in (tmp_path / "r").iterdir() if not path.is_symlink()]
    assert len(folders) == 2
    for folder in folders:
        assert (folder / "verdict.json").is_file()
        assert (folder / "report.html").is_file()
    assert (tmp_path / "r" / "latest").resolve() in folders


def test_a_worker_of_another_version_is_refused(
    start_locust: Callable, free_port: Callable
) -> None:
    """Master and stranger each say it in one clear line and end with exit code 2."""
    port = str(free_port())
    master = start_locust(["--master", "--master-bind-port", port, *STEADY])
    wrong = (
        "import sys, memquake.version as v; v.VERSION = '9.9.9'; "
        "from locust.main import main; main()"
    )
    command = [sys.executable, "-c", wrong, "-f", str(LOCUSTFILE), "--headless"]
    worker = subprocess.run(
        [*command, "--worker", "--master-port", port],
        cwd=CHECKOUT,
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    result = master.finish(60)
    assert result.exit_code == 2, str(result)
    assert "9.9.9" in result.stderr
    assert "9.9.9" in worker.stderr
    assert worker.returncode == 2, worker.stderr
    assert "Traceback" not in result.stderr + worker.stderr
