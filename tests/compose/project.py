"""A Compose project of the test's own: its name, its ports, its image tag; gone at the end."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import requests

from memquake.paths import CHECKOUT
from tests.conftest import choose_free_port

UP_WITHIN_S = 600.0  # the image is built in it, from packages that come over the network
DOWN_WITHIN_S = 180.0
ANSWER_S = 5.0
INCONCLUSIVE = 3  # exit code of a run that says itself that it proves nothing
ATTEMPTS = 3

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a command came to."""

    code: int
    output: str  # both streams, in the order they came
    seconds: float

    def __str__(self) -> str:
        return f"exit code {self.code} after {self.seconds:.1f} s\n{self.output[-6000:]}"


class Project:
    """docker-compose.yml of the checkout, under a name that nobody else has."""

    def __init__(self, folder: Path, settings: Mapping[str, str], *files: str) -> None:
        assert shutil.which("docker"), "no docker found: install Docker Engine with Compose"
        self.name = f"memquake-test-{uuid.uuid4().hex[:8]}"
        self.folder = folder
        self.web_port, self.prometheus_port, self.grafana_port = (
            choose_free_port() for _ in range(3)
        )
        self.environment = os.environ | {
            "MEMQUAKE_TAG": self.name,
            "MEMQUAKE_WEB_PORT": str(self.web_port),
            "MEMQUAKE_PROMETHEUS_PORT": str(self.prometheus_port),
            "MEMQUAKE_GRAFANA_PORT": str(self.grafana_port),
            **settings,
        }
        self._files = [word for name in ("docker-compose.yml", *files) for word in ("-f", name)]

    # -- commands ---------------------------------------------------------------------------

    def compose(self, *words: str, limit_s: float = 120.0) -> Done:
        """Run `docker compose` on this project."""
        return self._run(["docker", "compose", "-p", self.name, *self._files, *words], limit_s)

    def ci(self, *words: str, limit_s: float = 300.0) -> Done:
        """Run one headless run."""
        return self.compose("--profile", "ci", "run", "--rm", "ci", *words, limit_s=limit_s)

    def up(self, *words: str) -> Done:
        """Bring the default profile up; AssertionError with the logs when it does not come."""
        done = self.compose("up", "--wait", *words, limit_s=UP_WITHIN_S)
        if done.code:
            logs = self.compose("logs", "--tail", "40").output
            raise AssertionError(f"{done}\n{logs}")
        return done

    def down(self) -> None:
        """Take away every container, network, volume and image of the project."""
        profiles = ["--profile", "ui", "--profile", "ci", "--profile", "files"]
        done = self.compose(*profiles, "down", "-v", "--remove-orphans", "-t", "5", limit_s=180)
        self._run(["docker", "image", "rm", "-f", f"memquake:{self.name}"], 60)
        assert done.code == 0, done
        assert not self.left(), f"left behind: {self.left()}"

    def left(self) -> list[str]:
        """Name what the project still has."""
        label = f"label=com.docker.compose.project={self.name}"
        found: list[str] = []
        for kind in (["ps", "-a"], ["network", "ls"], ["volume", "ls"]):
            found += self._run(["docker", *kind, "-q", "--filter", label], 30).output.split()
        return found

    def _run(self, command: Sequence[str], limit_s: float) -> Done:
        began = time.monotonic()
        path = self.folder / f"output-{uuid.uuid4().hex}"
        with path.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=CHECKOUT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            try:
                code = process.wait(limit_s)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
                said = path.read_text(errors="replace")[-4000:]
                raise AssertionError(f"{command} did not end within {limit_s} s\n{said}") from None
        seconds = time.monotonic() - began
        return Done(code=code, output=path.read_text(errors="replace"), seconds=seconds)

    # -- what there is ----------------------------------------------------------------------

    def containers(self) -> list[dict[str, Any]]:
        """Give what the engine knows of every container of the project."""
        label = f"label=com.docker.compose.project={self.name}"
        ids = self._run(["docker", "ps", "-a", "-q", "--filter", label], 30).output.split()
        found: list[dict[str, Any]] = json.loads(
            self._run(["docker", "inspect", *ids], 30).output if ids else "[]"
        )
        return found

    def of(self, service: str) -> list[dict[str, Any]]:
        """Give the containers of one service."""
        key = "com.docker.compose.service"
        return [c for c in self.containers() if c["Config"]["Labels"][key] == service]

    def kill_main_process(self, container: Mapping[str, Any]) -> None:
        """Kill the program of a container from within, as a crash would; the engine restarts it.

        (`docker kill` is a wish of the user, after which nothing is restarted.)
        """
        script = (
            "import os; [os.kill(int(p), 9) for p in os.listdir('/proc') if p.isdigit() and "
            "b'/locust' in open(f'/proc/{p}/cmdline', 'rb').read() and p != '1']"
        )
        self._run(["docker", "exec", str(container["Id"]), "python", "-c", script], 30)

    def wait_for_restart(self, container: Mapping[str, Any], within_s: float = 60.0) -> None:
        """Wait until the engine has started a container once more, and it is healthy."""
        service = str(container["Config"]["Labels"]["com.docker.compose.service"])

        def is_back() -> bool:
            now = next(c for c in self.of(service) if c["Id"] == container["Id"])
            again = now["RestartCount"] == container["RestartCount"] + 1
            return bool(again and now["State"]["Health"]["Status"] == "healthy")

        soon(is_back, within_s, f"{service}, started again and healthy")

    def get(self, port: int, path: str, **parameters: str) -> Any:
        """Fetch JSON from a published port."""
        with requests.Session() as session:
            session.trust_env = False
            answer = session.get(
                f"http://127.0.0.1:{port}{path}", params=parameters, timeout=ANSWER_S
            )
            answer.raise_for_status()
            return answer.json()

    def query(self, expression: str) -> list[float]:
        """Give the values of a Prometheus query now."""
        found = self.get(self.prometheus_port, "/api/v1/query", query=expression)
        return [float(series["value"][1]) for series in found["data"]["result"]]

    def workers(self) -> list[str]:
        """Name the workers that the master counts as ready or at work."""
        stats = self.get(self.web_port, "/stats/requests")
        return [w["id"] for w in stats["workers"] if w["state"] in ("ready", "running", "spawning")]

    def runs(self) -> Path:
        """Take the run folders out of their volume, as the user would; give where they are."""
        path = self.folder / f"runs-{uuid.uuid4().hex}.tar"
        command = ["docker", "compose", "-p", self.name, *self._files]
        with path.open("wb") as archive:
            subprocess.run(
                [*command, "run", "--rm", "-T", "files"],
                cwd=CHECKOUT,
                env=self.environment,
                stdout=archive,
                stderr=subprocess.DEVNULL,
                check=True,
                timeout=60,
            )
        with tarfile.open(path) as opened:
            opened.extractall(self.folder / path.stem, filter="data")
        return self.folder / path.stem / "runs"


def judged(project: Project, *words: str) -> Done:
    """Run headless until the machine was quiet enough for a verdict."""
    for _ in range(ATTEMPTS - 1):
        done = project.ci(*words)
        if done.code != INCONCLUSIVE:
            return done
    return project.ci(*words)


def soon(look: Callable[[], T], within_s: float, what: str) -> T:
    """Look again and again until something true is seen; errors of a look are "not yet"."""
    deadline = time.monotonic() + within_s
    last: object = None
    while time.monotonic() < deadline:
        try:
            seen = look()
            if seen:
                return seen
            last = seen
        except (requests.RequestException, ValueError, KeyError, OSError) as error:
            last = error
        time.sleep(0.5)
    raise AssertionError(f"{what} did not come true within {within_s} s: {last!r}")
