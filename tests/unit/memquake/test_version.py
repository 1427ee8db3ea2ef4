"""The version stands in pyproject.toml and nowhere else."""

from __future__ import annotations

import re

from memquake.paths import CHECKOUT
from memquake.version import VERSION


def test_the_changelog_begins_with_this_version() -> None:
    """A release that forgot its chapter, or a chapter that forgot the release, is seen."""
    newest = re.search(r"^## (\S+)", (CHECKOUT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest.group(1) == VERSION


def test_no_module_says_it_again() -> None:
    """A second place would be the one that is forgotten."""
    said = [
        path
        for folder in ("memquake", "session", "report", "dashboard", "options")
        for path in (CHECKOUT / folder).rglob("*.py")
        if f'"{VERSION}"' in path.read_text()
    ]
    assert said == []
