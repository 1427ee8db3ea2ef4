"""Standard output and error that outlive their reader.

A run must end well, heal and write its folder whoever listens. With a stream whose pipe nobody
reads any more, gevent cannot report a greenlet's error, and that error within the error makes its
loop forget every timer that was due at the same moment: a run then waits for ever (gevent 26.9).
"""

from __future__ import annotations

import contextlib
from typing import Any, TextIO, cast

from faults.printing import send_nowhere


class Lasting:
    """A text stream that takes everything; when its reader is gone, what is written vanishes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write what somebody may still read; the number of characters taken."""
        try:
            return self._stream.write(text)
        except OSError:
            self._lose()
            return len(text)

    def flush(self) -> None:
        """Hand on what was written."""
        try:
            self._stream.flush()
        except OSError:
            self._lose()

    def writelines(self, lines: Any) -> None:
        """Write each line."""
        for line in lines:
            self.write(line)

    def _lose(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # a stream without a file has no reader
            send_nowhere(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def lasting(stream: TextIO) -> TextIO:
    """Give a stream that outlives its reader; the same again for one that does."""
    return stream if isinstance(stream, Lasting) else cast("TextIO", Lasting(stream))
