"""The harness's handle on its guard process (guard_child.py).

Every undo is written into the guard's pipe before its fault is injected; what is in the pipe
outlives this process. The pipe is never waited for: a guard that does not read is a dead guard,
and without a guard no fault may be injected. Call from one process only, never after a fork.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cluster import spawning
from cluster.orphans import mark
from faults.errors import FaultError
from memquake.paths import GUARD_PROGRAM

HEARTBEAT_EVERY_S = 0.5
READY_WITHIN_S = 10.0  # an interpreter starts in 50 ms; on a machine under load in a second
CLOSE_WITHIN_S = 4.0  # the guard takes 3 s at most to undo and kill

Undo = Mapping[str, Any]


def undo_toxic(url: str, proxy: str, toxic: str) -> Undo:
    """Give the undo that removes a toxic."""
    return {"kind": "toxiproxy", "url": url, "proxy": proxy, "toxic": toxic}


def undo_toxics(url: str, proxy: str, toxics: Sequence[str], *, listen: str, upstream: str) -> Undo:
    """Give the undo that removes toxics of one proxy, made anew at its address if it hangs."""
    address = {"listen": listen, "upstream": upstream}
    return {"kind": "toxics", "url": url, "proxy": proxy, "toxics": list(toxics), **address}


def undo_disabled(url: str, proxy: str) -> Undo:
    """Give the undo that opens a proxy again."""
    return {"kind": "toxiproxy", "url": url, "proxy": proxy, "toxic": None}


class Guard:
    """A guard process. `start()` before anything else, `close()` last."""

    def __init__(self) -> None:
        self.acted: dict[str, str] = {}  # id of an undo -> why the guard carried it out itself
        self._process: spawning.Popen[bytes] | None = None
        self._to_child = -1
        self._from_child = -1
        self._buffer = b""
        self._events: list[dict[str, Any]] = []
        self._ready = False

    def __repr__(self) -> str:
        return f"<Guard pid {self.pid} {'alive' if self.alive else 'gone'}>"

    @property
    def pid(self) -> int | None:
        """Process id of the guard, None before its start."""
        return self._process.pid if self._process is not None else None

    @property
    def alive(self) -> bool:
        """Whether the guard is there and can be told things."""
        return self._process is not None and self._to_child >= 0 and self._process.poll() is None

    def start(self) -> None:
        """Start the guard and wait until it guards; FaultError when it does not."""
        if self._process is not None:
            return
        child_in, self._to_child = os.pipe()
        self._from_child, child_out = os.pipe()
        os.set_blocking(self._to_child, False)
        os.set_blocking(self._from_child, False)
        try:
            self._process = spawning.Popen(
                # Isolated and without site-packages: nothing of the environment can break it.
                [sys.executable, "-I", "-S", str(GUARD_PROGRAM)],
                stdin=child_in,
                stdout=child_out,
                stderr=spawning.DEVNULL,
                start_new_session=True,
                cwd="/",
                env={**os.environ, **mark()},  # for the servers that it starts again
            )
        finally:
            os.close(child_in)
            os.close(child_out)
        deadline = time.monotonic() + READY_WITHIN_S
        while not self._ready and self.alive and time.monotonic() < deadline:
            self.poll()
            time.sleep(0.005)
        if not self._ready:
            self.close()
            raise FaultError(
                f"the guard process does not start: try `{sys.executable} {GUARD_PROGRAM}`"
            )

    def register(self, name: str, undo: Undo, deadline_s: float) -> None:
        """Leave an undo with the guard, due in so many seconds unless `done` comes first.

        Raises FaultError when there is no guard to leave it with.
        """
        message = {"do": "register", "id": name, "undo": dict(undo), "deadline_s": deadline_s}
        self.acted.pop(name, None)
        if not self._send(message):
            raise FaultError("the guard process is gone: without it nothing is broken")

    def done(self, name: str) -> None:
        """Withdraw an undo: its fault was healed, or never injected."""
        self._send({"do": "done", "id": name})

    def child(self, pid: int) -> None:
        """Leave a child with the guard, to be killed when this process is gone."""
        self._send({"do": "child", "pid": pid})

    def forget_child(self, pid: int) -> None:
        """Withdraw a child that has ended."""
        self._send({"do": "forget", "pid": pid})

    def journal(self, path: Path | None, epoch: float | None = None) -> None:
        """Name the journal of the run under way, None when it has ended.

        When this process is gone before that, the guard writes there that the run was broken off,
        and what it undid. `epoch` is second 0 by the monotonic clock, once it is known.
        """
        self._send({"do": "journal", "path": None if path is None else str(path), "epoch": epoch})

    def heartbeat(self) -> None:
        """Show a sign of life; due every 0.5 s as long as undos are registered."""
        self._send({"do": "beat"})

    def run_heartbeat(self, stop: threading.Event) -> None:
        """Send heartbeats until `stop` is set; a loop for a thread or greenlet."""
        while not stop.wait(HEARTBEAT_EVERY_S):
            self.heartbeat()

    def events(self) -> list[dict[str, Any]]:
        """Give what the guard did by itself since the last call, in the order it did it.

        Each has `what` (undone, undo_failed, respawned), `id`, and `why` or `pid`.
        """
        self.poll()
        events, self._events = self._events, []
        return events

    def close(self) -> None:
        """Let the guard go: it undoes and kills what is still registered, then ends."""
        if self._to_child >= 0:
            os.close(self._to_child)
            self._to_child = -1
        if self._process is not None:
            deadline = time.monotonic() + CLOSE_WITHIN_S
            while self._process.poll() is None and time.monotonic() < deadline:
                self.poll()
                time.sleep(0.005)
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait(1)
            self.poll()
        if self._from_child >= 0:
            os.close(self._from_child)
            self._from_child = -1

    def _send(self, message: Mapping[str, Any]) -> bool:
        if not self.alive:
            return False
        line = json.dumps(message).encode() + b"\n"
        try:
            # Lines are shorter than PIPE_BUF, so each is written whole or not at all.
            return os.write(self._to_child, line) == len(line)
        except OSError:
            return False

    def poll(self) -> None:
        """Take in what the guard has said; fills `acted` and what `events` gives."""
        with contextlib.suppress(OSError):
            while self._from_child >= 0 and (data := os.read(self._from_child, 65536)):
                self._buffer += data
        *lines, self._buffer = self._buffer.split(b"\n")
        for line in lines:
            event = json.loads(line)
            if event["what"] == "ready":
                self._ready = True
                continue
            if event["what"] == "undone":
                self.acted[event["id"]] = event["why"]
            self._events.append(event)
