"""What the figures say against what was really done: injected latency, stalls, rates.

For `make prove`, on a machine that does nothing else: each figure is held against theory.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from memquake.paths import CHECKOUT

PHASES = {"stabilization": "8s", "testing": "10s", "recovery": "16s"}


def scenario(folder: Path, fault: dict[str, Any], **more: Any) -> str:
    """Write a scenario with one fault and give its path."""
    path = folder / "timed.yaml"
    whole = {"name": "timed", "phases": PHASES, "client": {"op_timeout": "3s"}, **more}
    whole["faults"] = [
        {"id": "it", "at": "1s", "duration": "8s", "target": {"mode": "one"}} | fault
    ]
    path.write_text(yaml.safe_dump(whole))
    return str(path)


def lines(result: Any) -> list[dict[str, Any]]:
    """Give the run's seconds."""
    text = (result.run_dir / "timeline.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.alone
@pytest.mark.prove
@pytest.mark.parametrize("latency_ms", [100, 200, 500, 1000])
def test_an_injected_latency_is_reported(
    run_locust: Callable, tmp_path: Path, latency_ms: int
) -> None:
    """At p50 of the slow node's calls, within 5 %."""
    fault = {"kind": "latency", "latency": f"{latency_ms}ms"}
    path = scenario(tmp_path, fault, load={"users": 100, "target_rate": 150})
    result = run_locust(["--scenario", path], timeout_s=90, cwd=CHECKOUT)
    (done,) = result.verdict["faults"]
    (node,) = done["nodes"]
    inside = range(int(done["started_s"]) + 1, int(done["ended_s"]) - 1)
    p50s = [line["nodes"][node]["p50_us"] for line in lines(result) if line["t"] in inside]
    assert statistics.median(p50s) / 1000 == pytest.approx(latency_ms, rel=0.05), str(result)


@pytest.mark.alone
@pytest.mark.prove
def test_a_stall_is_felt_by_those_who_would_have_come(judge: Callable, tmp_path: Path) -> None:
    """All nodes halted for 1 s of 10 at 2,000 op/s: response p99 of the ten is about 900 ms.

    One in ten was due during the halt and waited 1 s at most, evenly spread: the last hundredth of
    all is the last tenth of those. A closed loop sees forty calls of a second and nothing else.
    """
    fault = {"kind": "hang", "at": "4s", "duration": "1s", "target": {"mode": "all"}}
    path = scenario(tmp_path, fault, load={"users": 2500, "target_rate": 2000})
    arguments = ["HotKeyUser", "--scenario", path, "--breaker-profile", "off"]
    result = judge([*arguments, "--pool-size", "1000"], timeout_s=120, cwd=CHECKOUT)
    p99_ms = result.verdict["figures"]["response_p99_testing"]["value"]
    assert p99_ms == pytest.approx(900, rel=0.10), str(result)


@pytest.mark.alone
@pytest.mark.prove
def test_the_target_rate_is_held(run_locust: Callable) -> None:
    """Within 1 %, in the median of five runs of 30 s."""
    kept = []
    for _ in range(5):
        arguments = ["--scenario", "none", "-u", "40", "--target-rate", "1000", "-t", "30s"]
        result = run_locust(arguments, timeout_s=90, cwd=CHECKOUT)
        kept.append(result.verdict["figures"]["target_rate_kept"]["value"])
    assert statistics.median(kept) == pytest.approx(1.0, abs=0.01), kept
