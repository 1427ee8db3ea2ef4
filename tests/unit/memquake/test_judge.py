"""`python -m memquake judge`: the verdict of a run again, or another one under other budgets."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from client.operation import Outcome
from memquake.judge import JUDGED, main
from memquake.paths import CHECKOUT
from report.facts_file import FACTS
from report.outcome import write_outcome
from report.suite_files import write_suite
from session.broken_off import tell_broken_off
from tests.unit.session.test_broken_off_runs import JOURNAL, run_folder
from tests.unit.verdict.made_up_runs import TIMED_OUT, MadeUpRun, run_with_outage
from verdict.suite import State, SuiteCase, SuiteResult, case_of
from verdict.verdict import judge

FILES = ("verdict.json", "junit.xml", "findings.jsonl", "report.html", FACTS)


def good() -> MadeUpRun:
    return run_with_outage().batches_all_along((Outcome.PARTIAL, 300))


def bad() -> MadeUpRun:
    return MadeUpRun().fault("node2").all_calls("node2", 10, 20, TIMED_OUT)


def vague() -> MadeUpRun:
    return MadeUpRun(3)


def crowded() -> MadeUpRun:
    """Return a run with cases of every kind, as processes tell of them."""
    run = bad()
    stalls = {
        "watched": True,
        "client": 1,
        "others": 0,
        "kept": [{"at_s": 3.5, "stack": ["a", "b"]}],
    }
    samples = [{"at_s": 12.5, "op": "get", "node": "node2", "outcome": "timeout", "key": "k\ud800"}]
    worker = run.worker(24_000, stalls=stalls, left_running=[])
    return run.but(workers=[worker], samples=samples, findings=[])


def recorded(make: Callable[[], MadeUpRun], folder: Path) -> SuiteCase:
    """Leave the folder of a run behind and return its place in a suite."""
    folder.mkdir(parents=True)
    facts = make().facts()
    verdict = judge(facts)
    assert write_outcome(folder, facts, verdict, report=True) == []
    return case_of(facts, verdict, time_scale=1.0, turn=1, run=folder.name, interrupted=False)


def suite_of(folder: Path, *cases: SuiteCase, interrupted: str = "") -> SuiteResult:
    folder.mkdir()
    result = SuiteResult(
        name="mine",
        client="memquake",
        started="2026-01-02T03:04:05Z",
        duration_s=99.5,
        cases=cases,
        interrupted=interrupted,
    )
    write_suite(result, folder)
    return result


def again(*words: str | Path) -> int:
    return main(["judge", *map(str, words)])


@pytest.mark.parametrize(
    ("make", "code"),
    [(good, 0), (bad, 1), (vague, 3), (crowded, 1)],
    ids=["PASS", "FAIL", "INCONCLUSIVE", "cases"],
)
def test_the_same_facts_have_the_same_outcome(
    tmp_path: Path, make: Callable[[], MadeUpRun], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every file byte for byte, the summary, and the exit code."""
    folder = tmp_path / "run"
    recorded(make, folder)
    assert again(folder) == code
    for name in FILES:
        assert (folder / JUDGED / name).read_bytes() == (folder / name).read_bytes(), name
    text = capsys.readouterr().out.strip()
    assert text.startswith({0: "PASS", 1: "FAIL", 3: "INCONCLUSIVE"}[code])
    assert text.endswith(f"report  {folder / JUDGED}/report.html")


