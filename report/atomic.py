"""Files that are either there whole or not there at all, also after a crash."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

READABLE = 0o644
"""Reports are read by others: browsers, CI collectors; a temporary file alone would be private."""


def write_text(path: Path, text: str) -> None:
    """Put `text` (UTF-8) at `path` in one step. Raises OSError and leaves nothing behind."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, READABLE)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
