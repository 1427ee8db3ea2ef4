"""Users of the user's own beside memquake's: theirs in Locust's tables, ours in the verdict."""

from __future__ import annotations

import functools
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from memquake.paths import LOCUSTFILE

BOTH = f"{LOCUSTFILE},{Path(__file__).parent / 'foreign_users.py'}"
LOAD = ["-u", "16", "--target-rate", "300", "--scenario", "none", "-f", BOTH]

ONE = ["-u", "1", "MixedUser", "Sleeper"]
ALONE = ["--config-users", '{"user_class_name": "Sleeper", "fixed_count": 1}']


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[str]:
    """Serve a page."""
    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "processes",
    [
        pytest.param([], id="local", marks=[pytest.mark.prove, pytest.mark.light]),
        pytest.param(["--processes", "2"], id="workers"),
    ],
)
def test_they_ride_along(judge: Callable, shop: str, tmp_path: Path, processes: list[str]) -> None:
    """Nothing waits for them, nothing of theirs is judged, and standard output is JSON alone."""
    users = ["MixedUser", "Visitor", "Sleeper"]
    output = ["--json", "--json-file", str(tmp_path / "stats")]
    result = judge([*LOAD, "-t", "10s", "-H", shop, *output, *processes, *users])
    assert result.exit_code == 0, str(result)
    assert "operations in 10.0 s" in result.stderr
    rows = {(row["method"], row["name"]): row for row in json.loads(result.stdout)}
    assert rows == {
        (row["method"], row["name"]): row
        for row in json.loads((tmp_path / "stats.json").read_text())
    }
    assert rows["GET", "/"]["num_requests"] > 50
    assert rows["own", "sleep"]["num_failures"] > 20
    assert result.verdict is not None
    assert result.verdict["totals"]["errors"] == 0
    told = sum(row["num_requests"] for (kind, _), row in rows.items() if kind not in ("GET", "own"))
    assert told == result.verdict["totals"]["operations"]
    assert result.check("no_leaks")["verdict"] == "PASS", str(result)


@pytest.mark.prove
@pytest.mark.light
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param([*ONE, *ALONE], "none is memquake's (Sleeper)", id="none of ours started"),
        pytest.param(["MixedUser", "Unable"], "no database here", id="cannot be made"),
    ],
)
def test_what_cannot_be_run_ends_at_once(
    run_locust: Callable, words: list[str], expected: str
) -> None:
    """One line and exit code 2, where a master once waited for two minutes."""
    result = run_locust([*LOAD, "-t", "10s", *words], timeout_s=45)
    assert result.exit_code == 2, str(result)
    lines = [line for line in result.stderr.splitlines() if line.startswith("memquake: ")]
    assert len(lines) == 1, str(result)
    assert expected in lines[0]
