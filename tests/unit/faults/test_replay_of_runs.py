"""Repeating a run: from its folder to a command line, and from two verdicts to one word."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from faults import replay as replaying
from faults.__main__ import main
from faults.errors import ScenarioError
from faults.plan import make_plan, plan_to_yaml
from faults.record import Judged, read_record
from faults.replay import difference, same_verdict
from faults.rerun import Rerun, client_folder, locust_options
from faults.scenario import load_scenario
from faults.shrink import Answer
from faults.shrinking import Asker, _command

OPTIONS = {
    "client": "tests.e2e.broken_clients:wrong_value",
    "users": 20,
    "op-timeout": 0.5,
    "budget": ["error_budget=5%", "recovers_within=2s"],
    "user-classes": ["MixedUser"],
}


def verdict(ruling: str, **checks: str) -> dict[str, Any]:
    return {
        "verdict": ruling,
        "checks": [{"name": n, "verdict": v, "why": f"{n}!"} for n, v in checks.items()],
    }


def run_folder(tmp_path: Path, judged: Mapping[str, Any] | None = None, **options: Any) -> Path:
    scenario = load_scenario("node-blackhole")
    nodes = ["node1", "node2", "node3"]
    plan = make_plan(scenario, seed=7, nodes=nodes, time_scale=0.3, recovers_within_s=10)
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "plan.yaml").write_text(plan_to_yaml(plan, {**OPTIONS, **options}))
    if judged is not None:
        (folder / "verdict.json").write_text(json.dumps(judged))
    return folder


PASSED = verdict("PASS", error_budget="PASS", snapshot_true="NOT_APPLICABLE")
FAILED = verdict("FAIL", error_budget="FAIL", snapshot_true="NOT_APPLICABLE")


def judged(ruling: str, **checks: str) -> Judged:
    return Judged(ruling=ruling, checks=checks, whys=dict.fromkeys(checks, "because"))


def test_the_command_line_says_it_all_again(tmp_path: Path) -> None:
    """Every option by its flag, lists repeated, as many nodes as the plan has, classes last."""
    line = locust_options(read_record(run_folder(tmp_path, PASSED)), ["--no-report"])
    text = " ".join(line)
    for part in (
        "--client tests.e2e.broken_clients:wrong_value",
        "--users 20",
        "--op-timeout 0.5",
        "--budget error_budget=5% --budget recovers_within=2s",
        "--embedded-nodes 3",
    ):
        assert part in text
    assert line[-2:] == ["--no-report", "MixedUser"]


def test_nodes_of_the_user_have_to_be_given_again(tmp_path: Path) -> None:
    """Ports stand in no folder; the line says how to give them."""
    record = read_record(run_folder(tmp_path, PASSED, nodes="given"))
    with pytest.raises(ScenarioError, match=r"-- --nodes host:port"):
        locust_options(record, [])
    line = locust_options(record, ["--nodes", "127.0.0.1:1"])
    assert "--embedded-nodes" not in line
    assert line[-3:-1] == ["--nodes", "127.0.0.1:1"]


def test_a_client_of_the_user_s_is_looked_for_where_it_was(tmp_path: Path) -> None:
    """Whatever the working directory is now; another client is looked for from here."""
    kept = {"client": "mine:make", "client-folder": str(tmp_path)}
    record = read_record(run_folder(tmp_path, PASSED, **kept))
    assert client_folder(record, []) == tmp_path
    assert client_folder(record, ["--client", "other:make"]) is None
    assert client_folder(record, ["--client=other:make"]) is None
    assert "--client-folder" not in locust_options(record, [])
    assert f"cd {tmp_path} && python -P -m locust -f " in _command(record, [], Path("small.yaml"))


def test_a_client_whose_folder_is_gone_has_to_be_given_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = str(tmp_path / "gone")
    folder = run_folder(tmp_path, FAILED, client="mine:make", **{"client-folder": gone})
    for command in ("replay", "shrink"):
        assert main([command, str(folder)]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert f"mine:make was found in {gone}, which is not there" in said
    assert sorted(path.name for path in folder.iterdir()) == ["plan.yaml", "verdict.json"]


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        pytest.param(
            judged("PASS", a="PASS", b="PASS"),
            judged("PASS", a="PASS", b="NOT_APPLICABLE"),
            True,
            id="a check that decides nothing differs",
        ),
        pytest.param(
            judged("FAIL", a="FAIL"), judged("FAIL", a="FAIL"), True, id="fails by the same"
        ),
        pytest.param(
            judged("FAIL", a="FAIL", b="PASS"),
            judged("FAIL", a="PASS", b="FAIL"),
            False,
            id="fails by another check",
        ),
        pytest.param(judged("FAIL", a="FAIL"), judged("PASS", a="PASS"), False, id="passes now"),
        pytest.param(
            judged("PASS", a="PASS"),
            judged("INCONCLUSIVE", a="INCONCLUSIVE"),
            False,
            id="proves nothing now",
        ),
    ],
)
def test_when_two_verdicts_are_the_same(before: Judged, after: Judged, same: bool) -> None:
    """The ruling, and by which checks it FAILs; every check that differs is named anyhow."""
    assert same_verdict(before, after) is same
    lines = difference(before, after)
    assert lines[0].startswith("the same") is same
    differ = [name for name in before.checks if before.checks[name] != after.checks[name]]
    assert [line.split(":")[0].strip() for line in lines[1:]] == differ


@pytest.mark.parametrize(
    ("after", "code"), [pytest.param(FAILED, 0, id="same"), pytest.param(PASSED, 1, id="other")]
)
def test_the_exit_code_says_whether_it_is_the_same(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    after: Mapping[str, Any],
    code: int,
) -> None:
    """0 for the same verdict, 1 for another; the options after -- are handed on."""
    handed: list[list[str]] = []

    def run_again(record: Any, plan: Any, more: list[str], *, into: Path, shown: bool) -> Rerun:
        handed.append(more)
        checks = {check["name"]: check["verdict"] for check in after["checks"]}
        return Rerun(folder=into, judged=judged(after["verdict"], **checks))

    monkeypatch.setattr(replaying, "run_again", run_again)
    folder = run_folder(tmp_path, FAILED)
    assert main(["replay", str(folder), "--", "--no-report"]) == code
    assert handed == [["--no-report"]]
    assert "verdict: FAIL" in capsys.readouterr().out


def empty(tmp_path: Path) -> list[str]:
    return ["replay", str(tmp_path)]


def missing(tmp_path: Path) -> list[str]:
    return ["replay", str(tmp_path / "nowhere")]


def unjudged(tmp_path: Path) -> list[str]:
    return ["replay", str(run_folder(tmp_path))]


def torn(tmp_path: Path) -> list[str]:
    folder = run_folder(tmp_path)
    (folder / "verdict.json").write_text('{"verdict": "PA')
    return ["replay", str(folder)]


def passed(tmp_path: Path) -> list[str]:
    return ["shrink", str(run_folder(tmp_path, PASSED))]


def by_another_check(tmp_path: Path) -> list[str]:
    return ["shrink", str(run_folder(tmp_path, FAILED)), "--check", "error_budgt"]


def no_runs(tmp_path: Path) -> list[str]:
    return ["shrink", str(run_folder(tmp_path, FAILED)), "--runs", "0"]


def unwritable(tmp_path: Path) -> list[str]:
    return ["random", "--seed", "1", "--out", str(tmp_path / "no" / "x.yaml")]


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        pytest.param(empty, "has no plan.yaml", id="a folder of something else"),
        pytest.param(missing, "is no folder", id="no folder"),
        pytest.param(unjudged, "has no verdict.json", id="a run that was not judged"),
        pytest.param(torn, "verdict.json cannot be read", id="a torn verdict"),
        pytest.param(passed, "only one that FAILs", id="shrinking a run that passed"),
        pytest.param(by_another_check, "nearest: error_budget", id="a check it did not fail by"),
        pytest.param(no_runs, "--runs 0", id="no runs"),
        pytest.param(unwritable, "--out", id="a file that cannot be written"),
    ],
)
def test_what_cannot_be_repeated_is_one_line_and_two(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: Any, expected: str
) -> None:
    """Exit code 2, one line on stderr, nothing run."""
    assert main(make(tmp_path)) == 2
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert expected in line


@pytest.mark.parametrize(
    ("first", "later", "answer"),
    [
        pytest.param(
            judged("FAIL", a="FAIL", b="PASS"),
            judged("FAIL", a="FAIL", b="FAIL"),
            Answer.FAILS,
            id="by the check that came back",
        ),
        pytest.param(
            judged("FAIL", a="FAIL", b="FAIL"),
            judged("FAIL", a="FAIL", b="PASS"),
            Answer.HOLDS,
            id="by one of the two only",
        ),
        pytest.param(
            judged("FAIL", a="FAIL", b="PASS"),
            judged("INCONCLUSIVE", a="PASS", c="INCONCLUSIVE"),
            Answer.HOLDS,
            id="the check itself was judged",
        ),
        pytest.param(
            judged("FAIL", a="FAIL", b="PASS"),
            judged("INCONCLUSIVE", a="INCONCLUSIVE"),
            Answer.UNSURE,
            id="the check was not judged",
        ),
        pytest.param(
            judged("FAIL", a="FAIL", b="PASS"),
            judged("INCONCLUSIVE", a="PASS", fault_confirmed="INCONCLUSIVE"),
            Answer.UNSURE,
            id="a fault was not there",
        ),
    ],
)
def test_what_a_verdict_means_for_a_search(
    tmp_path: Path, first: Judged, later: Judged, answer: Answer
) -> None:
    """A later run fails if it fails by every check that the run before and the first repeat did."""
    record = read_record(run_folder(tmp_path, FAILED))
    asker = Asker(record, [], ["a", "b"], tmp_path)
    assert asker.answer(first) is Answer.FAILS
    assert asker.answer(later) is answer
