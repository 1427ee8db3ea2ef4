"""Servers that an earlier run left behind: found by the mark they carry, and ended.

Every server the harness starts inherits a mark that names its owner by process id and start time.
A run whose harness and guard were both killed leaves its servers; whoever starts next ends those
whose owner is dead. A server without the mark, or whose owner lives, is never touched.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import psutil

MARK = "MEMQUAKE_OWNER"
"""Environment variable of every server: `<pid>:<start time of that process>`."""

SERVERS = ("memcached", "toxiproxy", "server")  # what the programs are called, however they came
END_WITHIN_S = 2.0


def mark() -> dict[str, str]:
    """Give the environment that marks a server as this process's own."""
    me = psutil.Process()
    return {MARK: f"{me.pid}:{me.create_time():.2f}"}


def end_orphans() -> list[str]:
    """End servers whose owner is dead; say which, in one line each."""
    ended = []
    processes = list(_orphans())
    for process in processes:
        with contextlib.suppress(psutil.Error):
            line = f"{process.name()} (pid {process.pid}) of a run that was killed"
            process.kill()
            ended.append(line)
    psutil.wait_procs(processes, timeout=END_WITHIN_S)
    return ended


def _orphans() -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        # A process that is gone, or somebody else's, is none of ours.
        with contextlib.suppress(psutil.Error, OSError, ValueError):
            if process.pid == os.getpid() or not process.name().startswith(SERVERS):
                continue
            owner = process.environ().get(MARK, "")
            if owner and not _lives(owner):
                yield process


def _lives(owner: str) -> bool:
    pid, _, started = owner.partition(":")
    try:
        found = psutil.Process(int(pid))
        return found.status() != psutil.STATUS_ZOMBIE and f"{found.create_time():.2f}" == started
    except psutil.NoSuchProcess:
        return False
