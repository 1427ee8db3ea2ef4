"""Ctrl-C in a terminal reaches every process of a command, and people press it more than once."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest

from tests.e2e.test_distributed_runs import wait_for

LOAD = ["-u", "6", "--target-rate", "200"]
SLOW = [pytest.mark.prove, pytest.mark.light]


@pytest.mark.parametrize(
    ("words", "signals"),
    [
        pytest.param(["--scenario", "none", "--processes", "2"], "III", id="with workers"),
        pytest.param(["--scenario", "none"], "II", id="local", marks=SLOW),
        pytest.param(["--scenario", "none"], "IT", id="then SIGTERM", marks=SLOW),
        pytest.param(["--scenario", "none"], "TI", id="after SIGTERM", marks=SLOW),
        pytest.param(["--scenario", "none", "--repeat", "3"], "II", id="suite", marks=SLOW),
    ],
)
def test_the_verdict_survives(start_locust: Callable, words: list[str], signals: str) -> None:
    """What ran until then is judged once, by workers who sent their last reports."""
    run = start_locust([*words, *LOAD])
    wait_for(lambda: " running" in run.stdout or " stabilization" in run.stdout, 60, "the load")
    time.sleep(3)
    for name in signals:
        os.killpg(run.process.pid, signal.SIGINT if name == "I" else signal.SIGTERM)
        time.sleep(0.2)
    began = time.monotonic()
    result = run.finish(40)
    assert time.monotonic() - began < 12, "workers that leave too early are waited for"
    assert result.exit_code in (0, 3), str(result)
    assert "interrupted" not in result.stderr, str(result)
    assert "Traceback" not in result.stderr, str(result)
    assert result.verdict is not None, str(result)
    assert all(worker["lost_at_s"] is None for worker in result.verdict["workers"])
    assert result.stdout.count("\nreport  ") <= 1, "said once"
    assert result.check("all_faults_healed")["verdict"] in ("PASS", "NOT_APPLICABLE")
