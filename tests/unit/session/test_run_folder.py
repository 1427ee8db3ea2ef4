"""The folder of a run: names that cannot escape, files whole or absent, a link never broken."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from session.folder import RunFolder


@pytest.mark.parametrize(
    ("scenario", "part"),
    [("node-crash", "node-crash"), ("../../etc", "etc"), ("a b/c", "a-b-c"), ("..", "scenario")],
)
def test_the_name_of_a_scenario_cannot_leave_the_folder(
    tmp_path: Path, scenario: str, part: str
) -> None:
    """Whatever a scenario is called, its folder lies in the runs folder."""
    folder = RunFolder(tmp_path, scenario)
    assert folder.path.parent == tmp_path
    assert folder.path.is_dir()
    assert folder.path.name.split("-", 1)[1] == f"{part}-{folder.id}"


def test_two_runs_of_one_second_have_folders_of_their_own(tmp_path: Path) -> None:
    """Two runs at once never share a folder."""
    assert RunFolder(tmp_path, "none").path != RunFolder(tmp_path, "none").path


def test_latest_moves_on(tmp_path: Path) -> None:
    """`latest` is a relative link to the newest finished run."""
    first, second = RunFolder(tmp_path, "none"), RunFolder(tmp_path, "none")
    first.point_latest_here()
    second.point_latest_here()
    assert os.readlink(tmp_path / "latest") == second.path.name
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    """No partial file stays beside the whole one."""
    folder = RunFolder(tmp_path, "none")
    folder.write_text("plan.yaml", "a: 1\n")
    assert [p.name for p in folder.path.iterdir()] == ["plan.yaml"]
