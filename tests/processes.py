"""Finds the processes that a test or a run has started, however far they detached themselves.

Children inherit the environment: whoever carries a marker variable belongs to it, whatever its
parent, session or process group is by now.
"""

from __future__ import annotations

import os

import psutil


def marked(name: str, value: str) -> list[psutil.Process]:
    """Give the living processes, other than this one, that inherited a marker variable."""
    found = []
    for process in psutil.process_iter():
        try:
            if (
                process.pid != os.getpid()
                and process.environ().get(name) == value
                and process.status() != psutil.STATUS_ZOMBIE
            ):
                found.append(process)
        except (psutil.Error, OSError):
            continue  # gone meanwhile, or not ours to look at
    return found


def describe(processes: list[psutil.Process]) -> str:
    """Name processes by id and command line, one a line."""
    lines = []
    for process in processes:
        try:
            lines.append(f"{process.pid}: {' '.join(process.cmdline())[:120]}")
        except psutil.Error:
            lines.append(f"{process.pid}: (gone)")
    return "\n".join(lines)
