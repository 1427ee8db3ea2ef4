"""timeline.jsonl: the whole run on disk, a line of JSON per second.

Its rule: what is written can be read at any moment. A line is appended in one write as soon as its
second is complete, so a crash costs at most the newest seconds. Records that come later than that
are in the file after `close`, which replaces it in one step. Seconds the timeline no longer keeps
one by one stay as they were written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Protocol

from telemetry.line import to_line
from telemetry.window import Window


class Windows(Protocol):
    """What the writer needs of a timeline."""

    @property
    def latest(self) -> int:
        """Newest second that holds anything."""

    @property
    def first_full_second(self) -> int:
        """First second that still has a window of its own."""

    def is_complete(self, second: int, now_s: float | None = None) -> bool:
        """Whether the second may be written."""

    def window(self, second: int) -> Window:
        """Give the window of the second."""


def _line(window: Window) -> str:
    return json.dumps(to_line(window), separators=(",", ":")) + "\n"


def read_lines(path: Path | str) -> Iterator[dict[str, Any]]:
    """Give the lines of a timeline.jsonl, leaving out a last one that a crash cut off."""
    with open(path, encoding="utf-8") as file:
        for text in file:
            if not text.endswith("\n"):
                return
            yield json.loads(text)


class TimelineWriter:
    """Appends complete seconds of `timeline` to the file at `path`, which it creates."""

    def __init__(self, path: Path | str, timeline: Windows) -> None:
        self._path = Path(path)
        self._timeline = timeline
        self._next = 0
        # Unbuffered: each line is one write, seen by readers and safe from a crash at once.
        self._file: IO[bytes] | None = open(  # noqa: SIM115 - open as long as the run
            self._path, "ab", buffering=0
        )

    def write_complete(self, now_s: float | None = None) -> int:
        """Append every second that is complete and not yet written. Give how many."""
        written = 0
        while self._next <= self._timeline.latest and self._timeline.is_complete(self._next, now_s):
            self._append(self._next)
            written += 1
        return written

    def _append(self, second: int) -> None:
        if self._file is not None:
            self._file.write(_line(self._timeline.window(second)).encode())
        self._next = second + 1

    def close(self) -> None:
        """Replace the file by one that also holds what came late, and end. Safe to repeat.

        Raises OSError where it cannot be written; what was appended until then stays.
        """
        if self._file is None:
            return
        self._file.close()
        self._file = None
        beside = self._path.with_name(self._path.name + ".new")
        try:
            with open(beside, "w", encoding="utf-8") as file:
                file.writelines(self._final_lines())
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, self._path)
        except OSError:
            # What was appended stays; on a full disk the verdict needs the room.
            beside.unlink(missing_ok=True)
            raise

    def _final_lines(self) -> Iterator[str]:
        """Give kept lines of seconds that were merged since, then all others as they are now."""
        first = self._timeline.first_full_second
        if first:
            for line in read_lines(self._path):
                if line["t"] < first:
                    yield json.dumps(line, separators=(",", ":")) + "\n"
        for second in range(first, self._timeline.latest + 1):
            yield _line(self._timeline.window(second))
