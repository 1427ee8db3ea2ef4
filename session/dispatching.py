"""Mends how Locust's master shares users out when workers come and go in mid-run.

Its dispatcher says that it is busy while it shares users out, and whoever comes or goes in that
time waits for the next occasion. After the users were moved to other workers at their full number
it forgets to say that it is done (`UsersDispatcher._dispatcher` returns early; seen in 2.47.0), and
from then on a worker that joins gets no users, and those of one that leaves are gone for good.
"""

from __future__ import annotations

import functools
from collections.abc import Generator
from typing import Any

from locust.dispatch import UsersDispatcher

_MENDED = "memquake_mended"


def install() -> None:
    """Make every dispatcher say that it is done when it is; safe to call again."""
    original = UsersDispatcher._dispatcher
    if hasattr(original, _MENDED):
        return

    @functools.wraps(original)
    def dispatch(self: Any) -> Generator[Any, None, None]:
        yield from original(self)
        self._dispatch_in_progress = False

    setattr(dispatch, _MENDED, True)
    UsersDispatcher._dispatcher = dispatch  # type: ignore[method-assign]


def spawned_users(runner: Any) -> dict[str, int]:
    """Return how many users of each class there are, over all workers."""
    reported = getattr(runner, "reported_user_classes_count", None)
    return dict(runner.user_classes_count if reported is None else reported)
