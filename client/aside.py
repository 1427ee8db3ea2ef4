"""Work that would keep a batch waiting, done beside it: a greenlet under gevent, else a thread.

Only what cannot go on at once is done here (a connection to open, a place in a full pool to wait
for, a request larger than the socket's buffer), so the usual batch starts none.

Whoever starts work here either joins it or cancels it. Under gevent cancelled work is killed; a
thread cannot be, so it runs to its own deadline and nobody looks at what it brings. Either way the
work itself sees to it that nothing leaks.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

from client.runtime import has_hub_io


class Aside:
    """One piece of work that runs beside its starter. `work` must end by its own deadline."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._error: Exception | None = None
        self._has_begun = False
        self._runner: Any
        if has_hub_io():  # connections belong to the hub they were opened under, so does the work
            self._runner = sys.modules["gevent"].spawn(self._run)
        else:
            self._runner = threading.Thread(target=self._run, daemon=True)
            self._runner.start()

    def join(self) -> None:
        """Wait for the work's end. Raises what it raised: its own errors, not the node's."""
        self._runner.join()
        if self._error is not None:
            raise self._error

    def cancel(self) -> bool:
        """End the work as soon as may be, without waiting; False when it will not even begin."""
        kill = getattr(self._runner, "kill", None)
        if kill is None:
            return True
        kill(block=False)
        return self._has_begun

    def _run(self) -> None:
        self._has_begun = True
        try:
            self._work()
        except Exception as error:  # of the starter's making: it is raised there
            self._error = error


def join_all(works: Iterable[Aside]) -> None:
    """Wait for all. Raises what one of them raised; the others are for the caller to cancel."""
    for work in works:
        work.join()
