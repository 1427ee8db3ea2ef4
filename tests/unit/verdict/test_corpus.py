"""Recorded facts have the verdict that was recorded with them, check by check and word by word.

A change of a rule that shows here is written by `python -m tests.corpus.record again`, and its
commit says why each verdict has changed.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from memquake.judge import main as judge_again
from memquake.limits import known_checks
from report.suite_files import SUITE
from tests.corpus.runs import RUNS
from tests.corpus.verdicts import FOLDER, differences, facts_of, judged, names, recorded, suites
from verdict.model import CheckResult, RunFacts
from verdict.verdict import CHECKS, judge
from verdict.view import View

MOST_BYTES = 3_000_000
CONVICT_NOBODY = {
    "enough_requests",
    "steady_baseline",
    "fault_confirmed",
    "generator_not_saturated",
}
"""Checks of the run itself, which end in PASS or INCONCLUSIVE."""


@pytest.mark.parametrize("name", names())
def test_the_verdict_is_the_recorded_one(name: str) -> None:
    """Ruling, observed value, limit, words and evidence of every check; figures, notes, totals."""
    found = differences(recorded(name), judged(facts_of(name)))
    assert not found, "\n".join([f"{name} is judged otherwise:", *found])


def test_suites_come_to_the_recorded_end(tmp_path: Path) -> None:
    """Every place with the same verdict, check and evidence."""
    for suite in suites():
        judge_again(["judge", str(suite), "--out", str(tmp_path / suite.name)])
        was, now = ((place / suite.name / SUITE).read_text() for place in (FOLDER, tmp_path))
        assert now.splitlines() == was.splitlines()


def test_every_check_is_held_to_what_it_finds() -> None:
    """Each FAILs somewhere, or is INCONCLUSIVE where it can do no more; whole runs end each way."""
    found = {(c["name"], c["verdict"]) for name in names() for c in recorded(name)["checks"]}
    lacking = [
        name
        for name in known_checks()
        if (name, "INCONCLUSIVE" if name in CONVICT_NOBODY else "FAIL") not in found
    ]
    assert lacking == []
    assert {recorded(name)["verdict"] for name in names()} == {"PASS", "FAIL", "INCONCLUSIVE"}


def test_the_corpus_is_whole_and_small() -> None:
    """Facts and verdict of each run, of known runs alone, in no more than a repository can bear."""
    live = {name for name in names() if not name.startswith("made-")}
    assert live | {suite.name for suite in suites()} <= set(RUNS)
    verdicts = {path.stem for path in FOLDER.glob("*.json")}
    assert verdicts == set(names())
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= MOST_BYTES


def a_blind_check(view: View) -> CheckResult:
    """See nothing."""
    raise ZeroDivisionError(f"{len(view.facts.nodes)} nodes")


def test_a_check_that_is_broken_shows_as_a_difference_that_can_be_read() -> None:
    """What it was, what it is, and only that."""
    name = "made-recovers_within"
    facts: RunFacts = facts_of(name)
    was = recorded(name)
    broken = judge(facts, {**CHECKS, "recovers_within": a_blind_check})
    now = {**was, "checks": [dict(check) for check in was["checks"]]}
    at = list(CHECKS).index("recovers_within")
    check = broken.checks[at]
    now["checks"][at] |= {"verdict": check.verdict.value, "observed": None, "why": check.why}
    assert differences(was, was) == []
    lines = differences(was, now)
    assert [line.rstrip() for line in lines if not line.startswith(" ")] == [
        "recovers_within verdict:",
        "recovers_within observed:",
        "recovers_within why:",
    ]
    assert lines[1:3] == ['    was "FAIL"', '    now "INCONCLUSIVE"']
    assert lines[-1] == '    now "the check crashed: ZeroDivisionError: 3 nodes"'
