"""Which scenario of a suite is next, when it ends, and what is said of those that were not run."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from locust.argument_parser import get_empty_argument_parser, setup_parser_arguments

from faults.errors import ScenarioError
from report.suite import spell_time
from session.options import Checked, add_options
from session.suite import SuiteSession
from session.suite_plan import SuitePlan, plan_suite
from tests.unit.verdict.made_up_runs import TIMED_OUT, MadeUpRun
from verdict.model import Ruling
from verdict.suite import State
from verdict.verdict import judge

THREE = "name: three\nscenarios: [none, {scenario: node-crash, time_scale: 0.3, seed: 9}, none]\n"


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Give a function from a command line to what it asks to be run."""
    monkeypatch.setattr(Checked, "done", True)  # the parser shall not check by itself
    (tmp_path / "three.yaml").write_text(THREE)
    three = str(tmp_path / "three.yaml")

    def parse(*arguments: str) -> SuitePlan | None:
        parser = get_empty_argument_parser(default_config_files=[])
        setup_parser_arguments(parser)
        add_options(parser)
        given = [three if argument == "three" else argument for argument in arguments]
        options: argparse.Namespace = parser.parse_args(
            ["--headless", "--runs-dir", str(tmp_path / "runs"), *given]
        )
        return plan_suite(options)

    return parse


def run_of(suite: SuiteSession, name: str, *, fails: bool = False) -> Any:
    """Make up a finished run, as far as a suite looks at it."""
    made = MadeUpRun(20)
    if fails:
        made = made.all_calls("node2", 5, 20, TIMED_OUT)
    facts = made.but(scenario=name).facts()
    place = SimpleNamespace(path=Path(f"run-{name}"))
    settings = SimpleNamespace(time_scale=1.0)
    return SimpleNamespace(
        id=object(), facts=facts, verdict=judge(facts), folder=place, settings=settings
    )


def vague_run(suite: SuiteSession, name: str) -> Any:
    """Make up a run that was too short to prove anything."""
    run = run_of(suite, name)
    run.facts = MadeUpRun(3).but(scenario=name).facts()
    run.verdict = judge(run.facts)
    return run


def seen(suite: SuiteSession) -> list[tuple[str, int, str]]:
    return [(case.scenario, case.round, case.state.value) for case in suite.result().cases]


def test_a_command_line_without_suite_is_a_single_run(plan: Any) -> None:
    """No plan at all, so nothing of a suite is made."""
    assert plan("--scenario", "node-crash") is None


def test_the_command_line_wins_over_the_file(plan: Any) -> None:
    """What the file says of scale and seed holds where the command line says nothing."""
    crash = plan("--suite", "three").first[1].settings
    assert (crash.time_scale, crash.seed) == (0.3, 9)
    crash = plan("--suite", "three", "--time-scale", "0.5", "--seed", "4").first[1].settings
    assert (crash.time_scale, crash.seed) == (0.5, 4)


def test_each_scenario_has_its_own_load_and_client(plan: Any, tmp_path: Path) -> None:
    """Users, rate and deadline are resolved anew for each, from the same options."""
    (tmp_path / "mixed.yaml").write_text(
        "name: mixed\nscenarios: [{scenario: none, duration: 7s}, latency-200ms]\n"
    )
    none, latency = plan("--suite", str(tmp_path / "mixed.yaml")).first
    assert (none.settings.users, none.settings.target_rate) == (40, 800.0)
    assert none.settings.duration_s == 7.0
    assert latency.settings.users > none.settings.users
    assert latency.settings.target_rate < none.settings.target_rate


