"""Servers that an earlier run left behind: found by the mark they carry, and ended.

Every server the harness starts inherits a mark that names its owner by process id, start time and
process namespace. A run whose harness and guard were both killed leaves its servers; whoever starts
next ends those whose owner is dead. A server without the mark, or whose owner lives, is never
touched, nor is one of another namespace: a machine sees the servers of its containers, but their
owners have other numbers there.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import psutil

MARK = "MEMQUAKE_STARTED_BY"  # another name than that of marks that earlier versions misread
"""Environment variable of every server: `<pid>:<start of that process>:<process namespace>`."""

SERVERS = ("memcached", "toxiproxy", "server")  # what the programs are called, however they came
END_WITHIN_S = 2.0


def mark() -> dict[str, str]:
    """Return the environment that marks a server as this process's own."""
    return {MARK: f"{os.getpid()}:{_start(psutil.Process())}:{_namespace()}"}


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
    """Whether the owner lives, or may live where this process cannot see it."""
    pid, start, namespace = owner.split(":")
    if namespace != _namespace():
        return True
    try:
        found = psutil.Process(int(pid))
        return found.status() != psutil.STATUS_ZOMBIE and _start(found) == start
    except psutil.NoSuchProcess:
        return False


def _start(process: psutil.Process) -> str:
    """Return when a process started, in the kernel's ticks since boot where they can be had.

    What psutil makes of them moves with the wall clock, and a living owner would be taken for dead.
    """
    try:
        stat = Path(f"/proc/{process.pid}/stat").read_bytes()
    except OSError:
        return f"{process.create_time():.2f}"
    # The name in parentheses may hold anything; field 22 counts from after it.
    return stat.rpartition(b")")[2].split()[19].decode()


def _namespace() -> str:
    try:
        return str(os.stat("/proc/self/ns/pid").st_ino)
    except OSError:
        return "0"
