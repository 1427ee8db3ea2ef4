"""One server process started by the harness: spawn it, watch it, end it.

Each child leads a session of its own, so that a Ctrl-C in the terminal reaches the harness alone
and the harness ends its servers in order. A child is known to the keeper (the guard) from the
moment it lives until it was reaped. What it says goes to an unnamed file that is kept small; its
last line explains a child that died. Knows neither memcached nor Toxiproxy.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import IO, Protocol

import psutil

from cluster import spawning
from cluster.errors import ClusterError
from cluster.orphans import mark

LOG_LIMIT_BYTES = 64 * 1024
TERM_GRACE_S = 0.3  # memcached takes up to 1 s to hear it, and keeps nothing worth the wait
KILL_WAIT_S = 2.0


class Keeper(Protocol):
    """Who ends the children when this process cannot (the guard)."""

    def child(self, pid: int) -> None:
        """Take note of a child that must not outlive this process."""

    def forget_child(self, pid: int) -> None:
        """Drop a child that has ended."""


class Child:
    """A server process. Times in seconds; every wait is bounded."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        keeper: Keeper | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.argv = tuple(argv)
        self._keeper = keeper
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 lives as long as the child
        flags = fcntl.fcntl(self._log, fcntl.F_GETFL)
        # Appending, so that cutting the file short makes the child go on at its new end.
        fcntl.fcntl(self._log, fcntl.F_SETFL, flags | os.O_APPEND)
        try:
            self._popen = spawning.Popen(
                self.argv,
                stdin=spawning.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                start_new_session=True,
                cwd="/",
                env={**os.environ, **mark(), **(env or {})},
            )
        except OSError as why:
            self._log.close()
            raise ClusterError(f"cannot start {argv[0]}: {why.strerror or why}") from None
        self.pid = self._popen.pid
        if keeper is not None:
            keeper.child(self.pid)

    def __repr__(self) -> str:
        state = "running" if self.alive() else f"ended {self._popen.returncode}"
        return f"<Child {os.path.basename(self.argv[0])} pid {self.pid} {state}>"

    def alive(self) -> bool:
        """Tell whether it runs; a dead one is reaped by asking."""
        if self._popen.poll() is None:
            return True
        self._forget()
        return False

    def stopped(self) -> bool:
        """Tell whether it is alive but halted by SIGSTOP."""
        try:
            return self.alive() and psutil.Process(self.pid).status() == psutil.STATUS_STOPPED
        except psutil.Error:
            return False

    def listens_on(self, port: int) -> bool:
        """Tell whether this very process, and no other, listens on a TCP port."""
        try:
            sockets = psutil.Process(self.pid).net_connections(kind="tcp")
        except psutil.Error:
            return False
        return any(s.status == psutil.CONN_LISTEN and s.laddr.port == port for s in sockets)

    def signal(self, number: int) -> None:
        """Send a signal, if it still lives. Popen never signals a pid it has reaped."""
        with contextlib.suppress(ProcessLookupError):
            self._popen.send_signal(number)

    def kill(self) -> None:
        """End it at once, as a crash would, and reap it."""
        self.signal(signal.SIGKILL)
        self._wait(KILL_WAIT_S)

    def stop(self) -> None:
        """End it: politely, then not."""
        stop_all([self])

    def last_words(self) -> str:
        """Give the last line it wrote, or its exit code where it wrote none; keep the log small."""
        with contextlib.suppress(ValueError, OSError):
            size = os.fstat(self._log.fileno()).st_size
            tail = os.pread(self._log.fileno(), 2048, max(0, size - 2048))
            lines = tail.decode("utf-8", "replace").strip().splitlines()
            if lines:
                return lines[-1][:200]
        code = self._popen.poll()
        return "no word from it" if code is None else f"it ended with code {code}"

    def trim_log(self) -> None:
        """Cut the log when it has grown over its limit."""
        with contextlib.suppress(ValueError, OSError):
            if os.fstat(self._log.fileno()).st_size > LOG_LIMIT_BYTES:
                os.ftruncate(self._log.fileno(), 0)

    def ask_to_end(self) -> None:
        """Send SIGTERM; a halted one is woken to hear it."""
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)

    def end_by(self, moment: float) -> None:
        """Wait for its end until a moment of the monotonic clock, then kill it."""
        if not self._wait(max(0.0, moment - time.monotonic())):
            self.kill()
        self._log.close()

    def _wait(self, timeout_s: float) -> bool:
        # Polled, not waited for: under gevent another greenlet may be the one that reaps it.
        deadline = time.monotonic() + timeout_s
        while self._popen.poll() is None:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.005)
        self._forget()
        return True

    def _forget(self) -> None:
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.forget_child(self.pid)


def stop_all(children: Sequence[Child]) -> None:
    """End several children: all are asked before any is waited for."""
    for child in children:
        child.ask_to_end()
    moment = time.monotonic() + TERM_GRACE_S
    for child in children:
        child.end_by(moment)
