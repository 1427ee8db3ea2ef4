"""What the image is made of is all that runs, and nothing that does not."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from memquake.paths import CHECKOUT as ROOT

NAMED = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] not in "# "]
TAKEN = {line.removeprefix("!") for line in NAMED if line.startswith("!")}
LEFT_OUT = {line for line in NAMED if not line.startswith("!")}


def modules() -> Iterator[Path]:
    """Give every module that the image holds."""
    for name in TAKEN:
        path = ROOT / name
        found = [path] if path.suffix == ".py" else path.rglob("*.py")
        for module in found:
            place = module.relative_to(ROOT).as_posix()
            if not any(place.startswith(f"{folder}/") for folder in LEFT_OUT):
                yield module


def imported(module: Path) -> Iterator[str]:
    """Give the dotted names that a module imports."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def test_everything_that_is_named_exists() -> None:
    """A name that was changed elsewhere is changed here."""
    assert [name for name in sorted(TAKEN) if not (ROOT / name).exists()] == []


def test_everything_that_is_imported_is_there() -> None:
    """No module of the image imports one of ours that is not in it."""
    held = {module.relative_to(ROOT).with_suffix("").as_posix() for module in modules()}
    missing = []
    for module in modules():
        for name in imported(module):
            path = name.replace(".", "/")
            ours = (ROOT / f"{path}.py").is_file() or (ROOT / path / "__init__.py").is_file()
            if ours and path not in held and f"{path}/__init__" not in held:
                missing.append(f"{module.relative_to(ROOT)} imports {name}")
    assert len(held) > 100
    assert missing == []


def test_neither_tests_nor_results_are_in_it() -> None:
    """Nor what is there to build, to measure, or to deploy it."""
    assert TAKEN.isdisjoint({"tests", "runs", "bench", "scripts", "docs", "k8s", ".git", ".venv"})
    assert "*" in LEFT_OUT  # what nobody names stays out
