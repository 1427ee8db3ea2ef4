"""Whole runs as a user types them, judged by what they leave: exit code, folder, verdict.json."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest

from memquake.paths import CHECKOUT
from tests.e2e.controls import BROKEN, Control, convicted, parameters

FILES = (
    "plan.yaml",
    "journal.jsonl",
    "timeline.jsonl",
    "verdict.json",
    "junit.xml",
    "findings.jsonl",
    "facts.json.gz",
    "report.html",
)
SCALED = ["--time-scale", "0.3"]
PROVE = pytest.mark.prove


def assert_whole(result) -> None:
    """Assert that a finished run has every file and that its numbers agree."""
    assert result.run_dir is not None
    for name in FILES:
        assert (result.run_dir / name).stat().st_size > 0, name
    verdict = result.verdict
    assert sum(w["operations"] for w in verdict["workers"]) == verdict["totals"]["operations"]
    assert verdict["exit_code"] == result.exit_code
    lines = [json.loads(x) for x in (result.run_dir / "timeline.jsonl").read_text().splitlines()]
    assert len(lines) >= verdict["duration_s"] - 2
    cases = ET.parse(result.run_dir / "junit.xml").getroot().findall(".//testcase")
    assert {case.get("name") for case in cases} >= {check["name"] for check in verdict["checks"]}
    assert str(result.run_dir.name) in result.stdout
    assert_judged_again(result)


def assert_judged_again(result) -> None:
    """Assert that the folder alone has the same verdict, to the byte, and the same exit code."""
    command = [sys.executable, "-m", "memquake", "judge", result.run_dir]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, timeout=60, check=False)
    assert done.returncode == result.exit_code, done.stderr
    for name in ("verdict.json", "junit.xml", "report.html"):
        assert (result.run_dir / "judged" / name).read_bytes() == (
            result.run_dir / name
        ).read_bytes()


def test_a_run_without_faults_passes(judge: Callable) -> None:
    """With nothing wrong the verdict is PASS and every check about faults does not apply."""
    result = judge(["--scenario", "none", "-u", "20", "-t", "10s"], timeout_s=60)
    assert result.exit_code == 0, str(result)
    assert_whole(result)
    assert result.verdict["totals"]["errors"] == 0
    assert result.check("recovers_within")["verdict"] == "NOT_APPLICABLE"
    assert result.check("no_wrong_values")["verdict"] == "PASS"
    assert "Traceback" not in result.stderr


@pytest.mark.alone
@pytest.mark.prove
def test_a_lost_node_is_survived(judge: Callable) -> None:
    """The default client passes the loss of one node, and the fault was real."""
    result = judge(["--scenario", "single-node-failure", *SCALED], timeout_s=90)
    assert result.exit_code == 0, str(result)
    assert_whole(result)
    (fault,) = result.verdict["faults"]
    assert fault["confirmed"]
    assert fault["ended_s"] - fault["started_s"] == pytest.approx(4.5, abs=0.5)
    assert result.verdict["totals"]["errors"] > 0
    for name in ("breaker_opens_within", "fails_fast_while_open", "recovers_within"):
        assert result.check(name)["verdict"] == "PASS", str(result)


def test_a_black_hole_is_survived(judge: Callable) -> None:
    """The default client passes where the broken ones below are convicted."""
    result = judge(["--scenario", "node-blackhole", *SCALED], timeout_s=90)
    assert result.exit_code == 0, str(result)
    assert result.verdict["figures"]["timeline_memory_growth"]["value"] > 0  # the harness's own
    for name in ("breaker_opens_within", "fails_fast_while_open", "recovers_within"):
        assert result.check(name)["verdict"] == "PASS", str(result)


@pytest.mark.prove
def test_a_budget_that_cannot_be_kept_fails_the_run(judge: Callable) -> None:
    """A budget on the command line takes the place of the default limit, and names its check."""
    arguments = ["--scenario", "node-blackhole", *SCALED, "--budget", "recovers_within=0.01s"]
    result = judge(arguments, timeout_s=90)
    assert result.exit_code == 1, str(result)
    failed = [c["name"] for c in result.verdict["checks"] if c["verdict"] == "FAIL"]
    assert failed == ["recovers_within"], str(result)
    assert result.check("recovers_within")["limit"] == pytest.approx(0.01)


def test_a_run_that_proved_nothing_is_inconclusive(run_locust: Callable) -> None:
    """One user for one second is no evidence: exit code 3."""
    result = run_locust(["-u", "1", "-t", "1s"], timeout_s=60)
    assert result.exit_code == 3, str(result)
    assert result.check("enough_requests")["verdict"] == "INCONCLUSIVE"


@pytest.mark.parametrize("control", parameters(BROKEN))
def test_a_broken_client_is_convicted(judge: Callable, control: Control) -> None:
    """Each broken client FAILs, by the check that is about its fault."""
    result = judge(control.arguments, timeout_s=120, cwd=CHECKOUT)
    assert result.exit_code == 1, str(result)
    assert convicted(result.verdict) & control.checks, str(result)


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        pytest.param("rude_kills", "FAIL", id="raises GreenletExit", marks=PROVE),
        pytest.param("rude_exits", "FAIL", id="exits in snapshot()"),
        pytest.param("rude_mute", "FAIL", id="exits in whatever is looked at", marks=PROVE),
        pytest.param("rude_hangs", "FAIL", id="hangs in close()", marks=PROVE),
        pytest.param(
            "rude_junk", "PASS", id="says nonsense in snapshot()", marks=[PROVE, pytest.mark.alone]
        ),
    ],
)
def test_a_rude_client_cannot_break_the_harness(judge: Callable, name: str, verdict: str) -> None:
    """Whatever a client does outside of what is asked of it, the run ends and is judged."""
    arguments = ["-t", "8s", "-u", "10", "--target-rate", "400"]
    client = ["--client", f"tests.e2e.broken_clients:{name}"]
    result = judge([*arguments, *client], timeout_s=60, cwd=CHECKOUT)
    assert result.verdict is not None, str(result)
    assert result.verdict["verdict"] == verdict, str(result)
    assert "Traceback" not in result.stderr, str(result)
    assert len(result.verdict["workers"]) == 1
    assert result.verdict["workers"][0]["lost_at_s"] is None


@pytest.mark.prove
@pytest.mark.light
def test_a_latest_that_is_no_link_stops_nobody(run_locust: Callable, tmp_path: Path) -> None:
    """A runs folder whose `latest` cannot be replaced still gets its run, and the run ends."""
    (tmp_path / "runs" / "latest" / "kept").mkdir(parents=True)
    result = run_locust(["-u", "2", "-t", "2s", "--target-rate", "50"], timeout_s=40)
    assert result.exit_code == 3, str(result)
    assert "Traceback" not in result.stderr
    folders = [p for p in (tmp_path / "runs").iterdir() if p.name != "latest"]
    assert [(folder / "verdict.json").is_file() for folder in folders] == [True]
