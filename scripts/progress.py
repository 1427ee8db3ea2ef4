"""What a set-up says while it works, and what it leaves behind when it cannot go on.

One line on standard output for each step that really does something, everything that a tool
prints into the log, and one error line that names the way out. This module knows no step.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

LOG_TAIL_LINES = 15  # enough for pip's and go's last error with its context


class SetupError(Exception):
    """A step that cannot be done; its text is one line that says what to do instead."""


class CommandError(Exception):
    """A command that failed; its text is the last thing the command said."""


class Log:
    """The log of one set-up, and the voice of it on the terminal."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.used = False

    def say(self, text: str) -> None:
        """Print a progress line and note it in the log."""
        sys.stdout.write(f"setup: {text}\n")
        sys.stdout.flush()
        self.note(f"== {text}")

    def note(self, text: str) -> None:
        """Append a line to the log, starting the log afresh at the first one."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a" if self.used else "w", encoding="utf-8") as log:
            log.write(f"{time.strftime('%H:%M:%S')} {text}\n")
        self.used = True

    def tail(self) -> str:
        """Give the last lines of the log, empty when nothing was written in this set-up."""
        if not self.used:
            return ""
        lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-LOG_TAIL_LINES:])

    def run(
        self,
        command: Sequence[str | Path],
        *,
        timeout_s: float,
        env: Mapping[str, str] | None = None,
        stdin: int | None = subprocess.DEVNULL,
    ) -> None:
        """Run a command with its output in the log. Raises CommandError when it fails."""
        words = [str(word) for word in command]
        self.note("$ " + " ".join(words))
        with self.path.open("ab") as log:
            start = log.tell()
            try:
                code = subprocess.run(
                    words,
                    stdin=stdin,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=env,
                    timeout=timeout_s,
                    check=False,
                ).returncode
            except subprocess.TimeoutExpired as error:
                raise CommandError(f"{words[0]} did not end within {timeout_s:.0f} s") from error
            except OSError as error:
                raise CommandError(f"{words[0]}: {error.strerror}") from error
        if code != 0:
            said = self.path.read_bytes()[start:].decode(errors="replace").strip().splitlines()
            raise CommandError(said[-1].strip() if said else f"{words[0]} exited with {code}")
