"""What a helper process does: wait for its start, play its role, end in time. Run by file path.

It takes its role and its settings as JSON from the command line and speaks lines on its stdin and
stdout: `go` begins the role, `ask` wants a report, `stop` ends it. Three things end it besides:
its stdin ends (the harness is dead), its time is over, its role fails; the role's `end` is called
on each of these ways. Only a SIGKILL skips it, so roles leave nothing behind that matters then.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import time
from typing import Any, Protocol

if __name__ == "__main__":  # run isolated: the folder of the packages is not on the path
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from cluster.direct import NodeAccess, use
from faults.helpers import crowd, duty, neighbour, plug, press

STDIN, STDOUT = 0, 1


class Role(Protocol):
    """What a helper does to its node."""

    def begin(self) -> None:
        """Start leaning."""

    def step(self) -> float:
        """Do a little and give the seconds until the next step."""

    def report(self) -> dict[str, Any]:
        """Say in plain types what was done so far."""

    def end(self) -> None:
        """Take back what can be taken back; short."""


ROLES = {
    "crowd": crowd.Crowd,
    "duty": duty.Duty,
    "neighbour": neighbour.Neighbour,
    "plug": plug.Plug,
    "press": press.Press,
}


class Pipe:
    """Lines from and to the harness."""

    def __init__(self) -> None:
        self._buffer = b""
        self.ended = False

    def lines(self, wait_s: float) -> list[str]:
        """Give the lines that came within so many seconds, none at the end of the pipe."""
        if not select.select([STDIN], [], [], wait_s)[0]:
            return []
        data = b""
        with contextlib.suppress(OSError):
            data = os.read(STDIN, 4096)
        self.ended = not data
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        return [line.decode("latin-1") for line in lines]

    def say(self, **words: Any) -> None:
        """Write one line; a harness that is gone does not hear it."""
        with contextlib.suppress(OSError):
            os.write(STDOUT, json.dumps(words).encode() + b"\n")


def serve(role: Role, lasts_s: float, pipe: Pipe) -> None:
    """Wait for `go`, play the role until something ends it, take it back."""
    pipe.say(what="ready")
    ends = time.monotonic() + lasts_s
    while "go" not in pipe.lines(0.5):
        if pipe.ended or time.monotonic() > ends:
            return
    trouble = ""
    try:
        role.begin()
        pipe.say(what="begun", **role.report())
        wait_s = 0.0
        while time.monotonic() < ends:
            lines = pipe.lines(wait_s)
            if "ask" in lines:
                pipe.say(what="report", **role.report())
            if "stop" in lines or pipe.ended:
                break
            wait_s = role.step()
    except Exception as why:
        trouble = f"{why or type(why).__name__}"
    finally:
        with contextlib.suppress(Exception):
            role.end()
    pipe.say(what="failed" if trouble else "ended", why=trouble)


def main() -> None:
    """Play the role of the command line."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    told = json.loads(sys.argv[1])
    use(NodeAccess(**told["access"]))
    serve(ROLES[told["role"]](**told["settings"]), float(told["lasts_s"]), Pipe())


if __name__ == "__main__":
    main()
