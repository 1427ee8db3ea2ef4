"""Runs Locust as a user would: a process of its own, with a time limit and nothing left behind.

A run is marked by an environment variable that all its children inherit, so that a worker, a
guard, a memcached or a Toxiproxy that outlives it is found wherever it has detached itself to.
Output goes to files, not pipes: a surviving child would hold a pipe open and hang the test.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from memquake.paths import LOCUSTFILE
from tests import processes

RUN_MARK = "MEMQUAKE_TEST_RUN"
GONE_WITHIN_S = 5.0
SHOWN_CHARACTERS = 4000
INCONCLUSIVE = 3  # exit code
ROUNDS = int(os.environ.get("ROUNDS", "1"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Repeat every test as often as `ROUNDS` in the environment says, for `make prove`."""
    if ROUNDS > 1:
        metafunc.fixturenames.append("round_number")
        metafunc.parametrize("round_number", range(1, ROUNDS + 1))


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a finished run left to look at."""

    exit_code: int
    stdout: str
    stderr: str
    verdict: dict[str, Any] | None  # verdict.json, None when the run wrote none
    run_dir: Path | None  # the newest run folder

    def check(self, name: str) -> dict[str, Any]:
        """Give one check of the verdict by its name."""
        assert self.verdict is not None, f"the run wrote no verdict\n{self}"
        found: dict[str, Any] = next(c for c in self.verdict["checks"] if c["name"] == name)
        return found

    def __str__(self) -> str:
        checks = self.verdict["checks"] if self.verdict else []
        judged = "\n".join(
            f"{c['verdict']} {c['name']}: {c['observed']} of {c['limit']} {c['unit']}: {c['why']}"
            for c in checks
            if c["verdict"] not in {"PASS", "NOT_APPLICABLE"}
        )
        return (
            f"exit code {self.exit_code}\n-- checks not passed\n{judged}"
            f"\n-- stdout (end)\n{self.stdout[-SHOWN_CHARACTERS:]}\n"
            f"-- stderr (end)\n{self.stderr[-SHOWN_CHARACTERS:]}"
        )


class LocustProcess:
    """One `locust` process with everything it starts."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        folder: Path,
        runs_dir: Path,
        cwd: Path,
        headless: bool,
        through: Sequence[str] = (),
    ) -> None:
        self.mark = uuid.uuid4().hex
        self.runs_dir = runs_dir
        self.stdout_path = folder / f"stdout-{self.mark}"
        self.stderr_path = folder / f"stderr-{self.mark}"
        command = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE)]
        if headless:
            command.append("--headless")
        with self.stdout_path.open("wb") as stdout, self.stderr_path.open("wb") as stderr:
            self.process = subprocess.Popen(
                [*through, *command, "--runs-dir", str(runs_dir), *arguments],
                cwd=cwd,
                env=os.environ | {RUN_MARK: self.mark},
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The id of the locust process itself."""
        return self.process.pid

    @property
    def stdout(self) -> str:
        """What it has printed so far."""
        return self.stdout_path.read_text(errors="replace")

    @property
    def stderr(self) -> str:
        """What it has printed to stderr so far."""
        return self.stderr_path.read_text(errors="replace")

    def members(self) -> list[psutil.Process]:
        """Give the living processes of this run, the locust process included."""
        return processes.marked(RUN_MARK, self.mark)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the locust process alone."""
        self.process.send_signal(number)

    def result(self) -> Result:
        """Give what the run has left, whatever its state."""
        run_dir = newest_run(self.runs_dir)
        verdict_path = run_dir / "verdict.json" if run_dir else None
        has_verdict = verdict_path is not None and verdict_path.is_file()
        return Result(
            exit_code=-1 if self.process.returncode is None else self.process.returncode,
            stdout=self.stdout,
            stderr=self.stderr,
            verdict=json.loads(verdict_path.read_text()) if verdict_path and has_verdict else None,
            run_dir=run_dir,
        )

    def finish(self, timeout_s: float) -> Result:
        """Wait for the end, assert that nothing survived it, and give the result."""
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(
                f"locust did not end within {timeout_s} s\n{self.result()}"
            ) from None
        self.assert_nothing_left()
        return self.result()

    def assert_nothing_left(self, within_s: float = GONE_WITHIN_S) -> None:
        """Assert that no process of the run lives on; what does is killed."""
        deadline = time.monotonic() + within_s
        while (left := self.members()) and time.monotonic() < deadline:
            time.sleep(0.05)
        if left:
            names = processes.describe(left)
            self.kill()
            raise AssertionError(f"left behind by the run:\n{names}\n{self.result()}")

    def kill(self) -> None:
        """End everything of the run at once."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        for process in self.members():  # what left the process group
            process.kill()
        self.process.wait(GONE_WITHIN_S)


def newest_run(runs_dir: Path) -> Path | None:
    """Give the folder of the newest run: where `latest` points, else the last one by name."""
    latest = runs_dir / "latest"
    if latest.exists():
        return latest.resolve()
    folders = [path for path in runs_dir.glob("*") if path.is_dir() and not path.is_symlink()]
    return max(folders, default=None)


ATTEMPTS = 3


def until_judged(attempt: Callable[[], Result]) -> Result:
    """Repeat a run that says itself that it proves nothing: the machine was busy with others.

    For tests of what a client is judged to be. A wrong verdict is never repeated.
    """
    for _ in range(ATTEMPTS - 1):
        result = attempt()
        if result.exit_code != INCONCLUSIVE:
            return result
    return attempt()


@pytest.fixture
def start_locust(tmp_path: Path) -> Iterator[Callable[..., LocustProcess]]:
    """Give a function that starts locust and returns its `LocustProcess`, killed at the end.

    `start_locust(arguments, runs_dir=tmp_path/"runs", cwd=tmp_path, headless=True, through=())`;
    `through` are words that go before the command, such as `nsenter ...`.
    """
    started: list[LocustProcess] = []

    def start(
        arguments: Sequence[str],
        *,
        runs_dir: Path | None = None,
        cwd: Path | None = None,
        headless: bool = True,
        through: Sequence[str] = (),
    ) -> LocustProcess:
        process = LocustProcess(
            arguments,
            folder=tmp_path,
            runs_dir=runs_dir or tmp_path / "runs",
            cwd=cwd or tmp_path,
            headless=headless,
            through=through,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()


@pytest.fixture
def run_locust(start_locust: Callable[..., LocustProcess]) -> Callable[..., Result]:
    """Give a function that runs locust to its end: `run_locust(arguments, timeout_s=60, ...)`."""

    def run(arguments: Sequence[str], timeout_s: float = 60.0, **options: Any) -> Result:
        return start_locust(arguments, **options).finish(timeout_s)

    return run


@pytest.fixture
def judged() -> Callable[[Callable[[], Result]], Result]:
    """Give `until_judged` to tests that start their processes themselves."""
    return until_judged


@pytest.fixture
def judge(run_locust: Callable[..., Result]) -> Callable[..., Result]:
    """Give `run_locust` for runs that must end with PASS or FAIL."""

    def run(arguments: Sequence[str], timeout_s: float = 60.0, **options: Any) -> Result:
        return until_judged(lambda: run_locust(arguments, timeout_s, **options))

    return run
