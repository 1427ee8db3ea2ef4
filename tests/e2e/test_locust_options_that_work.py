"""Locust's options for output, users and times, in one run that has them all."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = [pytest.mark.prove, pytest.mark.light]


def test_a_run_with_most_of_them(run_locust: Callable, tmp_path: Path) -> None:
    """Each leaves what Locust promises, and the verdict is about the whole run all the same."""
    out = tmp_path / "out"
    result = run_locust(
        [
            *("--scenario", "none", "-t", "6s", "-u", "8", "-r", "4", "--target-rate", "200"),
            *(
                "--csv",
                f"{out}/stats",
                "--csv-full-history",
                "--html",
                f"{out}/{{u}}-{{r}}-{{t}}.html",
            ),
            *("--json-file", f"{out}/stats", "--logfile", f"{out}/log", "-L", "debug"),
            *(
                "--print-stats",
                "--reset-stats",
                "--equal-weights",
                "-s",
                "1",
                "--profile",
                "nightly",
            ),
            *("--config-users", '{"user_class_name": "HotKeyUser", "fixed_count": 1}'),
            *("--processes", "2", "MixedUser", "HotKeyUser"),
        ]
    )
    assert result.exit_code in (0, 3), str(result)
    assert result.verdict is not None
    assert (out / "8-4-6.html").stat().st_size > 10_000
    assert "Starting Locust" in (out / "log").read_text()
    rows = list(csv.DictReader((out / "stats_stats.csv").read_text().splitlines()))
    kinds = {row["Type"] for row in rows}
    assert {"mixed", "hot_key", "ledger"} <= kinds
    assert len((out / "stats_stats_history.csv").read_text().splitlines()) > 10
    told = sum(row["num_requests"] for row in json.loads((out / "stats.json").read_text()))
    assert told == result.verdict["totals"]["operations"], "nothing was reset after second 0"
    assert "# reqs" in result.stderr, "--print-stats is Locust's table"