def test_every_round_has_the_next_seed(plan: Any) -> None:
    """But for the seed that a file fixes."""
    found = plan("--suite", "three", "--repeat", "2")
    seeds = [found.turn(index).settings.seed for index in range(6)]
    assert seeds == [1, 9, 1, 2, 9, 2]
    assert found.turn(6) is None
    repeated = plan("--scenario", "node-crash", "--repeat", "3", "--seed", "7")
    assert [repeated.turn(index).settings.seed for index in range(3)] == [7, 8, 9]
    assert repeated.name == "node-crash"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--suite", "three"), "3 scenarios, about 2 min"),
        (("--suite", "three", "--repeat", "4"), "3 scenarios in each of 4 rounds, about 8 min"),
        (("--suite", "three", "--loop"), "3 scenarios a round, about 2 min each, until stopped"),
        (("--suite", "three", "--loop", "-t", "8h"), "until 8 h 00 min are over"),
    ],
    ids=["once", "repeated", "endless", "a soak"],
)
def test_its_length_is_told_at_the_start(plan: Any, arguments: Any, words: str) -> None:
    """How many scenarios, and about how long they take with the pauses between them."""
    assert words in plan(*arguments).words(spell_time)


def test_a_suite_runs_to_its_end(plan: Any) -> None:
    """One after the other, then none; what was not reached yet is not run."""
    suite = SuiteSession(plan("--suite", "three"))
    for number, name in enumerate(["none", "node-crash", "none"]):
        assert [state for *_, state in seen(suite)] == ["judged"] * number + ["not run"] * (
            3 - number
        )
        turn = suite.next_turn()
        assert turn is not None
        assert turn.settings.scenario.name == name
        assert suite.place == f"{number + 1}/3"
        suite.note_run(run_of(suite, name), interrupted=False)
    assert suite.next_turn() is None
    assert suite.result().exit_code == 0


@pytest.mark.parametrize("keep_going", [False, True], ids=["stops", "keeps going"])
def test_what_follows_a_failure(plan: Any, keep_going: bool) -> None:
    """A suite ends at a FAIL and at a scenario that cannot be set up, unless told to keep going."""
    more = ["--keep-going"] if keep_going else []
    failed = SuiteSession(plan("--suite", "three", *more))
    failed.next_turn()
    failed.note_run(run_of(failed, "none", fails=True), interrupted=False)
    assert (failed.next_turn() is not None) is keep_going
    refused = SuiteSession(plan("--suite", "three", *more))
    refused.next_turn()
    refused.note_refused("no kernel for this")
    assert (refused.next_turn() is not None) is keep_going
    assert (failed.result().exit_code, refused.result().exit_code) == (1, 2)
    if not keep_going:
        assert "--keep-going" in failed.result().cases[1].why


def test_an_inconclusive_run_ends_nothing(plan: Any) -> None:
    """It convicts nobody, and the next one may still prove something."""
    suite = SuiteSession(plan("--suite", "three"))
    suite.next_turn()
    suite.note_run(vague_run(suite, "none"), interrupted=False)
    following = suite.next_turn()
    assert following is not None
    assert following.place == 2


def test_what_proves_nothing_is_run_again(plan: Any) -> None:
    """As often as it is asked for, with the same seed, and each place is one case."""
    suite = SuiteSession(plan("--suite", "three", "--retries", "2"))
    turn = suite.next_turn()
    for number in (1, 2):
        suite.note_run(vague_run(suite, f"none-{number}"), interrupted=False)
        assert suite.news[-1] == f"1/3: again, run {number + 1}"
        assert suite.next_turn() is turn
    suite.note_run(run_of(suite, "none"), interrupted=False)
    first, *others = suite.result().cases
    assert (first.ruling, first.run) == (Ruling.PASS, "run-none")
    assert first.vague_runs == ("run-none-1", "run-none-2")
    assert [case.state for case in others] == [State.NOT_RUN] * 2
    for _ in range(3):
        following = suite.next_turn()
        assert following is not None
        assert following.settings.scenario.name == "node-crash"
        suite.note_run(vague_run(suite, "node-crash"), interrupted=False)
    assert suite.place == "2/3"
    assert suite.next_turn() is not None
    assert suite.place == "3/3"  # three runs of it are enough
    assert suite.result().cases[1].ruling is Ruling.INCONCLUSIVE
    assert "by its run 3" in suite.text()