def test_another_budget_may_have_another_verdict(tmp_path: Path) -> None:
    """The run's own budgets stay where no other one is given; its folder stays as it is."""
    folder, out = tmp_path / "run", tmp_path / "strict"
    recorded(lambda: good().but(budgets={"no_leaks": 0.07}), folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    words = [folder, "--budget", "recovers_within=100ms", "--budget", "no_second_dip=1"]
    assert again(*words, "--out", out) == 1
    verdict = json.loads((out / "verdict.json").read_text())
    checks = {check["name"]: check for check in verdict["checks"]}
    assert [name for name, check in checks.items() if check["verdict"] == "FAIL"] == [
        "recovers_within"
    ]
    assert checks["recovers_within"]["limit"] == 0.1
    assert checks["no_leaks"]["limit"] == 0.07
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert again(out / FACTS) == 1


def test_a_file_of_facts_is_enough(tmp_path: Path) -> None:
    """What a user sends to a maintainer."""
    recorded(bad, tmp_path / "run")
    (tmp_path / "run" / FACTS).rename(tmp_path / "mail.json.gz")
    assert again(tmp_path / "mail.json.gz") == 1
    assert (tmp_path / JUDGED / "verdict.json").exists()


def test_a_run_that_was_broken_off_is_still_not_judged(tmp_path: Path) -> None:
    """Its master's successor has written down what there was."""
    folder = run_folder(tmp_path, *JOURNAL, seconds=12)
    tell_broken_off(tmp_path)
    assert again(folder.path, "--budget", "no_leaks=50%") == 3
    for name in ("verdict.json", "junit.xml"):
        assert (folder.path / JUDGED / name).read_bytes() == folder.file(name).read_bytes(), name


def test_a_suite_is_judged_as_a_suite(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the runs beside it, what was not run or not set up as it was, and its own files."""
    cases = [recorded(good, tmp_path / "one"), recorded(bad, tmp_path / "two")]
    unset = SuiteCase(scenario="dns", seed=1, state=State.NOT_SET_UP, why="no such name")
    suite = tmp_path / "suite"
    suite_of(suite, *cases, unset, SuiteCase(scenario="last", seed=1, state=State.NOT_RUN))
    assert again(suite) == 1
    for name in ("suite.json", "junit.xml"):
        assert (suite / JUDGED / name).read_bytes() == (suite / name).read_bytes(), name
    for name in ("one", "two"):
        found, told = (place / name / "report.html" for place in (suite / JUDGED, tmp_path))
        assert found.read_bytes() == told.read_bytes()
    table = capsys.readouterr().out
    assert "1 failed, 1 not set up, 1 passed, 1 not run" in table
    assert (suite / JUDGED / "suite.txt").read_text().strip() in table
    assert again(suite / JUDGED, "--out", tmp_path / "third") == 1


def test_a_suite_under_another_budget(tmp_path: Path) -> None:
    """It goes for every scenario; the worst exit code wins."""
    suite = tmp_path / "suite"
    suite_of(suite, recorded(good, tmp_path / "one"), recorded(good, tmp_path / "two"))
    assert again(suite) == 0
    assert again(suite, "--budget", "recovers_within=100ms") == 1
    data = json.loads((suite / JUDGED / "suite.json").read_text())
    assert [case["check"] for case in data["scenarios"]] == ["recovers_within"] * 2


def retried(folder: Path, state: State = State.JUDGED) -> SuiteCase:
    """Return a place whose first run proved nothing and whose second passed."""
    recorded(lambda: good().some_calls("node1", 5.0, TIMED_OUT, 10), folder / "first")
    last = recorded(good, folder / "second")
    return dataclasses.replace(last, vague_runs=("first",), state=state)


def test_the_first_run_of_a_place_that_proves_something_counts(tmp_path: Path) -> None:
    """As with --retries, which repeats neither a PASS nor a FAIL."""
    suite = tmp_path / "suite"
    suite_of(suite, retried(tmp_path))
    assert again(suite) == 0
    assert (suite / JUDGED / "suite.json").read_bytes() == (suite / "suite.json").read_bytes()
    assert again(suite, "--budget", "recovers_within=100ms") == 1
    (place,) = json.loads((suite / JUDGED / "suite.json").read_text())["scenarios"]
    assert (place["run"], place["inconclusive_runs"]) == ("first", [])


def test_a_suite_that_was_interrupted_stays_so(tmp_path: Path) -> None:
    """Its last run is judged as far as it went, and is no PASS."""
    suite = tmp_path / "suite"
    suite_of(suite, retried(tmp_path, State.INTERRUPTED), interrupted="stopped before its end")
    assert again(suite) == 3
    assert (suite / JUDGED / "suite.json").read_bytes() == (suite / "suite.json").read_bytes()


def broken_suite(content: str) -> Callable[[Path], list[str | Path]]:
    def make(folder: Path) -> list[str | Path]:
        (folder / "suite.json").write_text(content)
        return [folder]

    return make


def suite_without_a_run(folder: Path) -> list[str | Path]:
    case = recorded(good, folder / "one")
    (folder / "one" / FACTS).unlink()
    suite_of(folder / "suite", case)
    return [folder / "suite"]


def with_words(*words: str) -> Callable[[Path], list[str | Path]]:
    def make(folder: Path) -> list[str | Path]:
        recorded(good, folder / "run")
        return [folder / "run", *words]

    return make


def onto_itself(folder: Path) -> list[str | Path]:
    recorded(good, folder / "run")
    return [folder / "run", "--out", folder / "run" / ".." / "run"]


def onto_a_file(folder: Path) -> list[str | Path]:
    recorded(good, folder / "run")
    return [folder / "run", "--out", folder / "run" / "verdict.json" / "x"]


@pytest.mark.parametrize(
    ("make", "why"),
    [
        pytest.param(lambda _: [], "required: RUN", id="nothing named"),
        pytest.param(lambda at: [at / "gone"], "does not exist", id="no such folder"),
        pytest.param(lambda at: [at], "holds no facts", id="a folder of something else"),
        pytest.param(with_words("more"), "unrecognized arguments: more", id="a word too many"),
        pytest.param(with_words("--budget", "no_leak=1"), "nearest: no_leaks", id="no such check"),
        pytest.param(with_words("--budget", "no_leaks=1s"), "no share", id="a bad limit"),
        pytest.param(broken_suite("[]"), "no outcome of memquake", id="a list for a suite"),
        pytest.param(broken_suite('{"version": 1}'), "not of a suite", id="a run for a suite"),
        pytest.param(broken_suite('{"version": 2}'), "newer memquake", id="a newer suite"),
        pytest.param(suite_without_a_run, "one holds no facts", id="a suite without its runs"),
        pytest.param(onto_itself, "holds the run itself", id="onto itself"),
        pytest.param(onto_a_file, "Not a directory", id="no folder to write to"),
    ],
)
def test_bad_words_are_refused_in_one_line(
    tmp_path: Path,
    make: Callable[[Path], list[str | Path]],
    why: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With exit code 2, and before anything is written."""
    words = make(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    try:
        code = again(*words)
    except SystemExit as end:
        code = int(str(end.code))
    output = capsys.readouterr()
    assert code == 2
    assert why in output.err
    assert len(output.err.splitlines()) == 1
    assert output.out == ""
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


ASKED = """
import runpy, sys
sys.path.insert(1, sys.argv.pop(1))
try:
    runpy.run_module("memquake", run_name="__main__", alter_sys=True)
except SystemExit as end:
    print(end.code, *sorted({name.split(".")[0] for name in sys.modules}), file=sys.stderr)
"""


def test_neither_locust_nor_a_server_is_needed(tmp_path: Path) -> None:
    """From a folder whose own modules have the names of ours, in a process without Locust."""
    recorded(bad, tmp_path / "run")
    for name in ("report.py", "client.py", "verdict.py", "faults.py"):
        (tmp_path / name).write_text("raise RuntimeError('the service has its own')\n")
    done = subprocess.run(
        [sys.executable, "-c", ASKED, CHECKOUT, "judge", "run"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    code, *modules = done.stderr.split()
    assert code == "1"
    assert not {"locust", "flask", "zmq", "requests", "session", "cluster"} & set(modules)
    assert done.stdout.strip().startswith("FAIL  made-up")
