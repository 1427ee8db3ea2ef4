"""The virtual environment in `.venv`: made once, brought up to date when a requirement changes.

A stamp inside `.venv`, written last, says which requirements are installed, by which Python and
for which folder (an environment cannot be moved). While packages are being installed a marker
stands beside it: an environment in which an install was cut off is not mended but made anew,
because pip takes a half-written package for an installed one.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path

from scripts.progress import CommandError, Log, SetupError

INSTALL_TIMEOUT_S = 900.0  # all wheels over a slow line
REQUIREMENTS = {"runtime": "requirements.txt", "dev": "requirements-dev.txt"}
INPUTS = ("requirements.txt", "requirements-dev.txt", "constraints.txt")


class PythonEnv:
    """The `.venv` of one checkout."""

    def __init__(self, root: Path, log: Log) -> None:
        self.root = root
        self.log = log
        self.folder = root / ".venv"
        self.python = self.folder / "bin" / "python"
        self.marker = self.folder / ".installing"

    def ensure(self, level: str) -> None:
        """Install what `level` ("runtime" or "dev") needs unless it is there. Raises SetupError."""
        if self.is_current(level):
            return
        if self.folder.is_symlink():
            # `venv --clear` would follow it, and empty the environment of another checkout.
            raise SetupError(
                f".venv is a link to {self.folder.readlink()}, which the set-up leaves alone: "
                "delete the link, then run make again"
            )
        requirements = self.requirements_of(level)
        try:
            if not self.is_usable():
                self.log.say("making the virtual environment .venv ...")
                self.log.run(
                    [sys.executable, "-m", "venv", "--clear", self.folder],
                    timeout_s=INSTALL_TIMEOUT_S,
                )
                write_atomically(self.folder / "memquake.json", json.dumps(self.identity()))
            self.log.say(f"installing Python packages ({requirements.name}) into .venv ...")
            self.install(requirements)
        except CommandError as error:
            raise SetupError(
                f"Python packages could not be installed ({error}): check the network and pip's "
                f"index, then run make again"
            ) from error
        self.point_to_checkout()
        # The dev requirements contain the runtime ones, so one install can settle both.
        for done in ("runtime", "dev") if level == "dev" else ("runtime",):
            write_atomically(self.stamp(done), self.fingerprint(self.requirements_of(done)))

    def install(self, requirements: Path) -> None:
        """Let pip install, with a marker standing while it does."""
        self.marker.touch()
        options = ["--quiet", "--no-input", "--disable-pip-version-check"]
        self.log.run(
            [self.python, "-m", "pip", "install", *options, "-r", requirements],
            timeout_s=INSTALL_TIMEOUT_S,
            env=clean_environment(),
        )
        self.marker.unlink()

    def is_usable(self) -> bool:
        """Whether packages may be added to the environment that is there."""
        try:
            identity = json.loads((self.folder / "memquake.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        same = identity == self.identity()
        return same and not self.marker.exists() and self.python.exists()

    def is_current(self, level: str) -> bool:
        """Whether everything of a level is installed already."""
        try:
            stamped = self.stamp(level).read_text(encoding="utf-8")
        except OSError:
            return False
        wanted = self.fingerprint(self.requirements_of(level))
        return stamped == wanted and self.is_usable() and self.path_file.exists()

    def point_to_checkout(self) -> None:
        """Put the checkout on the path of the environment's Python, behind everything else."""
        write_atomically(self.path_file, f"{self.root}\n")

    @property
    def path_file(self) -> Path:
        """Return the file by which the environment's Python finds `-m memquake` from any folder."""
        version = f"python{self.identity()['python']}"
        return self.folder / "lib" / version / "site-packages" / "memquake.pth"

    def requirements_of(self, level: str) -> Path:
        """Give the requirements file of a level."""
        return self.root / REQUIREMENTS[level]

    def stamp(self, level: str) -> Path:
        """Give the file that says a level is complete."""
        return self.folder / f".complete-{level}"

    def identity(self) -> dict[str, str]:
        """Say what an environment depends on besides packages."""
        return {
            "folder": str(self.folder),
            "python": f"{sys.version_info[0]}.{sys.version_info[1]}",
        }

    def fingerprint(self, requirements: Path) -> str:
        """Hash the requirements of a level together with the files they refer to."""
        digest = hashlib.sha256(requirements.name.encode())
        for name in INPUTS if requirements.name == "requirements-dev.txt" else INPUTS[::2]:
            digest.update((self.root / name).read_bytes())
        return digest.hexdigest()


def clean_environment() -> dict[str, str]:
    """Give this process's environment without what would send pip elsewhere than `.venv`."""
    unwanted = {"PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_PREFIX", "PIP_USER", "VIRTUAL_ENV"}
    return {name: value for name, value in os.environ.items() if name not in unwanted}


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that it is either the old one or the complete new one."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)
