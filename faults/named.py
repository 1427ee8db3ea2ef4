"""Scenario and suite files that can be named by a word: found in a folder, or by their path."""

from __future__ import annotations

from pathlib import Path

from faults.errors import ScenarioError
from memquake.nearest import nearest

SUFFIXES = (".yaml", ".yml")


def named(folder: Path) -> dict[str, Path]:
    """Give the files of a folder by name; an unreadable folder has none."""
    try:
        entries = list(folder.iterdir())
    except OSError:
        return {}
    return {entry.stem: entry for entry in entries if entry.suffix in SUFFIXES and entry.is_file()}


def expanded(path: str) -> Path:
    """Give a path with `~` and `~user` replaced; ScenarioError where there is no such home."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        home, _, _ = path.partition("/")
        raise ScenarioError(
            f"{path}: there is no home folder {home}: write the path out, or ./{path}"
        ) from None


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # no file can be called so
        return False


def find(name_or_path: str, folder: Path, what: str) -> Path:
    """Give the file a word or a path stands for; ScenarioError for a word that nothing is called.

    `what` is the kind of file, for people. A path is not looked at here.
    """
    known = named(folder)
    if name_or_path in known:
        return known[name_or_path]
    if not name_or_path.strip() or "\0" in name_or_path:
        raise ScenarioError(f"no {what} named: there are: {', '.join(sorted(known))}")
    path = expanded(name_or_path)
    if "/" in name_or_path or path.suffix in SUFFIXES or _exists(path):
        return path
    raise ScenarioError(f"unknown {what} {name_or_path!r} ({nearest(name_or_path, known)})")
