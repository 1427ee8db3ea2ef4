"""Clients that end or silence the process they live in, seven seconds after they were made.

Each follows the contract `CALLABLE(nodes, settings)` and behaves well until then.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from typing import Any

from tests.e2e.broken_witness import Wrapped

LIVES_S = 7.0
_C = ctypes.PyDLL(None)  # called with the interpreter's lock held, as a careless extension does


class Dies(Wrapped):
    """Has its time."""

    def __init__(self, nodes: Any, settings: Any) -> None:
        super().__init__(nodes, settings)
        self._ends_at = time.monotonic() + LIVES_S

    def get(self, key: str, default: Any = None) -> Any:
        if time.monotonic() > self._ends_at:
            self.end()
        return self.inner.get(key, default)

    def end(self) -> None:
        raise NotImplementedError


class aborts(Dies):  # noqa: N801 - a factory, named like one
    """Calls a library that gives up."""

    def end(self) -> None:
        _C.abort()


class crashes(Dies):  # noqa: N801
    """Calls a library that reads where nothing is."""

    def end(self) -> None:
        ctypes.string_at(0)


class exits(Dies):  # noqa: N801
    """Ends the process, and says that all was well."""

    def end(self) -> None:
        os._exit(0)


class kills_itself(Dies):  # noqa: N801
    """Sends itself a signal that nobody can catch."""

    def end(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class falls_silent(Dies):  # noqa: N801
    """Waits in a library that lets nothing else run, for longer than any run lasts."""

    def end(self) -> None:
        _C.sleep(60)
