"""Runs repeated and shrunk with the real thing: `python -m faults replay` and `shrink`."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from memquake.paths import CHECKOUT
from tests import processes

RUN_MARK = "MEMQUAKE_TEST_RUN"
BROKEN = "tests.e2e.broken_tools:breaks_after_a_pair"
LIGHT = ["-u", "60", "--target-rate", "200"]

# Six faults of five kinds, among them one node that refuses and, later, another that keeps silent.
SEED = 1618
DRAWN = """
name: drawn
phases: {stabilization: 7s, recovery: 9s}  # some thirty runs of it are made
budgets: {recovers_within: 4s}
random:
  faults: 6
  kinds: [down, timeout, latency, crash, flush]
  shortest: 2s
  longest: 4s
  gap: 2s
"""
PAIR = ["down", "timeout"]


def faults(*arguments: str, mark: str, timeout_s: float) -> subprocess.CompletedProcess[str]:
    """Run `python -m faults` and assert that it leaves no process behind."""
    ended = subprocess.run(
        [sys.executable, "-m", "faults", *arguments],
        cwd=CHECKOUT,
        env=os.environ | {RUN_MARK: mark},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert_nothing_left(mark)
    return ended


def assert_nothing_left(mark: str, within_s: float = 5.0) -> None:
    """Assert that no process of a run lives on."""
    deadline = time.monotonic() + within_s
    while (left := processes.marked(RUN_MARK, mark)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left, processes.describe(left)


def test_a_run_is_repeated_from_its_folder(run_locust: Callable, tmp_path: Path) -> None:
    """The same options, in a process of its own; the verdicts are compared by the exit code."""
    result = run_locust(["-u", "2", "-t", "2s", "--target-rate", "50"], timeout_s=60)
    assert result.exit_code == 3, str(result)  # two seconds prove nothing, which is a verdict too
    again = faults("replay", str(result.run_dir), mark=tmp_path.name, timeout_s=60)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "the same verdict: INCONCLUSIVE" in again.stdout
    (plan,) = result.run_dir.glob("replay-*/*-none-*/plan.yaml")
    assert plan.read_text() == (result.run_dir / "plan.yaml").read_text()


@pytest.mark.prove
@pytest.mark.light
def test_a_plan_file_runs_the_same_faults(run_locust: Callable) -> None:
    """`--scenario RUN/plan.yaml` is that plan: same seed, nodes and times."""
    scaled = ["--scenario", "single-node-failure", "--time-scale", "0.3", "--seed", "5"]
    first = run_locust([*scaled, *LIGHT], timeout_s=120)
    plan = first.run_dir / "plan.yaml"
    second = run_locust(["--scenario", str(plan), *LIGHT], timeout_s=120)
    assert (second.run_dir / "plan.yaml").read_text() == plan.read_text(), str(second)
    assert second.verdict["seed"] == 5
    broken = [(f["id"], f["kind"], f["nodes"]) for f in first.verdict["faults"]]
    assert [(f["id"], f["kind"], f["nodes"]) for f in second.verdict["faults"]] == broken
    assert broken


@pytest.mark.prove
@pytest.mark.light
def test_a_replay_that_is_interrupted_leaves_nothing(run_locust: Callable, tmp_path: Path) -> None:
    """SIGTERM to the command ends the run it has started, clean-up and all."""
    result = run_locust(["-u", "2", "-t", "2s", "--target-rate", "50"], timeout_s=60)
    mark = tmp_path.name
    command = ["replay", str(result.run_dir), "--", "-t", "60s"]
    process = subprocess.Popen(
        [sys.executable, "-m", "faults", *command],
        cwd=CHECKOUT,
        env=os.environ | {RUN_MARK: mark},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 30
    while len(processes.marked(RUN_MARK, mark)) < 4 and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 2
    assert said.splitlines()[-1] == "faults: interrupted"
    assert_nothing_left(mark)


@pytest.mark.prove
@pytest.mark.light
def test_a_pair_of_faults_is_found_among_six(run_locust: Callable, tmp_path: Path) -> None:
    """A client that breaks after one pair only: the drawn run fails, the shrunk one names it."""
    drawn = tmp_path / "drawn.yaml"
    drawn.write_text(DRAWN)
    client = ["--client", BROKEN, *LIGHT]
    arguments = ["--scenario", str(drawn), "--seed", str(SEED), *client]
    failed = run_locust(arguments, timeout_s=240, cwd=CHECKOUT)
    assert len(failed.verdict["faults"]) == 6, str(failed)
    assert failed.check("no_wrong_values")["verdict"] == "FAIL", str(failed)

    found = tmp_path / "found.yaml"
    arguments = ["shrink", str(failed.run_dir), "--check", "no_wrong_values", "--out", str(found)]
    shrunk = faults(*arguments, mark=tmp_path.name, timeout_s=3600)
    assert shrunk.returncode == 0, shrunk.stdout + shrunk.stderr
    assert re.search(r"^minimal after \d+ runs", shrunk.stdout, re.MULTILINE), shrunk.stdout
    left = yaml.safe_load(found.read_text())["faults"]
    assert [fault["kind"] for fault in left] == PAIR, shrunk.stdout

    again = run_locust(["--scenario", str(found), *client], timeout_s=240, cwd=CHECKOUT)
    assert again.check("no_wrong_values")["verdict"] == "FAIL", str(again)
