"""What may have been meant by a word that is not known. Imports nothing of memquake."""

from __future__ import annotations

import difflib
from collections.abc import Collection


def nearest(word: str, known: Collection[str]) -> str:
    """Return `nearest: a, b`, or all that is known where nothing is near."""
    near = difflib.get_close_matches(word.lower(), sorted(known), n=3, cutoff=0.5)
    return f"nearest: {', '.join(near)}" if near else f"there are: {', '.join(sorted(known))}"
