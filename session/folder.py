"""The folder of a run: its name, its files written atomically, the link to the newest one."""

from __future__ import annotations

import fcntl
import os
import re
import uuid
from datetime import UTC, datetime
from pathlib import Path

LATEST = "latest"
LATEST_SUITE = "latest-suite"


def now_utc() -> str:
    """Give the wall clock as ISO 8601 in UTC, whole seconds: a label, never a measure."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def hold(folder: Path) -> int | None:
    """Take hold of a folder until `let_go`, or until this process is gone, however it goes.

    Give the descriptor, None when another process holds it or nothing can be held there.
    """
    try:
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(held)
        return None
    return held


def let_go(held: int | None) -> None:
    """Let go of what `hold` gave."""
    if held is not None:
        # By name: under gevent a descriptor is closed later, when its hub comes by.
        fcntl.flock(held, fcntl.LOCK_UN)
        os.close(held)


class RunFolder:
    """`<runs-dir>/<UTC time>-<scenario>-<short id>/`, made when the run is prepared.

    That of a suite has a `prefix` and a link of its own.
    """

    def __init__(
        self, runs_dir: Path, scenario: str, *, prefix: str = "", link: str = LATEST
    ) -> None:
        self.id = uuid.uuid4().hex[:6]
        self.started = now_utc()
        stamp = re.sub(r"[-:]", "", self.started)
        safe = re.sub(r"[^A-Za-z0-9._-]+", "-", scenario).strip("-.") or "scenario"
        self.runs_dir = runs_dir
        self.path = runs_dir / f"{prefix}{stamp}-{safe[:60]}-{self.id}"
        self.path.mkdir(parents=True)
        self._link = link
        self._held: int | None = None

    def hold(self) -> None:
        """Show that the run is under way, as long as this process lives."""
        self._held = hold(self.path)

    def let_go(self) -> None:
        """Show that the run has ended; again is fine."""
        held, self._held = self._held, None
        let_go(held)

    def file(self, name: str) -> Path:
        """Give the path of a file of the run."""
        return self.path / name

    def write_text(self, name: str, text: str) -> Path:
        """Write a file whole or not at all."""
        target = self.file(name)
        partial = target.with_name(target.name + ".part")
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, target)
        return target

    def point_latest_here(self) -> None:
        """Let `<runs-dir>/latest` lead here; two runs at once never see half a link.

        Raises OSError where there cannot be such a link, and leaves nothing behind.
        """
        link = self.runs_dir / f".{self._link}-{self.id}"
        link.unlink(missing_ok=True)
        link.symlink_to(self.path.name)
        try:
            os.replace(link, self.runs_dir / self._link)
        except OSError:
            link.unlink(missing_ok=True)
            raise
