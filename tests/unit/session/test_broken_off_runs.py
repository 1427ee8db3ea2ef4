"""What is left of a run whose master was killed is read back, told once, and never judged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from junitparser import JUnitXml

from faults.errors import ScenarioError
from faults.record import read_verdict
from report.reading import OutcomeError, read_earlier
from session.broken_off import tell_broken_off
from session.folder import RunFolder, hold, let_go
from session.process_end import path_of
from tests.unit.session.test_process_ends import IN_CLIENT, IN_HARNESS, THREAD, fatal, waiting
from verdict.checks import CHECKS

PLAN = """
plan: 1
scenario: node-blackhole
seed: 7
nodes: [node1, node2, node3]
options: {client: memquake, users: 10, target-rate: 200}
"""
FAULT = {
    "id": "hole",
    "kind": "timeout",
    "effects": ["unavailable"],
    "nodes": ["node2"],
    "emulated_by": "Toxiproxy",
    "planned_at_s": 10.0,
    "planned_end_s": 30.0,
    "injected_at_s": 10.01,
    "confirmed_at_s": 10.2,
}
JOURNAL: list[dict[str, Any]] = [
    {
        "t": -0.3,
        "event": "run",
        "scenario": "node-blackhole",
        "client_under_test": {"class": "shop.Cache", "version": None},
        "versions": {"python": "3.11.7"},
    },
    {"t": 0.0, "event": "phase", "name": "stabilization"},
    {"t": 10.0, "event": "phase", "name": "testing"},
    {"t": 10.2, "event": "confirmed", "fault": FAULT},
]
BROKEN_OFF = {"t": 13.4, "event": "broken_off", "why": "the master ended without a word"}
UNDONE = {"t": 13.5, "event": "guard", "what": "undone", "id": "hole@node2", "why": "gone"}


def second(t: int, **workers: int) -> dict[str, Any]:
    return {
        "t": t,
        "length_s": 1,
        "operations": {"get": sum(workers.values())},
        "workers": workers,
        "keys": 2 * sum(workers.values()),
        "errors": {"timeout": 1},
        "outcomes": {"hit": sum(workers.values()) - 2, "timeout": 1, "wrong_value": 1},
    }


def run_folder(
    runs: Path, *events: dict[str, Any], seconds: int = 0, torn: bool = False
) -> RunFolder:
    folder = RunFolder(runs, "node-blackhole")
    folder.write_text("plan.yaml", PLAN)
    journal = "".join(json.dumps(event) + "\n" for event in events)
    folder.file("journal.jsonl").write_text(journal + ('{"t": 12.1, "eve' if torn else ""))
    lines = "".join(json.dumps(second(t, a=100, b=50)) + "\n" for t in range(seconds))
    folder.file("timeline.jsonl").write_text(lines + ('{"t": 12, "len' if torn else ""))
    return folder


def verdict_of(folder: RunFolder) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(folder.file("verdict.json").read_text())
    return content


def test_what_was_written_until_then_is_summed_up(tmp_path: Path) -> None:
    """Operations by worker, faults and the moment are told; every check is INCONCLUSIVE."""
    folder = run_folder(tmp_path, *JOURNAL, seconds=12, torn=True)
    (line,) = tell_broken_off(tmp_path)
    assert line.startswith(f"{folder.path.name} was broken off at 12.0 s, in the testing phase, ")
    assert "while hole was on: its master ended without a word" in line
    verdict = verdict_of(folder)
    assert (verdict["verdict"], verdict["exit_code"], verdict["broken_off"]) == (
        *("INCONCLUSIVE", 3),
        True,
    )
    assert [check["name"] for check in verdict["checks"]] == list(CHECKS)
    assert {check["verdict"] for check in verdict["checks"]} == {"INCONCLUSIVE"}
    assert all("broken off at 12.0 s" in check["why"] for check in verdict["checks"])
    assert {w["id"]: w["operations"] for w in verdict["workers"]} == {"a": 1200, "b": 600}
    assert verdict["totals"] == {
        "operations": 1800,
        "keys": 3600,
        "errors": 12,
        "wrong_values": 12,
    }
    assert (verdict["faults"][0]["id"], verdict["faults"][0]["ended_s"]) == ("hole", None)
    assert (verdict["seed"], verdict["client"]) == (7, "memquake")
    assert verdict["client_under_test"] == {"class": "shop.Cache", "version": None}
    assert verdict["versions"] == {"python": "3.11.7"}
    assert verdict["started"] == folder.started
    suite = next(iter(JUnitXml.fromfile(str(folder.file("junit.xml")))))
    assert suite.errors == len(CHECKS)


def test_the_guards_last_words_say_when_and_what_was_healed(tmp_path: Path) -> None:
    """Its time is exact, and what it undid is no danger any more."""
    run_folder(tmp_path, *JOURNAL, BROKEN_OFF, UNDONE, seconds=12)
    (line,) = tell_broken_off(tmp_path)
    assert "broken off at 13.5 s" in line
    assert "while hole was on (healed by the guard)" in line


def test_it_is_told_once(tmp_path: Path) -> None:
    """Whoever starts after that finds a verdict and says nothing; `latest` stays where it was."""
    run_folder(tmp_path, *JOURNAL, seconds=3)
    assert len(tell_broken_off(tmp_path)) == 1
    assert tell_broken_off(tmp_path) == []
    assert not (tmp_path / "latest").exists()


def test_a_run_before_its_second_0_has_nothing_to_tell_but_that(tmp_path: Path) -> None:
    """Killed while users were being prepared: no time, no phase, no operation."""
    folder = run_folder(tmp_path)
    (line,) = tell_broken_off(tmp_path)
    assert "broken off before second 0" in line
    assert verdict_of(folder)["totals"]["operations"] == 0


@pytest.mark.parametrize("event", ["ended", "failed"])
def test_a_run_that_came_to_an_end_is_left_alone(tmp_path: Path, event: str) -> None:
    """A run that could not be set up, or whose verdict found no room, was not broken off."""
    folder = run_folder(tmp_path, *JOURNAL, {"t": 20.0, "event": event})
    assert tell_broken_off(tmp_path) == []
    assert not folder.file("verdict.json").exists()


def test_a_run_under_way_is_left_alone(tmp_path: Path) -> None:
    """Whose master holds the folder lives; what nobody holds any more is told."""
    folder = run_folder(tmp_path, *JOURNAL, seconds=3)
    folder.hold()
    assert tell_broken_off(tmp_path) == []
    folder.let_go()
    folder.let_go()
    assert len(tell_broken_off(tmp_path)) == 1


def test_a_folder_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    """The second gets nothing until the first lets go; a missing folder cannot be held."""
    first = hold(tmp_path)
    assert first is not None
    assert hold(tmp_path) is None
    let_go(first)
    second_try = hold(tmp_path)
    assert second_try is not None
    let_go(second_try)
    assert hold(tmp_path / "missing") is None


def test_other_folders_are_none_of_its_business(tmp_path: Path) -> None:
    """A suite, a folder of the user's own, a link and a missing runs folder are passed over."""
    (tmp_path / "suite-1").mkdir()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "journal.jsonl").write_text("dear diary\n")
    (tmp_path / "file").write_text("")
    assert tell_broken_off(tmp_path) == []
    assert tell_broken_off(tmp_path / "missing") == []


