"""Standard output and error that outlive their reader.

A run must end well, heal and write its folder whoever listens. With a stream whose pipe nobody
reads any more, gevent cannot report a greenlet's error, and that error within the error makes its
loop forget every timer that was due at the same moment: a run then waits for ever (gevent 26.9).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, TextIO, cast

from faults.printing import send_nowhere


class Lasting:
    """A text stream that takes everything; when its reader is gone, what is written vanishes.

    Any other error (a full disk, a reader too slow for a pipe that does not block) costs the words
    it met, and later ones may get through again.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write what somebody may still read; the number of characters taken."""
        with self._whatever_happens():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Hand on what was written."""
        with self._whatever_happens():
            self._stream.flush()

    def writelines(self, lines: Any) -> None:
        """Write each line."""
        for line in lines:
            self.write(line)

    @contextlib.contextmanager
    def _whatever_happens(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            with contextlib.suppress(OSError, ValueError):  # it has no file of its own
                send_nowhere(self._stream)
        except OSError:
            pass

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def lasting(stream: TextIO) -> TextIO:
    """Give a stream that outlives its reader; the same again for one that does."""
    return stream if isinstance(stream, Lasting) else cast("TextIO", Lasting(stream))
