"""Every bad file of the corpus gets one line: file, line, column, problem; exit code 2.

The files are beside this test, in `bad_scenarios/`, a mistake each. The table says where the line
has to point and what has to be in it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from faults.__main__ import main
from memquake.paths import CHECKOUT

FOLDER = Path(__file__).parent / "bad_scenarios"
ENOUGH = 50
LONGEST_LINE = 400  # characters, the path left out

EXPECTED: dict[str, tuple[str, ...]] = {
    "empty": ("1:1", "file is empty"),
    "only-a-comment": ("1:1", "file is empty"),
    "a-list": ("1:1", "no mapping", "name: ..."),
    "a-sentence": ("1:1", "no mapping"),
    "two-documents": ("2:1", "not YAML"),
    "unclosed-bracket": ("3:1", "not YAML"),
    "a-tab": ("3:1", "not YAML"),
    "a-zero-byte": ("1:9", "not YAML"),
    "a-key-twice": ("3:1", "'phases' is given twice", "keep one"),
    "contains-itself": ("2:7", "itself"),
    "an-unknown-tag": ("2:14", "not YAML"),
    "nested-too-deep": ("2:59", "nested too deep"),
    "no-name": ("1:1", "'name' is missing"),
    "a-path-for-a-name": ("1:7", "is no name"),
    "a-number-for-a-name": ("1:7", "17 is no name"),
    "a-list-for-a-description": ("2:14", "is no text"),
    "an-unknown-key": ("2:1", "unknown key 'fault'", "nearest: faults"),
    "an-unknown-phase": ("2:10", "'stabilisation'", "nearest: stabilization"),
    "a-phase-of-nothing": ("2:20", "too short"),
    "a-negative-phase": ("2:20", "-60s is negative"),
    "a-phase-in-words": ("4:13", "'a minute' is no duration", "like 30s"),
    "a-phase-of-a-week": ("2:19", "longer than a day"),
    "a-baseline-too-short": ("2:25", "too short for a baseline"),
    "a-recovery-too-short": ("2:20", "shorter than recovers_within"),
    "phases-are-a-number": ("2:9", "phases", "30 does not fit"),
    "no-users": ("2:15", "load.users"),
    "users-in-words": ("2:15", "load.users", "'many' is no whole number"),
    "a-rate-below-nothing": ("2:21", "-5 is negative: a rate is 0 or more"),
    "a-load-no-latency-allows": ("2:7", "makes the load impossible", "users"),
    "an-unknown-client-setting": ("2:10", "unknown key 'timeout'"),
    "faults-are-a-mapping": ("2:9", "faults"),
    "a-fault-is-a-word": ("2:10", "faults.0"),
    "a-fault-of-no-kind": ("3:5", "'kind' is missing"),
    "an-unknown-kind": ("3:41", "unknown kind 'latncy'", "nearest: latency"),
    "a-toxicity": ("3:71", "unknown key 'toxicity'"),
    "a-fault-without-id": ("3:5", "'id' is missing"),
    "an-id-with-a-space": ("3:10", "is no id"),
    "an-id-twice": ("4:10", "two faults have the id a"),
    "a-fault-without-start": ("3:5", "either `at` or `after`"),
    "a-fault-with-two-starts": ("4:5", "either `at` or `after`"),
    "after-nobody": ("3:20", "after names no fault: 'hole'"),
    "after-in-a-circle": ("3:20", "circle: a -> b -> a"),
    "a-fault-outlasts-testing": ("4:5", "fault a ends at 13s", "lengthen phases.testing"),
    "repeats-before-its-end": ("3:94", "repeats before it has ended"),
    "an-unknown-mode": ("3:62", "target.mode"),
    "a-mode-and-names": ("3:55", "either a mode or nodes"),
    "a-node-that-is-not-there": ("3:71", "unknown node 'noed2'", "nearest: node2"),
    "too-few-percent": ("3:84", "matches no node", "34 or more"),
    "one-hides-the-other": ("4:5", "overlaps with fault a on node1"),
    "an-unknown-budget": ("2:11", "unknown budget 'recovers_in'", "nearest: recovers_within"),
    "a-share-for-a-duration": ("2:28", "'5%' is no duration"),
    "more-errors-than-calls": ("3:17", "is no share"),
    "an-abort-above-all": ("2:29", "is no share"),
    "drawn-and-written": ("2:9", "drawn or written"),
    "a-kind-that-cannot-be-drawn": ("2:24", "'latencies' cannot be drawn", "nearest: latency"),
    "longest-below-shortest": ("2:33", "swap the two"),
    "a-plan-of-another-format": ("1:7", "plan"),
    "a-plan-without-nodes": ("5:8", "nodes"),
    "a-plan-with-a-negative-latency": ("10:88", "-0.2 is negative"),
    "a-plan-of-an-unknown-node": ("10:33", "unknown node 'node3'"),
    "a-plan-of-longer-than-a-day": ("11:10", "100000.0 is longer than a day"),
    "a-plan-of-hardly-any-recovery": ("12:11", "too short", "a microsecond or more"),
    "a-plan-with-an-impossible-budget": ("18:25", "5.0 is no share"),
    "a-phase-of-hardly-anything": ("2:20", "too short", "a microsecond or more"),
    "a-timestamp-that-is-none": ("1:7", "'xx' is no timestamp"),
    "a-bool-that-is-none": ("2:14", "'maybe' is no bool"),
    "a-whole-number-of-nothing": ("2:15", "'' is no int"),
    "a-number-of-nothing": ("2:21", "'' is no float"),
    "a-day-that-never-was": ("2:14", "'2026-13-45' is no timestamp", "in quotes"),
    "a-set": ("1:1", "no mapping"),
    "half-a-character": ("2:14", "half a character", "write the character itself"),
    "half-a-character-for-a-key": ("2:1", "half a character"),
}
"""File -> where it is wrong (line:column), and what the line says about it."""


def test_the_corpus_and_the_table_are_of_one_size() -> None:
    """No file without its line, no line without its file, and enough of both."""
    assert {path.stem for path in FOLDER.iterdir()} == set(EXPECTED)
    assert len(EXPECTED) >= ENOUGH


@pytest.mark.parametrize("name", EXPECTED)
def test_a_bad_file_gets_one_line(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It names file, line and column, and what is wrong; nothing is printed beside it."""
    path = FOLDER / f"{name}.yaml"
    assert main(["validate", str(path)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    at, *parts = EXPECTED[name]
    assert line.startswith(f"faults: {path}:{at}: ")
    assert len(line.replace(str(path), "")) < LONGEST_LINE
    for part in parts:
        assert part in line


@pytest.mark.parametrize("name", ["a-node-that-is-not-there", "not-there-at-all"])
def test_the_command_itself_says_so(name: str) -> None:
    """As a user types it: one line on stderr, nothing on stdout, exit code 2."""
    path = FOLDER / f"{name}.yaml"
    ended = subprocess.run(
        [sys.executable, "-m", "faults", "validate", str(path)],
        cwd=CHECKOUT,
        env=os.environ | {"PYTHONWARNINGS": "error"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    assert str(path) in line
