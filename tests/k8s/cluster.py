"""The cluster of the current kubectl context, used in namespaces of the tests' own.

Everything goes through kubectl, as a user would do it. A namespace is made by applying an overlay
of `k8s/` under a name that nobody else has, and is gone at the end of its block.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from memquake.paths import CHECKOUT

OVERLAYS = CHECKOUT / "k8s" / "overlays"
PROMETHEUS = "prom/prometheus:v2.53.0"
IMAGES = ("memquake:dev", "memcached:1.6", "ghcr.io/shopify/toxiproxy:2.12.0", PROMETHEUS)
LOAD_WITHIN_S = 300.0
GONE_WITHIN_S = 180.0
POLL_S = 1.0

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a command came to."""

    code: int
    output: str  # both streams, in the order they came

    def __str__(self) -> str:
        return f"exit code {self.code}\n{self.output[-6000:]}"


def run(*command: str, limit_s: float = 60.0, text: str | None = None) -> Done:
    """Run a command to its end; AssertionError when it takes longer than `limit_s`."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command,
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL if text is None else subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            process.communicate(None if text is None else text.encode(), timeout=limit_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
            raise AssertionError(f"{shlex.join(command)} did not end in {limit_s} s") from None
        output.seek(0)
        return Done(code=process.returncode, output=output.read().decode(errors="replace"))


def kubectl(*words: str, limit_s: float = 60.0, text: str | None = None) -> Done:
    """Run kubectl."""
    return run("kubectl", *words, limit_s=limit_s, text=text)


def prepare() -> None:
    """See that a cluster answers, and bring the images onto it where `make` was told how."""
    assert shutil.which("kubectl"), "no kubectl found: install it, and give it a cluster"
    nodes = kubectl("get", "nodes", "-o", "name", limit_s=30)
    assert nodes.code == 0, (
        f"kubectl reaches no cluster: start one, such as `kind create cluster` "
        f"({(nodes.output.strip().splitlines() or ['no word from it'])[-1]})"
    )
    loader = shlex.split(os.environ.get("MEMQUAKE_LOAD", ""))
    for image in IMAGES if loader else ():
        done = run(*loader, image, limit_s=LOAD_WITHIN_S)
        assert done.code == 0, f"{shlex.join(loader)} {image}: {done}"


class Namespace:
    """One overlay, applied under a name of its own."""

    def __init__(self, overlay: str, folder: Path) -> None:
        self.name = f"memquake-test-{uuid.uuid4().hex[:6]}"
        self.overlay = overlay
        self.folder = folder / self.name

    def write(self, settings: Mapping[str, str]) -> None:
        """Write a kustomization over the overlay, as a user's own would be."""
        self.folder.mkdir(exist_ok=True)
        lines = [f"      - {name}={value}" for name, value in settings.items()]
        more = ["    literals:", *lines] if lines else ["    literals: []"]
        text = [
            "apiVersion: kustomize.config.k8s.io/v1beta1",
            "kind: Kustomization",
            f"namespace: {self.name}",
            f"resources: [{os.path.relpath(OVERLAYS / self.overlay, self.folder)}]",
            "configMapGenerator:",
            "  - name: settings",
            "    namespace: memquake",
            "    behavior: merge",
            *more,
        ]
        (self.folder / "kustomization.yaml").write_text("\n".join(text) + "\n")

    def apply(self) -> Done:
        """Apply what was written; AssertionError when the API server refuses any of it."""
        done = kubectl("apply", "-k", str(self.folder))
        assert done.code == 0, done
        assert "Warning" not in done.output, done
        return done

    def kubectl(self, *words: str, limit_s: float = 60.0, text: str | None = None) -> Done:
        """Run kubectl in this namespace."""
        return kubectl("-n", self.name, *words, limit_s=limit_s, text=text)

    def get(self, *words: str) -> Any:
        """Give what `kubectl get` says, as JSON."""
        done = self.kubectl("get", *words, "-o", "json")
        assert done.code == 0, done
        return json.loads(done.output)

    def roll_out(self, *what: str, limit_s: float = 180.0) -> None:
        """Wait until all replicas are ready."""
        for each in what:
            done = self.kubectl(
                "rollout", "status", each, f"--timeout={limit_s:g}s", limit_s=limit_s + 10
            )
            assert done.code == 0, f"{done}\n{self.story()}"

    def story(self) -> str:
        """Give what there is to see of the namespace, for a failure's message."""
        parts = [
            self.kubectl("get", "pods,jobs", "-o", "wide").output,
            self.kubectl("get", "events", "--sort-by=.lastTimestamp").output[-4000:],
            self.kubectl("logs", "-l", "app.kubernetes.io/name=master", "--tail=40").output,
        ]
        return "\n".join(parts)

    def delete(self) -> None:
        """Take everything away and wait until it is gone."""
        done = kubectl(
            "delete", "namespace", self.name, "--ignore-not-found", limit_s=GONE_WITHIN_S
        )
        assert done.code == 0, done
        assert kubectl("get", "namespace", self.name).code != 0, f"{self.name} is still there"


@contextmanager
def applied(overlay: str, folder: Path, settings: Mapping[str, str]) -> Iterator[Namespace]:
    """Apply an overlay with settings, and take it away at the end, however that comes."""
    namespace = Namespace(overlay, folder)
    namespace.write(settings)
    try:
        namespace.apply()
        yield namespace
    finally:
        namespace.delete()


@contextmanager
def forwarded(namespace: str, what: str, port: int) -> Iterator[str]:
    """Forward a free port of loopback to a port of a pod, as a user would; give its http URL."""
    command = ["kubectl", "-n", namespace, "port-forward", what, f":{port}"]
    process = subprocess.Popen(
        command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        there = re.match(r"Forwarding from (127\.0\.0\.1:\d+) ", line)
        assert there, line
        yield f"http://{there[1]}"
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()


def soon(look: Callable[[], T], within_s: float, what: str) -> T:
    """Look again and again until something true is seen."""
    deadline = time.monotonic() + within_s
    while not (seen := look()):
        assert time.monotonic() < deadline, (
            f"{what} did not come true within {within_s} s: {seen!r}"
        )
        time.sleep(POLL_S)
    return seen
