"""The guard itself: a process that undoes the harness's faults when the harness cannot.

Run by file path, with nothing but the standard library, in a session of its own, deaf to the
signals that end the harness. It reads JSON lines from its stdin: undos with a deadline, children,
heartbeats. It acts in three cases:
1. The pipe ends, or its parent is another: the harness is dead. All undos, then all children.
2. A deadline passes: that undo.
3. No line for two seconds while undos are registered: the harness is stopped or hangs. All undos;
   the children stay, because the harness may come back.
What it did goes to its stdout, so a harness that lives on learns that its run is spoilt; that of a
dead one is written into the journal of its run.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from typing import Any

if __name__ == "__main__":
    # Run by path and isolated: the modules beside this one are not to be found yet.
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from cluster.direct import NodeAccess
from faults.guard_proxies import undo_disabled, undo_toxics
from faults.guard_undos import (
    send,
    start_time,
    undo_cgroup,
    undo_helper,
    undo_nft,
    undo_tell,
    undo_wish,
)
from memquake.paths import CHECKOUT

__all__ = ["Guardian", "send", "start_time", "undo_cgroup"]

BEAT_LIMIT_S = 2.0  # four heartbeats
POLL_S = 0.1
ROUND_S = 1.0  # how long one round of undos may keep the guard from reading
RETRY_S = 0.3
END_S = 2.2  # all undos of a dead harness; its children are killed after that at the latest

STDIN, STDOUT = 0, 1


class Guardian:
    """What is registered, and what to do about it."""

    def __init__(self) -> None:
        self.parent = os.getppid()
        self.undos: dict[str, tuple[dict[str, Any], float]] = {}  # id -> (undo, due)
        self.children: dict[int, str] = {}  # pid -> start time, "" where the system tells none
        self.respawned: list[subprocess.Popen[bytes]] = []
        self.last_sign = time.monotonic()
        self.buffer = b""
        self.journal: tuple[str, float | None] | None = None  # of the run under way; its second 0
        self.last_words: list[tuple[float, dict[str, Any]]] | None = None

    def run(self) -> None:
        """Guard until the harness is gone, then end everything."""
        self.say(what="ready", pid=os.getpid())
        while self.read(POLL_S) and os.getppid() == self.parent:
            now = time.monotonic()
            for process in self.respawned:
                process.poll()
            if self.undos and now - self.last_sign > BEAT_LIMIT_S:
                self.undo(list(self.undos), f"no heartbeat for {BEAT_LIMIT_S:g} s", ROUND_S)
                continue
            overdue = [name for name, (_, due) in self.undos.items() if due <= now]
            if overdue:
                self.undo(overdue, "its deadline passed", ROUND_S)
        self.end()

    def read(self, wait_s: float) -> bool:
        """Take in every line that is there; False at the end of the pipe.

        All that waits in the pipe is read before anything is judged: after a stall of the whole
        machine the heartbeats are there, only late.
        """
        while select.select([STDIN], [], [], wait_s)[0]:
            data = os.read(STDIN, 65536)
            if not data:
                return False
            self.last_sign = time.monotonic()
            *lines, self.buffer = (self.buffer + data).split(b"\n")
            for line in lines:
                # A line that makes no sense must not end the guard.
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    self.take(json.loads(line))
            wait_s = 0.0
        return True

    def take(self, message: dict[str, Any]) -> None:
        """Carry out one line of the harness."""
        match message["do"]:
            case "register":
                due = time.monotonic() + float(message["deadline_s"])
                self.undos[str(message["id"])] = (message["undo"], due)
            case "done":
                self.undos.pop(str(message["id"]), None)
            case "child":
                pid = int(message["pid"])
                start = start_time(pid)
                if start is not None:
                    self.children[pid] = start
            case "forget":
                self.children.pop(int(message["pid"]), None)
            case "journal":
                path, epoch = message["path"], message["epoch"]
                self.journal = None if path is None else (path, epoch)

    def undo(self, names: list[str], why: str, limit_s: float) -> None:
        """Undo several things at once; what fails stays registered and is tried again."""
        outcome: dict[str, str] = {}

        def work(name: str, undo: dict[str, Any]) -> None:
            try:
                self.undo_one(name, undo)
                outcome[name] = ""
            except Exception as error:
                outcome[name] = f"{type(error).__name__}: {error}"

        threads = []
        for name in names:
            undo, _ = self.undos[name]
            thread = threading.Thread(target=work, args=(name, undo), daemon=True)
            thread.start()
            threads.append(thread)
        limit = time.monotonic() + limit_s
        for thread in threads:
            thread.join(max(0.0, limit - time.monotonic()))
        for name in names:
            error = outcome.get(name, "no answer yet")
            if error:
                undo, _ = self.undos[name]
                self.undos[name] = (undo, time.monotonic() + RETRY_S)
                self.say(what="undo_failed", id=name, why=why, error=error)
            else:
                del self.undos[name]
                self.say(what="undone", id=name, why=why)

    def undo_one(self, name: str, undo: dict[str, Any]) -> None:
        """Undo one thing; raises what went wrong."""
        match undo["kind"]:
            case "toxiproxy" if undo.get("toxic") is None:
                undo_disabled(undo["url"], undo["proxy"])
            case "toxiproxy":
                undo_toxics({**undo, "toxics": [undo["toxic"]]})
            case "toxics":
                undo_toxics(undo)
            case "cont":
                send(int(undo["pid"]), str(undo.get("start") or ""), signal.SIGCONT)
            case "respawn":
                process = subprocess.Popen(
                    undo["argv"],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
                self.respawned.append(process)
                self.children[process.pid] = start_time(process.pid) or ""
                self.say(what="respawned", id=name, pid=process.pid)
            case "kill":
                undo_helper(int(undo["pid"]), str(undo.get("start") or ""))
            case "tell":
                access = NodeAccess(**undo.get("access", {}))
                undo_tell((undo["host"], int(undo["port"])), undo["lines"], access)
            case "wish":
                undo_wish(undo["path"], undo["word"])
            case "cgroup":
                undo_cgroup(undo["group"], undo["home"])
            case "nft":
                undo_nft(undo["nft"], undo["tables"])
            case "all":
                self.undo_all(name, undo["undos"])
            case kind:
                raise ValueError(f"unknown undo {kind}")

    def undo_all(self, name: str, undos: list[dict[str, Any]]) -> None:
        """Undo several things in their order, each whatever became of the one before."""
        troubles = []
        for undo in undos:
            try:
                self.undo_one(name, undo)
            except Exception as error:
                troubles.append(error)
        if troubles:
            raise troubles[0]

    def end(self) -> None:
        """Undo everything, then kill every child: a proxy is healed before its server goes."""
        over = {"event": "broken_off", "why": "the master ended without a word"}
        self.last_words = [(time.monotonic(), over)]
        # A node that dies in a moment need not be started again.
        for name in [name for name, (undo, _) in self.undos.items() if undo["kind"] == "respawn"]:
            del self.undos[name]
        limit = time.monotonic() + END_S
        while self.undos and (left := limit - time.monotonic()) > 0:
            self.undo(list(self.undos), "the harness is gone", min(left, ROUND_S))
            if self.undos:
                time.sleep(0.05)
        for pid, start in self.children.items():
            send(pid, start, signal.SIGKILL)
        for process in self.respawned:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.3)
        # Last, because a disk may make us wait.
        self.write_last_words()
        self.sum_up()

    def write_last_words(self) -> None:
        """Append to the journal of the run under way that it is over, and what was undone."""
        if self.journal is None or self.last_words is None:
            return
        path, epoch = self.journal
        with contextlib.suppress(OSError), open(path, "r+b") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 1))
            is_whole = file.read(1) in (b"", b"\n")  # the harness may have died in mid-line
            text = "" if is_whole else "\n"
            for at, event in self.last_words:
                t = None if epoch is None else round(at - epoch, 6)
                text += json.dumps({"t": t, **event}) + "\n"
            file.seek(0, os.SEEK_END)
            file.write(text.encode())

    def sum_up(self) -> None:
        """Have the verdict written where a load process of this machine left its last stacks.

        Without them only the next start can say what the run came to.
        """
        if self.journal is None:
            return
        folder = os.path.dirname(self.journal[0])
        command = [sys.executable, "-m", "session.broken_off", os.path.dirname(folder)]
        with contextlib.suppress(OSError):
            if _has_stacks(folder):
                subprocess.Popen(
                    command, cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
                )

    def say(self, **event: Any) -> None:
        """Tell the harness, if it can listen; never wait for it."""
        if self.last_words is not None:
            self.last_words.append((time.monotonic(), {"event": "guard", **event}))
        with contextlib.suppress(OSError):
            os.write(STDOUT, json.dumps(event).encode() + b"\n")


def _has_stacks(folder: str) -> bool:
    """Return whether a process wrote its stacks there, besides the head of its file."""
    for name in os.listdir(folder):
        if name.startswith("stacks-"):
            with open(os.path.join(folder, name), errors="replace") as file:
                if sum(1 for _ in file) > 1:
                    return True
    return False


def main() -> None:
    """Guard the process that started this one."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.set_blocking(STDOUT, False)
    Guardian().run()


if __name__ == "__main__":
    main()
