"""Streams whose reader is gone: nothing is raised, and nothing is written any more."""

from __future__ import annotations

import os
from io import FileIO
from typing import TextIO

import pytest

from session.streams import Lasting, lasting


def piped() -> tuple[FileIO, TextIO]:
    """Give the reading end of a pipe and a stream to the other one.

    A file object closes at once; gevent's `os.close` waits for the loop's next round.
    """
    reader, writer = os.pipe()
    return FileIO(reader), os.fdopen(writer, "w")


def test_a_reader_gets_every_word() -> None:
    """As long as somebody reads, it is the stream it was."""
    reader, stream = piped()
    kept = lasting(stream)
    assert kept.write("one\n") == 4
    kept.writelines(["two\n", "three\n"])
    kept.flush()
    assert reader.read(100) == b"one\ntwo\nthree\n"
    assert not kept.isatty()
    assert kept.fileno() == stream.fileno()
    stream.close()
    reader.close()


def test_words_for_nobody_vanish() -> None:
    """Neither the first write after the reader has gone nor any later one raises."""
    reader, stream = piped()
    kept = lasting(stream)
    reader.close()
    for _ in range(3):
        kept.write("x" * 100_000)  # more than any buffer holds
        kept.flush()
    stream.close()


def test_the_stream_itself_raises() -> None:
    """What is guarded against is real."""
    reader, stream = piped()
    reader.close()
    stream.write("x")
    with pytest.raises(BrokenPipeError):
        stream.flush()
    lasting(stream).flush()
    stream.close()


def test_once_is_enough() -> None:
    """A wrapped stream is not wrapped again."""
    reader, stream = piped()
    kept = lasting(stream)
    assert isinstance(kept, Lasting)
    assert lasting(kept) is kept
    stream.close()
    reader.close()


def test_a_reader_that_is_only_slow_hears_what_comes_later() -> None:
    """A pipe that is full for a moment is no pipe without a reader."""
    reader, stream = piped()
    os.set_blocking(stream.fileno(), False)
    kept = lasting(stream)
    for _ in range(3):
        kept.write("x" * 100_000)
        kept.flush()
    while len(reader.read(100_000) or b"") == 100_000:
        pass
    kept.write("later\n")
    kept.flush()
    assert reader.read(200_000).endswith(b"later\n")
    stream.close()
    reader.close()
