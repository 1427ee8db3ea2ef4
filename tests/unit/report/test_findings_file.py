"""findings.jsonl holds all that was kept, and says what was not."""

from __future__ import annotations

import json
from typing import Any

from report.findings import findings_text
from tests.unit.verdict.made_up_runs import TIMED_OUT, MadeUpRun
from verdict.model import LedgerFacts

STALL = {"at_s": 3.0, "length_s": 0.4, "place": "x.py:1", "how": "slept"}


def lines_of(run: MadeUpRun) -> list[dict[str, Any]]:
    return [json.loads(line) for line in findings_text(run.facts()).splitlines()]


def test_every_finding_has_a_line_and_the_end_counts_them() -> None:
    """Wrong values, findings, stalls, ledgers, errors by class and text, calls; then the sums."""
    run = MadeUpRun(20).some_calls("node1", 5.0, TIMED_OUT, 7)
    ledger = LedgerFacts(stale=3, lost=[("node1", 4, 2)], evidence=[{"kind": "stale_read"}])
    stalls = {"watched": True, "client": 2, "others": 0, "kept": [STALL]}
    run.but(
        workers=[run.worker(12_000, ledger=ledger, stalls=stalls)],
        wrong_values=[{"kind": "torn", "key": "k"}],
        findings=[{"kind": "bad_result", "got": "7"}],
        samples=[
            {"at_s": 5.0, "key": "k", "outcome": "timeout", "odd": float("nan")},
            {"at_s": 6.0, "key": "k", "outcome": "hit"},
        ],
        errors=[{"kind": "OSError: gone", "key": "k"}],
        found={
            "wrong_value": {"torn": 40},
            "finding": {"bad_result": 1},
            "error": {"OSError: gone": 6},
        },
    )
    *lines, end = lines_of(run)
    kinds = ["wrong_value", "finding", "stall", "ledger", "error", "failed_call"]
    assert [line["what"] for line in lines] == [*kinds, "sampled_call"]
    assert lines[2] == {"what": "stall", "worker": "w1", **STALL}
    assert lines[4] == {"what": "error", "count": 6, "kind": "OSError: gone", "key": "k"}
    assert lines[5]["odd"] is None
    assert end["what"] == "summary"
    assert end["kept"] == dict.fromkeys([*kinds, "sampled_call"], 1)
    assert end["seen"] == {
        "wrong_value": 40,
        "finding": 1,
        "error": 6,
        "stall": 2,
        "ledger": 5,
        "failed_call": 7,
    }
    assert end["left_out"] == {
        "wrong_value": 39,
        "finding": 0,
        "error": 5,
        "stall": 1,
        "ledger": 4,
        "failed_call": 6,
    }
    assert "first 20 of a kind" in end["bounds"]


def test_a_clean_run_has_the_last_line_alone() -> None:
    """A run without findings says so."""
    (end,) = lines_of(MadeUpRun(10))
    assert (end["what"], end["kept"], set(end["left_out"].values())) == ("summary", {}, {0})
