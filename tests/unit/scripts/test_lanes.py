"""Pytests side by side are one: nothing is left out, and the sum of all is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import lanes
from scripts.lanes import Lane


def test_every_folder_of_tests_is_in_one_lane() -> None:
    """A new folder is taken up by itself; what needs an engine is deselected by its mark."""
    beside, rest, last = lanes._lanes()["test"]
    found = {str(path.relative_to(Path.cwd())) for path in Path.cwd().glob("tests/*/")}
    assert {path for path in found if any(Path(path).rglob("test_*.py"))} == {*beside, *rest, *last}
    assert len({*beside, *rest, *last}) == len([*beside, *rest, *last])


@pytest.mark.parametrize(
    ("beside", "told"),
    [
        pytest.param("assert True", " 3 passed in ", id="both green"),
        pytest.param("assert False", " 1 failed, 2 passed in ", id="the one beside is red"),
        pytest.param("import nowhere_at_all", " 1 failed, 2 passed in ", id="it breaks"),
    ],
)
def test_all_have_to_be_green(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    beside: str,
    told: str,
) -> None:
    """The exit code is the worst one; the last line counts the tests of all."""
    for name, body in (("beside", beside), ("rest", "assert True"), ("last", "assert True")):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"test_{name}.py").write_text(f"def test_it():\n    {body}\n")
    words = [[str(tmp_path / name)] for name in lanes.NAMES]
    monkeypatch.setattr(lanes, "_lanes", lambda: {"test": words})
    assert lanes.main(["test", "-p", "no:cacheprovider"]) == ("failed" in told)
    assert told in capfd.readouterr().out.splitlines()[-1]


def test_a_lane_that_never_ended_counts_for_nothing(tmp_path: Path) -> None:
    assert Lane([], tmp_path / "nowhere").counts() == (0, 0, 0, 0)
