"""Suites as a build server runs them: one process, one table, one JUnit file, one exit code."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from junitparser import Error, Failure, JUnitXml, Skipped

from memquake.paths import CHECKOUT

SUITE = """
name: tiny
scenarios:
  - {scenario: none, duration: 8s}
  - {scenario: ./calm.yaml, duration: 8s, seed: 5}
"""
LOAD = ["MixedUser", "--suite", "./tiny.yaml", "-u", "8", "--target-rate", "400"]
LIAR = f"""
import sys
sys.path.append({str(CHECKOUT)!r})  # a service that uses memquake's client has it on its path
from client import ClientSettings, MemcacheClient

class Liar(MemcacheClient):
    calls = 0

    def get(self, key, default=None):
        value = super().get(key, default)
        self.calls += 1
        return value if self.calls % 400 else b"somebody else's"

def make(nodes, settings):
    return Liar(nodes, ClientSettings(op_timeout=settings.op_timeout))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tiny.yaml").write_text(SUITE)
    (tmp_path / "calm.yaml").write_text("name: calm\n")
    (tmp_path / "liar.py").write_text(LIAR)
    return tmp_path


def outcome(runs_dir: Path) -> tuple[dict[str, Any], list[Any], Path]:
    """Give suite.json, the cases of junit.xml, and the folder they are in."""
    place = (runs_dir / "latest-suite").resolve()
    cases = [case for suite in JUnitXml.fromfile(place / "junit.xml") for case in suite]
    return json.loads((place / "suite.json").read_text()), cases, place


def test_scenarios_run_one_after_the_other(judge: Callable[..., Any], folder: Path) -> None:
    """Each has a run folder and a case of its own; workers stay; the worst verdict is the code."""
    result = judge([*LOAD, "--processes", "2"], timeout_s=90, cwd=folder)
    assert result.exit_code == 0, str(result)
    suite, cases, place = outcome(folder / "runs")
    assert [case["scenario"] for case in suite["scenarios"]] == ["none", "calm"]
    assert [case["seed"] for case in suite["scenarios"]] == [1, 5]
    assert [(case.name, case.result) for case in cases] == [("none", []), ("calm", [])]
    verdicts = [place.parent / case["run"] / "verdict.json" for case in suite["scenarios"]]
    for path, case in zip(verdicts, suite["scenarios"], strict=True):
        verdict = json.loads(path.read_text())
        assert len(verdict["workers"]) == 2
        assert verdict["totals"]["operations"] == case["operations"]
    assert "suite tiny: 2 scenarios, about" in result.stdout
    table = result.stdout[result.stdout.index("verdict       scenario") :]
    assert table.splitlines()[1].startswith("PASS          none")
    assert table.rstrip().endswith(f"folder  {place}")
    # Locust's own statistics are of the last scenario alone.
    totals = [line for line in result.stderr.splitlines() if "Aggregated" in line]
    counted = int(totals[0].split()[1])
    assert counted < suite["scenarios"][0]["operations"] + suite["scenarios"][1]["operations"]


def test_it_ends_at_the_first_that_fails(run_locust: Callable[..., Any], folder: Path) -> None:
    """A FAIL is exit code 1 and leaves the rest unrun: skipped in JUnit, and said in the table."""
    (folder / "tiny.yaml").write_text(SUITE.replace("8s", "4s"))  # a lie is told in no time
    result = run_locust([*LOAD, "--client", "liar:make"], timeout_s=60, cwd=folder)
    assert result.exit_code == 1, str(result)
    suite, cases, _ = outcome(folder / "runs")
    assert [case["state"] for case in suite["scenarios"]] == ["judged", "not run"]
    assert suite["scenarios"][0]["check"] == "no_wrong_values"
    assert isinstance(cases[0].result[0], Failure)
    assert suite["scenarios"][0]["run"] in cases[0].result[0].text
    assert isinstance(cases[1].result[0], Skipped)
    assert "FAIL          none" in result.stdout
    assert "not run       calm" in result.stdout


def test_an_interrupted_suite_reports_what_it_had(
    start_locust: Callable[..., Any], bounded: Callable[..., object], folder: Path
) -> None:
    """The scenario under way is judged as far as it went and called interrupted."""
    process = start_locust(LOAD, cwd=folder)
    bounded(lambda: "running" in process.stdout, within_s=30, what="the first scenario")
    process.signal(signal.SIGTERM)
    result = process.finish(30)
    assert result.exit_code == 3, str(result)
    suite, cases, _ = outcome(folder / "runs")
    assert [case["state"] for case in suite["scenarios"]] == ["interrupted", "not run"]
    assert [type(case.result[0]) for case in cases] == [Error, Skipped]
    assert result.verdict is not None
    assert "interrupted   none" in result.stdout