def test_a_plan_that_makes_no_sense_is_one_line(tmp_path: Path) -> None:
    """It is named, it ends nothing, and the next folder is told all the same."""
    spoilt = run_folder(tmp_path, *JOURNAL)
    spoilt.write_text("plan.yaml", "plan: [")
    run_folder(tmp_path, *JOURNAL)
    lines = tell_broken_off(tmp_path)
    assert sorted("cannot be read" in line for line in lines) == [False, True]
    assert all("\n" not in line for line in lines)


def test_nothing_can_be_compared_with_it(tmp_path: Path) -> None:
    """Replay and baseline refuse it in one line that says why."""
    folder = run_folder(tmp_path, *JOURNAL, seconds=3)
    tell_broken_off(tmp_path)
    with pytest.raises(ScenarioError, match="broken off"):
        read_verdict(folder.path)
    with pytest.raises(OutcomeError, match="broken off"):
        read_earlier(folder.path)


@pytest.mark.parametrize(
    ("stacks", "convicted"),
    [
        (fatal(IN_CLIENT), ["predictable_errors"]),
        (waiting(IN_CLIENT, IN_CLIENT), ["hub_not_blocked"]),
        (fatal(IN_HARNESS), []),
        ("", []),
    ],
    ids=["it aborted", "it fell silent", "the harness crashed", "it was killed"],
)
def test_a_client_that_took_the_master_along_is_convicted(
    tmp_path: Path, stacks: str, convicted: list[str]
) -> None:
    """In a local run the process that the client ends is the master: its last stacks tell."""
    folder = run_folder(tmp_path, *JOURNAL, seconds=12)
    head = json.dumps({"pid": 7, "thread": THREAD, "own": []})
    path_of(folder.path, "a").write_text(f"{head}\n{stacks}")
    tell_broken_off(tmp_path)
    verdict = verdict_of(folder)
    found = [check for check in verdict["checks"] if check["verdict"] == "FAIL"]
    assert [check["name"] for check in found] == convicted
    assert verdict["exit_code"] == (1 if convicted else 3)
    assert all("at app/cache.py:12 in get" in check["why"] for check in found)
