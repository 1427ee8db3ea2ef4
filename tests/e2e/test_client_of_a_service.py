"""A service's folder with modules of memquake's names: its own client is the one that is judged."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from memquake.paths import CHECKOUT
from tests.e2e.conftest import Result

CLIENT = """
from pymemcache.client.hash import HashClient
import settings
from users.models import TIMEOUT_S

class ServiceClient(HashClient):
    def get(self, key, default=None):
        return super().get(key, default) and settings.VALUE

def build(nodes, options):
    return ServiceClient(list(nodes), use_pooling=True, default_noreply=False, timeout=TIMEOUT_S)
"""
FILES = {
    "client.py": CLIENT,
    "settings.py": "VALUE = b'of another key'\n",
    "users/__init__.py": "",
    "users/models.py": "TIMEOUT_S = 0.5\n",
    "mycache.py": "def make(nodes, options):\n    from client import build\n"
    "    return build(nodes, options)\n",
    "session.py": "1 / 0\n",
    "locustfile.py": "1 / 0\n",
}


@pytest.fixture
def result(run_locust: Callable[..., Result], tmp_path: Path) -> Result:
    """Run with the service's client, in the service's folder."""
    for name, source in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(source)
    return run_locust(
        [
            *("--client", "mycache:make", "--scenario", "none", "-t", "5s", "-u", "6"),
            *("--target-rate", "200", "--processes", "2"),
        ],
        timeout_s=60,
    )


def test_the_service_s_own_client_is_judged_in_every_process(
    result: Result, tmp_path: Path
) -> None:
    """It returns wrong values, which memquake's own does not, and the verdict names its class."""
    assert result.verdict is not None
    assert result.exit_code == 1, str(result)
    assert result.check("no_wrong_values")["verdict"] == "FAIL", str(result)
    told = result.verdict["client_under_test"]
    assert told["class"] == "client.ServiceClient"
    assert told["file"] == str(tmp_path / "client.py")
    assert told["factory_file"] == str(tmp_path / "mycache.py")
    assert "pymemcache" in told["libraries"]
    assert result.verdict["client"] == "mycache:make"
    assert set(result.verdict["versions"]) == {
        "memquake",
        "python",
        "gevent",
        "locust",
        "memcached",
    }
    assert f"from {tmp_path / 'mycache.py'}" in " ".join(result.stdout.split())


@pytest.mark.prove
def test_a_replay_finds_the_client_from_anywhere(result: Result, tmp_path: Path) -> None:
    assert result.run_dir is not None, str(result)
    again = replay(result.run_dir)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "the same verdict: FAIL by " in again.stdout
    assert f"from {tmp_path / 'mycache.py'}" in again.stdout


def replay(run_dir: Path) -> subprocess.CompletedProcess[str]:
    """Repeat a run from a folder that has nothing to do with it."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "faults", "replay", str(run_dir)],
        cwd="/",
        env=os.environ | {"PYTHONPATH": str(CHECKOUT), "COLUMNS": "500"},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
