"""Files that are either there whole or not there at all, also after a crash."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

READABLE = 0o644
"""Reports are read by others: browsers, CI collectors; a temporary file alone would be private."""


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Yield a file that takes the place of `path` in one step when the block has ended.

    Raises OSError. Whatever is raised, nothing is left behind and `path` stays as it was.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, READABLE)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def write_text(path: Path, text: str) -> None:
    """Put `text` (UTF-8) at `path` in one step. Raises OSError and leaves nothing behind."""
    with replacing(path) as file:
        file.write(text.encode("utf-8", "replace"))
