"""A bare container of Debian with the checkout in it; gone at the end.

The image and the engine are whatever `docker` on PATH has. What README asks of a machine (Python,
git, make) is installed first, by its package manager; all the rest is what is under test.
"""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path

from memquake.paths import CHECKOUT

IMAGE = "debian:bookworm-slim"
PREREQUISITES = "python3 git make"
FOLDER = "/srv/with a space/memquake"
USER = "tester"
INSTALL_WITHIN_S = 300.0


@dataclass(frozen=True, kw_only=True, repr=False)
class Done:
    """What a command came to."""

    code: int
    output: str  # both streams, in the order they came

    @property
    def lines(self) -> list[str]:
        """The lines of both streams."""
        return self.output.splitlines()

    def __repr__(self) -> str:
        return f"exit code {self.code}\n{self.output[-6000:]}"


class Container:
    """One container. Every command is bounded."""

    def __init__(self, *options: str) -> None:
        assert shutil.which("docker"), "no docker found: install Docker Engine"
        self.name = f"memquake-setup-{uuid.uuid4().hex[:8]}"
        self._docker("run", "-d", "--init", *options, "--name", self.name, IMAGE, "sleep", "1d")
        self.install(PREREQUISITES)
        self._docker("exec", self.name, "useradd", "--create-home", USER)

    def remove(self) -> None:
        """Take the container away, with whatever still runs in it."""
        self._docker("rm", "-f", self.name)

    def install(self, packages: str) -> None:
        """Install packages as the administrator of the machine would."""
        command = f"apt-get update && apt-get install -y --no-install-recommends {packages}"
        done = self.run(command, folder="/", limit_s=INSTALL_WITHIN_S)
        assert done.code == 0, str(done)

    def forbid(self, package: str) -> None:
        """Let the package manager have no candidate for a package."""
        path = f"/etc/apt/preferences.d/no-{package}"
        pin = f"Package: {package}\\nPin: release *\\nPin-Priority: -1\\n"
        assert self.run(f"printf '{pin}' > {path}", folder="/").code == 0

    def copy_checkout(self, *, owner: str = "root", folder: str = FOLDER) -> None:
        """Copy what git would have in a clone, with what is not yet committed."""
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=CHECKOUT,
            capture_output=True,
            check=True,
        )
        names = [name for name in listed.stdout.decode().split("\0") if name]
        with tempfile.TemporaryFile() as archive:
            with tarfile.open(fileobj=archive, mode="w") as tar:
                for name in names:
                    if (path := CHECKOUT / name).is_file() and not path.is_symlink():
                        tar.add(path, name)
            archive.seek(0)
            assert self.run(f"mkdir -p '{folder}'", folder="/").code == 0
            self._docker("cp", "-", f"{self.name}:{folder}", stdin=archive.fileno())
        assert self.run(f"chown -R {owner}: '{folder}'", folder="/").code == 0

    def copy_program(self, source: Container, path: str) -> None:
        """Put a program of another container's checkout where all find it."""
        with tempfile.TemporaryDirectory() as folder:
            kept = Path(folder) / Path(path).name
            self._docker("cp", f"{source.name}:{path}", str(kept))
            self._docker("cp", str(kept), f"{self.name}:/usr/local/bin/")

    def run(
        self, command: str, *, user: str = "root", folder: str = FOLDER, limit_s: float = 60.0
    ) -> Done:
        """Run a line of shell in the container, to its end."""
        home = "/root" if user == "root" else f"/home/{user}"
        words = ["docker", "exec", "-u", user, "-e", f"HOME={home}", "-w", folder, self.name]
        with tempfile.TemporaryFile() as output:
            try:
                done = subprocess.run(
                    [*words, "timeout", "-k", "10", f"{limit_s:g}", "sh", "-c", command],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    timeout=limit_s + 20,
                    check=False,
                )
            finally:
                output.seek(0)
                said = output.read().decode(errors="replace")
        return Done(code=done.returncode, output=said)

    def _docker(self, *words: str, stdin: int = subprocess.DEVNULL) -> None:
        done = subprocess.run(
            ["docker", *words],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=INSTALL_WITHIN_S,
            check=False,
        )
        said = done.stdout.decode(errors="replace").strip()
        assert done.returncode == 0, f"docker {' '.join(words)}: {said}"
