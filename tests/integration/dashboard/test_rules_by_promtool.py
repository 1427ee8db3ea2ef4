"""Prometheus's own tool takes the configuration and the rules, and its tests of them can fail."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.prometheus_server import PROMETHEUS, find_program

pytestmark = [pytest.mark.prove, pytest.mark.light]
TESTS = ("tests/alerts_test.yml", "tests/recording_test.yml")


def promtool(*arguments: str, folder: Path = PROMETHEUS) -> tuple[int, str]:
    """Run promtool in a folder; give its exit code and what it said."""
    done = subprocess.run(
        [find_program("promtool"), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "rules/alerts.yml", "rules/recording.yml"),
        ("test", "rules", *TESTS),
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_promtool_is_content(arguments: tuple[str, ...]) -> None:
    """Configuration, rules and the tests of the rules, as they are in the repository."""
    code, said = promtool(*arguments)
    assert code == 0, said
    assert "FAILED" not in said


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("alerts.yml", "_state[3s]) == 2", "_state[3s]) >= 1"),
        ("alerts.yml", "[3s]) == 2", "[1s]) == 2"),
        ("alerts.yml", "memcache_error_rate > 0.1", "memcache_error_rate >= 0.1"),
        ("alerts.yml", "for: 2s", "for: 0s"),
        ("alerts.yml", "memcache_wrong_values_total > 0", "memcache_wrong_values_total > 1"),
        ("alerts.yml", "toxiproxy_toxic_active == 1", "toxiproxy_toxic_active == 0"),
        ("alerts.yml", "scenario_active == 1 and", "scenario_active == 0 and"),
        ("alerts.yml", 'up{job="memquake"} == 0', "up == 0"),
        ("recording.yml", '{status!="aborted"}', ""),
        ("recording.yml", ":rate5s > 0)", ":rate5s >= 0)"),
        ("recording.yml", "histogram_quantile(0.99", "histogram_quantile(0.9"),
    ],
)
def test_a_changed_rule_is_found(tmp_path: Path, file: str, before: str, after: str) -> None:
    """Each rule, made a little wrong, is named by its test."""
    folder = tmp_path / "prometheus"
    shutil.copytree(PROMETHEUS, folder)
    rule = folder / "rules" / file
    text = rule.read_text()
    assert before in text
    rule.write_text(text.replace(before, after))
    code, said = promtool("test", "rules", *TESTS, folder=folder)
    assert code == 1, said
    assert "FAILED" in said
