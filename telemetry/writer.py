"""timeline.jsonl: the whole run on disk, a line of JSON per second.

Its rule: what is written can be read at any moment. A line is appended in one write as soon as its
second is complete, so a crash costs at most the newest seconds. Records that come later than that
are in the file after `close`, which replaces it in one step. In a long run the oldest lines move
into compressed pieces beside it (timeline-0000.jsonl.xz, ...), a little at each turn, so that
nothing waits for a compressor; `read_series` reads all of it as one.
"""

from __future__ import annotations

import json
import lzma
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Protocol

from telemetry.line import to_line
from telemetry.window import Window

PIECE_BYTES = 8 << 20
"""Of plain lines, before they are compressed: 80 minutes with three nodes."""

STEP_BYTES = 256 << 10
"""Compressed at each turn, that is once a second: some 3 ms of one core."""

FILTERS = ({"id": lzma.FILTER_LZMA2, "preset": 1, "dict_size": 256 << 10},)
"""Of xz: a quarter smaller than gzip at half its time. A second's line is like those just before
it: a larger dictionary saves nothing and takes six megabytes more while a piece is compressed."""


class Windows(Protocol):
    """What the writer needs of a timeline."""

    @property
    def latest(self) -> int:
        """Newest second that holds anything."""

    def is_complete(self, second: int, now_s: float | None = None) -> bool:
        """Whether the second may be written."""

    def is_folded(self, second: int) -> bool:
        """Whether the second is no longer known for itself."""

    def window(self, second: int) -> Window:
        """Give the window of the second."""


def _line(window: Window) -> str:
    return json.dumps(to_line(window), separators=(",", ":")) + "\n"


def _whole_lines(file: IO[str]) -> Iterator[dict[str, Any]]:
    for text in file:
        if not text.endswith("\n"):
            return
        yield json.loads(text)


def read_lines(path: Path | str) -> Iterator[dict[str, Any]]:
    """Give the lines of a timeline.jsonl, leaving out a last one that a crash cut off."""
    with open(path, encoding="utf-8") as file:
        yield from _whole_lines(file)


def read_series(path: Path) -> Iterator[dict[str, Any]]:
    """Return the lines of a whole run: those of the pieces beside a timeline.jsonl, then its own.

    Raises OSError where the file, or a piece, cannot be read.
    """
    compressed = pieces_of(path)
    for piece in compressed:
        with lzma.open(piece, "rt", encoding="utf-8") as file:
            yield from _whole_lines(file)
    for piece in sorted(path.parent.glob(f"{path.stem}-[0-9]*.jsonl")):  # of a run that was killed
        if piece.with_name(piece.name + ".xz") not in compressed:
            yield from read_lines(piece)
    yield from read_lines(path)


def pieces_of(path: Path) -> list[Path]:
    """Return the compressed pieces beside a timeline.jsonl, in order of time."""
    return sorted(path.parent.glob(f"{path.stem}-[0-9]*.jsonl.xz"))


class _Compressor:
    """Compresses a file into one beside it, step by step, and removes it at the end."""

    def __init__(self, plain: Path) -> None:
        self._plain = plain
        self._part = plain.with_name(plain.name + ".xz.part")
        self._source: IO[bytes] = plain.open("rb")
        self._sink = lzma.LZMAFile(  # noqa: SIM115 - open until the last step
            self._part, "wb", filters=FILTERS
        )

    def step(self) -> bool:
        """Compress a little; False when all is done. Raises OSError."""
        chunk = self._source.read(STEP_BYTES)
        if chunk:
            self._sink.write(chunk)
            return True
        self._source.close()
        self._sink.close()
        os.replace(self._part, self._plain.with_name(self._plain.name + ".xz"))
        self._plain.unlink()
        return False

    def give_up(self) -> None:
        """Leave the plain file as it is."""
        self._source.close()
        self._sink.close()
        self._part.unlink(missing_ok=True)


class TimelineWriter:
    """Appends complete seconds of `timeline` to the file at `path`, which it creates."""

    def __init__(
        self, path: Path | str, timeline: Windows, *, piece_bytes: int = PIECE_BYTES
    ) -> None:
        self._path = Path(path)
        self._timeline = timeline
        self._piece_bytes = piece_bytes
        self._next = 0
        self._size = 0
        self._pieces = 0
        self._compressor: _Compressor | None = None
        self._file: IO[bytes] | None = self._opened()

    def _opened(self) -> IO[bytes]:
        # Unbuffered: each line is one write, seen by readers and safe from a crash at once.
        return open(self._path, "ab", buffering=0)

    def write_complete(self, now_s: float | None = None) -> int:
        """Append every second that is complete and not yet written. Give how many."""
        written = 0
        while self._next <= self._timeline.latest and self._timeline.is_complete(self._next, now_s):
            self._append(self._next)
            written += 1
        self._compress()
        return written

    def _append(self, second: int) -> None:
        if self._file is not None:
            line = _line(self._timeline.window(second)).encode()
            self._file.write(line)
            self._size += len(line)
        self._next = second + 1

    def _compress(self) -> None:
        """Go on with the oldest lines; begin a new piece where there are enough of them."""
        if self._compressor is not None:
            if not self._compressor.step():
                self._compressor = None
        elif self._file is not None and self._size >= self._piece_bytes:
            self._file.close()
            piece = self._path.with_name(f"{self._path.stem}-{self._pieces:04d}.jsonl")
            os.replace(self._path, piece)
            self._pieces, self._size = self._pieces + 1, 0
            self._compressor = _Compressor(piece)
            self._file = self._opened()

    def close(self) -> None:
        """Replace the file by one that also holds what came late, and end. Safe to repeat.

        Raises OSError where it cannot be written; what was appended until then stays.
        """
        if self._file is None:
            return
        self._file.close()
        self._file = None
        compressor, self._compressor = self._compressor, None
        beside = self._path.with_name(self._path.name + ".new")
        try:
            while compressor is not None and compressor.step():
                pass
            with open(beside, "w", encoding="utf-8") as file:
                file.writelines(self._final_lines())
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, self._path)
        except OSError:
            # What was appended stays; on a full disk the verdict needs the room.
            beside.unlink(missing_ok=True)
            if compressor is not None:
                compressor.give_up()
            raise

    def _final_lines(self) -> Iterator[str]:
        """Return the lines of this file: as written where seconds were folded, else as now."""
        for line in read_lines(self._path):
            if self._timeline.is_folded(line["t"]):
                yield json.dumps(line, separators=(",", ":")) + "\n"
            else:
                yield _line(self._timeline.window(line["t"]))
        for second in range(self._next, self._timeline.latest + 1):
            yield _line(self._timeline.window(second))
