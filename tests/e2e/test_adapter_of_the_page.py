"""The first adapter of docs/clients.md on live runs: honest, and without a breaker."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from memquake.paths import DOCS

LIGHT = ["--client", "sharded:Sharded", "-u", "10", "--target-rate", "300"]


@pytest.fixture
def sharded(tmp_path: Path) -> None:
    page = (DOCS / "clients.md").read_text(encoding="utf-8")
    block = re.search(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert block is not None
    (tmp_path / "sharded.py").write_text(block[1], encoding="utf-8")


@pytest.mark.prove
@pytest.mark.usefixtures("sharded")
def test_nothing_is_found_where_nothing_breaks(judge: Callable) -> None:
    result = judge([*LIGHT, "--scenario", "none", "-t", "12s"], timeout_s=60)
    assert result.exit_code == 0, str(result)


@pytest.mark.prove
@pytest.mark.usefixtures("sharded")
def test_it_fails_a_black_hole_as_the_page_says(judge: Callable) -> None:
    arguments = ["--scenario", "node-blackhole", "--time-scale", "0.5"]
    result = judge([*LIGHT, *arguments], timeout_s=150)
    assert result.exit_code == 1, str(result)
    assert result.check("fails_fast_while_open")["verdict"] == "FAIL", str(result)