@pytest.mark.parametrize("ending", ["fails", "refused", "stopped", "a soak's end"])
def test_what_is_never_run_again(plan: Any, ending: str) -> None:
    """A verdict stands; so does what cannot be set up, and whoever stops a suite stops it."""
    more = ["--loop", "-t", "10s"] if ending == "a soak's end" else []
    clock = Clock()
    suite = SuiteSession(
        plan("--suite", "three", "--retries", "2", "--keep-going", *more), clock=clock
    )
    suite.next_turn()
    if ending == "refused":
        suite.note_refused("no kernel for this")
    else:
        fails = ending == "fails"
        run = run_of(suite, "none", fails=True) if fails else vague_run(suite, "none")
        suite.note_run(run, interrupted=ending == "stopped")
    clock.now_s += 60.0
    following = suite.next_turn()
    if ending == "a soak's end":
        assert following is None
    else:
        assert following is not None
        assert following.place == 2


def test_a_single_scenario_may_be_tried_again(plan: Any) -> None:
    """As a suite of one."""
    found = plan("--scenario", "node-crash", "--retries", "1")
    assert (found.name, found.rounds, len(found.first)) == ("node-crash", 1, 1)


def test_a_run_is_noted_once(plan: Any) -> None:
    """Whoever ends it, and whoever waited for its end, may tell of it."""
    suite = SuiteSession(plan("--suite", "three"))
    suite.next_turn()
    run = run_of(suite, "none")
    suite.note_run(run, interrupted=True)
    suite.note_run(run, interrupted=False)
    assert [state for *_, state in seen(suite)] == ["interrupted", "not run", "not run"]


def test_a_soak_ends_when_its_time_is_over(plan: Any) -> None:
    """No scenario is begun after it; what is left of the round counts for nothing."""
    clock = Clock()
    suite = SuiteSession(plan("--suite", "three", "--loop", "-t", "60s"), clock=clock)
    for name in ("none", "node-crash", "none", "none"):
        assert suite.next_turn() is not None
        clock.now_s += 15.0
        suite.note_run(run_of(suite, name), interrupted=False)
    assert suite.next_turn() is None
    suite.end()
    assert suite.result().exit_code == 0
    assert [state for *_, state in seen(suite)] == ["judged"] * 4 + ["not run"] * 2


def test_a_scenario_that_cannot_be_resolved_later_is_told_by_its_round(
    plan: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its seed and round are known, though there are no settings for it."""
    suite = SuiteSession(plan("--scenario", "node-crash", "--repeat", "2", "--keep-going"))
    suite.next_turn()
    suite.note_run(run_of(suite, "node-crash"), interrupted=False)

    def broken(_: Any) -> None:
        raise ScenarioError("the file is gone")

    monkeypatch.setattr("session.suite_plan.resolve_settings", broken)
    with pytest.raises(ScenarioError):
        suite.next_turn()
    suite.note_refused("the file is gone")
    last = suite.result().cases[-1]
    assert (last.round, last.seed, last.state.value) == (2, 2, "not set up")


def test_the_folder_is_there_from_the_first_scenario_on(plan: Any) -> None:
    """Whatever ends the process, suite.json and junit.xml say what there was until then."""
    suite = SuiteSession(plan("--suite", "three"))
    suite.next_turn()
    suite.note_run(run_of(suite, "none"), interrupted=False)
    data = json.loads(suite.folder.file("suite.json").read_text())
    assert [case["state"] for case in data["scenarios"]] == ["judged", "not run", "not run"]
    assert suite.folder.file("junit.xml").exists()
    suite.stop_asked = "stopped before its end"
    suite.end()
    assert json.loads(suite.folder.file("suite.json").read_text())["interrupted"]
    assert suite.folder.file("suite.txt").read_text().startswith("verdict")
    link = suite.folder.runs_dir / "latest-suite"
    assert link.resolve() == suite.folder.path.resolve()
