"""Programs that the harness starts, without a copy of this process on the way.

gevent's subprocess forks in Python. Such a copy ends the state of every thread but its own, and
what only those threads held is destroyed in it before the program begins: a client in C that says
goodbye when it is destroyed (libmemcached sends `quit`) closes the connections of this process. So
the standard library's own module is used, a second copy of it that gevent has not patched: there C
forks, and no Python runs before the program does. Knows no program.
"""

from __future__ import annotations

import importlib.util
import selectors
import subprocess
from typing import TYPE_CHECKING, Any

from gevent import get_hub
from gevent.monkey import get_original, is_module_patched


class _PlainOs:
    """The module os as it was: gevent's `close` waits for the hub, and C waits for the close."""

    def __getattr__(self, name: str) -> Any:
        return get_original("os", name)


def _unpatched() -> Any:
    """Return subprocess with its own Popen, whose waiting lets other greenlets run."""
    spec = importlib.util.find_spec("subprocess")
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.os = _PlainOs()
    module._PopenSelector = selectors.DefaultSelector

    class Watched(module.Popen):  # type: ignore[misc]
        """One whose exit code is known although gevent's loop reaps every child there is."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            loop = get_hub().loop
            loop.install_sigchld()
            self._watcher: Any = None
            super().__init__(*args, **kwargs)
            self._watcher = loop.child(self.pid, ref=False)
            self._watcher.start(lambda: self._handle_exitstatus(self._watcher.rstatus))

        def _handle_exitstatus(self, status: int, *args: Any, **kwargs: Any) -> None:
            super()._handle_exitstatus(status, *args, **kwargs)
            if self._watcher is not None:
                self._watcher.stop()

    module.Popen = Watched
    return module


if TYPE_CHECKING:
    from subprocess import DEVNULL, Popen, TimeoutExpired, run
else:
    _subprocess = _unpatched() if is_module_patched("subprocess") else subprocess
    DEVNULL, Popen, TimeoutExpired, run = (
        getattr(_subprocess, name) for name in ("DEVNULL", "Popen", "TimeoutExpired", "run")
    )

__all__ = ["DEVNULL", "Popen", "TimeoutExpired", "run"]
