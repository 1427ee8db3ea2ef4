"""`python -m memquake` from a folder that is not the checkout, which lies in a path with spaces."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from memquake.paths import CHECKOUT
from scripts.progress import Log
from scripts.python_env import PythonEnv
from tests.e2e.conftest import newest_run

LEFT_OUT = (".git", ".venv", ".tools", "tests", "docs", "runs", "bench", "k8s", "*_cache")


class Copy(SimpleNamespace):
    """A checkout in another place with an environment of its own, and a user's folder."""

    python: Path
    folder: Path

    def run(self, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.python, "-m", "memquake", *words],
            cwd=self.folder,
            env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    root = tmp_path_factory.mktemp("any folder") / "check out"
    shutil.copytree(CHECKOUT, root, ignore=shutil.ignore_patterns(*LEFT_OUT))
    (root / ".tools").symlink_to(CHECKOUT / ".tools")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", root / ".venv"], check=True)
    env = PythonEnv(root, Log(root / "setup.log"))
    env.point_to_checkout()
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    (env.path_file.parent / "packages.pth").write_text(f"{packages}\n")
    folder = root.parent / "a service"
    folder.mkdir()
    for name in ("client.py", "settings.py", "session.py"):
        (folder / name).write_text("raise RuntimeError('the service has its own')\n")
    (folder / "mine.py").write_text(
        "from locust import User, task\nclass Mine(User):\n    @task\n    def one(self): pass\n"
    )
    return Copy(python=env.python, folder=folder)


def test_a_run_from_a_services_folder(copy: Copy) -> None:
    """It runs this checkout, writes its runs where it was started, and leaves the words alone."""
    words = ["--headless", "--scenario", "none", "-t", "4s", "-u", "4", "--target-rate", "100"]
    result = copy.run([*words, "-f", "mine.py", "MixedUser"])
    assert result.returncode in (0, 3), result.stderr
    folder = newest_run(copy.folder / "runs")
    assert folder is not None
    verdict = json.loads((folder / "verdict.json").read_text())
    assert verdict["totals"]["operations"] > 200
    assert verdict["totals"]["errors"] == 0


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        pytest.param(["options"], 0, "LOCUST_TARGET_RATE", id="its options"),
        pytest.param(["-f", "mine.py", "--list"], 0, "Mine", id="users of ones own"),
        pytest.param(["--headlesss"], 2, "memquake: error:", id="its own name"),
    ],
)
def test_its_words(copy: Copy, words: list[str], code: int, expected: str) -> None:
    """What Locust prints stays as it is, and so do the exit codes."""
    result = copy.run(words)
    assert result.returncode == code, result.stderr
    assert expected in (result.stdout if code == 0 else result.stderr)
    if code == 0:
        assert not result.stderr
    else:
        assert len(result.stderr.strip().splitlines()) == 1, result.stderr
