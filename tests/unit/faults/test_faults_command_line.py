"""`python -m faults` prints to stdout what is asked, and one line to stderr for what cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from faults.__main__ import main
from faults.scenario import FOLDER


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
    assert len(capsys.readouterr().out.splitlines()) == len(list(FOLDER.glob("*.yaml")))


def test_a_valid_file_is_fine(capsys: pytest.CaptureFixture[str]) -> None:
    """Names and files are both taken."""
    assert main(["validate", "none", "scenarios/node-crash.yaml"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["plan", "nothing-like-it"], id="unknown scenario"),
        pytest.param(["plan", "none", "--nodes", "0"], id="no nodes"),
        pytest.param(["plan", "node-crash", "--time-scale", "0"], id="scale 0"),
        pytest.param(["plan", "latency-200ms", "--time-scale", "0.01"], id="scale too small"),
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
        pytest.param(["plan", "none", "--time-scale", "abc"], id="a scale that is no number"),
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
