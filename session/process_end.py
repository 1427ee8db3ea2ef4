"""Whether a load process was ended, or silenced, by the client: what its last stacks say.

Python code that ends its process (`os._exit`, a signal to itself) is told that it must not: the
call raises SystemExit where it was made, which is an error of the client's like any other. What a
library in C does nobody can catch. So the interpreter writes the stacks of all threads into a file
of the run folder when a fatal signal comes, and again and again while the hub does not get its
turn, even if the interpreter's lock is held. Who finds the process gone reads there what it did.

Rule: a process without such a stack was ended by somebody else: the machine, a person, a fault.
"""

from __future__ import annotations

import faulthandler
import json
import os
import re
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gevent
import psutil
from gevent.monkey import get_original

from session.frames import Owners, Stack, home_of, place_in

LOCAL = "local"  # Locust's name for the only worker of a local run

SILENT_S = 1.5  # between two stacks of a silent process; the master misses it after 3.5 s
REARM_S = 0.5
SAME_NEEDED = 2  # of the last stacks: it stands there, and has had the processor meanwhile
ENDING_SIGNALS = frozenset(
    {
        *(signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT),
        *(signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL),
        signal.SIGSTOP,
    }
)

_FATAL = "Fatal Python error: "
_FRAME = re.compile(r'  File "(.*)", line (\d+) in (.*)')
_thread_id: Callable[[], int] = get_original("_thread", "get_ident")


@dataclass(frozen=True, kw_only=True)
class ProcessEnd:
    """What the client did to its process, `how` in a few words, and the client's own `place`."""

    how: str
    place: str
    is_silent: bool = False

    @property
    def words(self) -> str:
        """Both in half a line."""
        return f"{self.how} at {self.place}"


@contextmanager
def no_exits(parts: Iterable[Any], note: Callable[[str, str], None]) -> Iterator[None]:
    """Let code of the client's not end this process; `note` takes what it called, and where.

    Processes that it forks are its own, and so are signals that it has a use for.
    """
    owners, own_pid = Owners(parts), os.getpid()
    exit_, abort, kill = os._exit, os.abort, os.kill

    def refuse(call: str) -> None:
        mine = owners.of_client(sys._getframe(2)) if os.getpid() == own_pid else None
        if mine is not None:
            note(call, mine.place)
            raise SystemExit(f"the client called {call} at {mine.place}")

    def checked_exit(status: int) -> Any:
        refuse(f"os._exit({status})")
        exit_(status)

    def checked_abort() -> Any:
        refuse("os.abort()")
        abort()

    def checked_kill(pid: int, number: int) -> None:
        if pid in (0, own_pid) and number in ENDING_SIGNALS:
            refuse(f"os.kill({pid}, {signal.Signals(number).name})")
        kill(pid, number)

    os._exit, os.abort, os.kill = checked_exit, checked_abort, checked_kill
    try:
        yield
    finally:
        os._exit, os.abort, os.kill = exit_, abort, kill


class StackFile:
    """The file into which this process's stacks go while it is in a run."""

    def __init__(self, path: Path, parts: Iterable[Any]) -> None:
        self._path = path
        own = sorted({home for part in parts if (home := home_of(part))})
        head = {"pid": os.getpid(), "thread": f"{_thread_id():#018x}", "own": own}
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
        os.write(self._file, json.dumps(head).encode() + b"\n")
        self._begin = os.fstat(self._file).st_size
        self._was_enabled = faulthandler.is_enabled()
        faulthandler.enable(self._file)
        self._rearming = gevent.spawn(self._rearm)

    def _rearm(self) -> None:
        while True:
            faulthandler.dump_traceback_later(SILENT_S, repeat=True, file=self._file)
            if os.fstat(self._file).st_size > self._begin:
                os.ftruncate(self._file, self._begin)  # it is back: a stall is the watchdog's
            gevent.sleep(REARM_S)

    def close(self) -> None:
        """Write no more, and leave no file behind: this process has lived. Again is fine."""
        if self._file < 0:
            return
        self._rearming.kill(block=False)
        faulthandler.cancel_dump_traceback_later()
        if self._was_enabled:
            faulthandler.enable()
        else:
            faulthandler.disable()
        os.close(self._file)
        self._file = -1
        self._path.unlink(missing_ok=True)


def stack_file(folder: str, worker: str, parts: Iterable[Any]) -> StackFile | None:
    """Return the file of a worker in the run folder; None where that is on another machine."""
    with suppress(OSError):
        if Path(folder).is_dir():
            return StackFile(path_of(Path(folder), worker), parts)
    return None


def path_of(folder: Path, worker: str) -> Path:
    """Return where the stacks of a worker are."""
    return folder / f"stacks-{re.sub(r'[^A-Za-z0-9._-]', '_', worker)}.txt"


def end_of(folder: Path, worker: str) -> ProcessEnd | None:
    """Return what the client did to a worker that is gone, as far as its last stacks tell."""
    try:
        head, _, text = path_of(folder, worker).read_text(errors="replace").partition("\n")
        said = json.loads(head)
        own, thread = tuple(map(str, said["own"])), str(said["thread"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if _FATAL in text:
        reason = text.partition(_FATAL)[2].partition("\n")[0]
        place = place_in(_stack_under(text, "Current thread "), own)
        return ProcessEnd(how=f"ended the process ({reason})", place=place) if place else None
    dumps = [_stack_under(part, f"Thread {thread}") for part in text.split("Timeout (")[1:]]
    last = dumps[-SAME_NEEDED:]
    if len(last) < SAME_NEEDED or any(stack != last[0] for stack in last):
        return None
    place = place_in(last[0], own)
    return ProcessEnd(how="silenced the process", place=place, is_silent=True) if place else None


def kill_silenced(folder: Path, worker: str) -> None:
    """Kill a worker that the client has silenced: it cannot end with the master that forked it."""
    end = end_of(folder, worker)
    if end is None or not end.is_silent:
        return
    with suppress(OSError, ValueError, KeyError, psutil.Error):
        head = json.loads(path_of(folder, worker).read_text(errors="replace").partition("\n")[0])
        process = psutil.Process(int(head["pid"]))
        if process.ppid() == os.getpid():
            process.kill()


def _stack_under(text: str, title: str) -> Stack:
    """Return the frames below a line that begins so, innermost first."""
    found: list[tuple[str, int, str]] = []
    lines: Sequence[str] = text.splitlines()
    begin = next((n for n, line in enumerate(lines) if line.startswith(title)), len(lines))
    for line in lines[begin + 1 :]:
        match = _FRAME.match(line)
        if match is None:
            break
        found.append((match[1], int(match[2]), match[3]))
    return found
