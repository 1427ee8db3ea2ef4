"""`python -m faults` prints to stdout what is asked, and one line to stderr for what cannot be."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from faults.__main__ import main
from faults.plan import make_plan
from faults.scenario import load_scenario
from memquake.paths import SCENARIOS


def test_a_plan_prints_the_same_for_the_same_seed(capsys: pytest.CaptureFixture[str]) -> None:
    """No ports, no times of day."""
    texts = set()
    for _ in range(2):
        assert main(["plan", "single-node-failure", "--seed", "7", "--time-scale", "0.3"]) == 0
        texts.add(capsys.readouterr().out)
    (text,) = texts
    assert "down on node" in text
    assert "127.0.0.1" not in text


def test_the_list_has_a_line_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    """As many lines as scenarios."""
    assert main(["list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(list(SCENARIOS.glob("*.yaml")))


def test_a_valid_file_is_fine(capsys: pytest.CaptureFixture[str]) -> None:
    """Names and files are both taken."""
    assert main(["validate", "none", "scenarios/node-crash.yaml"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["plan", "nothing-like-it"], id="unknown scenario"),
        pytest.param(["plan", "none", "--nodes", "0"], id="no nodes"),
        pytest.param(["plan", "latency-200ms", "--time-scale", "0.01"], id="scale too small"),
        pytest.param(["plan", "flapping-node", "--time-scale", "1000"], id="longer than a day"),
        pytest.param(["plan", "~nouser/x.yaml"], id="a home of nobody"),
        pytest.param(["plan", "x" * 300], id="longer than a file's name can be"),
        pytest.param(["random", "--seed", "1", "--nodes", "1"], id="one node to draw for"),
        pytest.param(["random", "--seed", "1", "--faults", "0"], id="no faults to draw"),
        pytest.param(["random", "--seed", "1", "--kinds", "down,dwn"], id="an unknown kind"),
        pytest.param(["replay", "no-such-folder"], id="no run to repeat"),
    ],
)
def test_bad_input_is_one_line_and_two(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, one line on stderr, nothing on stdout."""
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param([], id="nothing"),
        pytest.param(["nonsense"], id="unknown command"),
        pytest.param(["plan", "none", "--seed", "abc"], id="a seed that is no number"),
        pytest.param(["plan", "none", "--seed", "-1"], id="a seed below 0"),
        pytest.param(["plan", "none", "--seed", str(2**63 + 1)], id="a seed of too much"),
        pytest.param(["random", "--seed", "-1"], id="a seed below 0 to draw from"),
        pytest.param(["random"], id="no seed to draw from"),
        pytest.param(["plan", "none", "--", "--users", "5"], id="options for a run there is none"),
        pytest.param(["plan", "none", "--time-scale", "abc"], id="a scale that is no number"),
        pytest.param(["plan", "node-crash", "--time-scale", "0"], id="a scale of nothing"),
    ],
)
def test_bad_usage_is_one_line_and_two(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The parser's own complaints are a line as well."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_validate_names_every_bad_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One bad file does not hide the next."""
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text("nam: x\n")
    assert main(["validate", str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_a_plan_says_by_what_means(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each fault with its effects and its backend, and the usual means where all can be had."""
    monkeypatch.setattr("faults.looking.foretell", lambda plan: {})
    assert main(["plan", "random-chaos", "--seed", "4", "--nodes", "5"]) == 0
    text = capsys.readouterr().out
    scenario = load_scenario("random-chaos")
    nodes = [f"node{number}" for number in range(1, 6)]
    plan = make_plan(scenario, seed=4, nodes=nodes, time_scale=1, recovers_within_s=10)
    for fault in plan.faults:
        row = next(line for line in text.splitlines() if f"  {fault.id} " in line)
        assert row.endswith(f"by {fault.backend}")
        assert all(effect in row for effect in fault.effects)
        assert any(f"{fault.id}" in x and fault.emulated_by in x for x in text.splitlines())


def test_the_list_says_what_is_done_to_nodes(capsys: pytest.CaptureFixture[str]) -> None:
    """The effects stand between name and description."""
    assert main(["list"]) == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "cold, unavailable" in rows["node-crash"]
    assert "degraded" in rows["latency-200ms"]
    assert "drawn" in rows["random-chaos"]


def test_a_drawn_scenario_is_written_and_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What goes to a file is what goes to the terminal, and it is a scenario."""
    arguments = ["random", "--seed", "9", "--faults", "4", "--nodes", "4", "--kinds", "down,hang"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    path = tmp_path / "drawn.yaml"
    assert main([*arguments, "--out", str(path)]) == 0
    assert path.read_text() == printed
    assert "by toxiproxy" in capsys.readouterr().out
    assert main(["validate", str(path)]) == 0
    assert "4 faults" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["list"], id="list"),
        pytest.param(["plan", "node-crash"], id="plan"),
        pytest.param(["validate", "none", "node-crash"], id="validate"),
        pytest.param(["random", "--seed", "3"], id="random"),
    ],
)
def test_nobody_has_to_read_to_the_end(arguments: list[str]) -> None:
    """A reader such as `head` that has gone is no error: exit code 0, not a word."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "faults", *arguments],
            cwd=SCENARIOS.parent,
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writing)
    assert (ended.returncode, ended.stderr) == (0, "")
