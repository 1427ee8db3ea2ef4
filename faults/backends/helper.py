"""The harness's handle on a helper process (faults/helpers), which leans on one node.

A helper is started idle, so that the guard knows its pid before anything is broken; `begin` lets
it loose and `end` takes it back. Every wait is bounded. A helper ends by itself with this process
or when its time is over, so one that is forgotten does no lasting harm.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import time
from collections.abc import Mapping
from typing import Any

from cluster import spawning
from cluster.direct import access_in_use
from faults.errors import FaultError
from faults.guard_child import start_time
from memquake.paths import HELPER_PROGRAM

READY_WITHIN_S = 10.0  # an interpreter starts in 50 ms; on a machine under load in a second
BEGUN_WITHIN_S = 8.0  # 4,000 connections take half a second
ANSWER_S = 2.0
END_S = 3.0  # deleting 100,000 keys takes half a second
OVERTIME_S = 10.0  # after its planned end a helper ends by itself


class Helper:
    """One helper at one node."""

    def __init__(self, role: str, settings: Mapping[str, Any], lasts_s: float) -> None:
        told = {
            "role": role,
            "settings": dict(settings),
            "lasts_s": lasts_s + OVERTIME_S,
            "access": access_in_use().to_wire(),
        }
        ours, theirs = socket.socketpair()
        self._role = role
        self._link = ours
        self._buffer = b""
        try:
            self._process = spawning.Popen(
                # Isolated and without site-packages: nothing of the environment can break it.
                [sys.executable, "-I", "-S", str(HELPER_PROGRAM), json.dumps(told)],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=spawning.DEVNULL,
                start_new_session=True,
                cwd="/",
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self.pid = self._process.pid
        try:
            self._hear("ready", READY_WITHIN_S)
        except BaseException:
            self.end()
            raise

    def undo(self) -> dict[str, Any]:
        """Give the undo that ends it."""
        return {"kind": "kill", "pid": self.pid, "start": start_time(self.pid) or ""}

    def alive(self) -> bool:
        """Tell whether it is still there."""
        return self._process.poll() is None

    def begin(self) -> dict[str, Any]:
        """Let it lean on its node; gives its first report, FaultError where it cannot."""
        self._say("go")
        return self._hear("begun", BEGUN_WITHIN_S)

    def report(self) -> dict[str, Any]:
        """Ask it what it has done so far."""
        self._say("ask")
        return self._hear("report", ANSWER_S)

    def end(self) -> None:
        """Let it take everything back and go; one that does not go is killed. Again is fine."""
        with contextlib.suppress(OSError, FaultError):
            self._say("stop")
            self._hear("ended", END_S)
        self._link.close()
        deadline = time.monotonic() + END_S
        # Polled, not waited for: under gevent another greenlet may be the one that reaps it.
        while self.alive() and time.monotonic() < deadline:
            time.sleep(0.005)
        if self.alive():
            self._process.kill()
            self._process.wait(1)

    def _say(self, word: str) -> None:
        try:
            self._link.sendall(word.encode() + b"\n")
        except OSError:
            raise FaultError(f"{self._words()} is gone") from None

    def _hear(self, what: str, within_s: float) -> dict[str, Any]:
        deadline = time.monotonic() + within_s
        while True:
            *lines, self._buffer = self._buffer.split(b"\n")
            for line in lines:
                told: dict[str, Any] = json.loads(line)
                if told["what"] == what:
                    return told
                if told["what"] == "failed":
                    raise FaultError(f"{self._words()} failed: {told['why']}")
            left = deadline - time.monotonic()
            if left <= 0:
                raise FaultError(f"{self._words()} did not answer within {within_s:g} s")
            try:
                self._link.settimeout(left)
                data = self._link.recv(4096)
            except TimeoutError:
                continue
            except OSError:
                data = b""
            if not data:
                raise FaultError(f"{self._words()} is gone")
            self._buffer += data

    def _words(self) -> str:
        return f"the helper process ({self._role})"
