"""`python -m memquake -f`: which files Locust is given, and what is refused before."""

from __future__ import annotations

from pathlib import Path

import pytest

from memquake.locustfiles import locustfiles
from memquake.paths import LOCUSTFILE


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOCUST_LOCUSTFILE", raising=False)
    (tmp_path / "shop.py").touch()
    (tmp_path / "shop.txt").touch()
    (tmp_path / "more").mkdir()
    return tmp_path


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("given", ["shop.py", "more", "shop.py,more", "https://x.example/a.py"])
def test_files_that_are_there_ride_along(given: str) -> None:
    """They come after memquake's own."""
    assert locustfiles(["-f", given]) == f"{LOCUSTFILE},{given}"


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("given", ["nope.py", "shop.txt", "shop", "shop.py,nope.py"])
def test_a_file_that_is_not_there_is_refused_in_one_line(given: str) -> None:
    """Locust itself would end with 1, which says FAIL to a build."""
    with pytest.raises(ValueError, match=r"^-f \S+: no such locustfile: give .*$"):
        locustfiles(["-f", given])


def test_a_file_named_by_the_environment_is_looked_for_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LOCUST_LOCUSTFILE is the same option."""
    monkeypatch.setenv("LOCUST_LOCUSTFILE", str(folder / "gone.py"))
    with pytest.raises(ValueError, match="no such locustfile"):
        locustfiles([])
