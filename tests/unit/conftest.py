"""A unit test finds no program of the machine: what it would start or look for is not there."""

from __future__ import annotations

import shutil

import pytest


@pytest.fixture(autouse=True)
def _no_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide every program but the running Python, whose path is `sys.executable`."""
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
