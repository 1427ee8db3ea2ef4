"""Words for the terminal that are read to the end, or not: `... | head -5` is no mistake."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


@contextmanager
def while_somebody_reads() -> Iterator[None]:
    """Print what the block prints, and nothing any more once the reader has closed the pipe.

    Only for blocks that do nothing but print: what is left of one is not done.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        send_nowhere(sys.stdout)


def send_nowhere(stream: TextIO) -> None:
    """Let what is written to a stream vanish from now on, what it still holds included.

    That would fail once more when the interpreter ends.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, stream.fileno())
    finally:
        os.close(nowhere)
