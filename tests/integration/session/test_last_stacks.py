"""The stacks of real processes that a client ends or silences, as they are found afterwards."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from memquake.paths import CHECKOUT
from session.process_end import ProcessEnd, end_of

PROGRAM = """
from gevent import monkey
monkey.patch_all()
import ctypes, sys, time
from pathlib import Path
import gevent
from session.process_end import StackFile
sys.path.insert(0, sys.argv[1])
import its_client
from users import base  # a user's file, from which clients are called
library = ctypes.PyDLL(None)
stacks = StackFile(Path(sys.argv[1]) / "stacks-w1.txt", ["its_client"])
gevent.sleep(0.8)
call = compile("def get(call, library):\\n    call(library)\\n", base.__file__, "exec")
space = {}
exec(call, space)
print("ready", flush=True)
space["get"](getattr(its_client, sys.argv[2]), library)
gevent.sleep(0.8)
stacks.close()
"""
CLIENT = """
import time, threading
import gevent
def aborts(library):
    library.abort()
def crashes(library):
    import ctypes
    ctypes.string_at(0)
def falls_silent(library):
    library.sleep(30)
def blocks_in_python(library):
    from gevent.monkey import get_original
    get_original("time", "sleep")(30)
def aborts_in_a_thread(library):
    gevent.get_hub().threadpool.apply(library.abort)
def is_slow(library):
    library.sleep(4)
def waits(library):
    gevent.sleep(30)
"""


def start(folder: Path, what: str) -> subprocess.Popen[str]:
    (folder / "its_client.py").write_text(CLIENT)
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder), what],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def found(folder: Path) -> ProcessEnd | None:
    return end_of(folder, "w1")


@pytest.mark.parametrize(
    ("what", "number", "how"),
    [
        ("aborts", signal.SIGABRT, "Aborted"),
        pytest.param("crashes", signal.SIGSEGV, "Segmentation fault", marks=pytest.mark.prove),
    ],
)
def test_a_library_that_ends_the_process(tmp_path: Path, what: str, number: int, how: str) -> None:
    """The interpreter has written where the client was."""
    assert start(tmp_path, what).wait(20) == -number
    end = found(tmp_path)
    assert end is not None
    assert end.how == f"ended the process ({how})"
    assert "its_client.py" in end.place or "ctypes" in end.place


@pytest.mark.parametrize(
    "what", ["falls_silent", pytest.param("blocks_in_python", marks=pytest.mark.prove)]
)
def test_a_library_that_lets_nothing_else_run(tmp_path: Path, what: str) -> None:
    """Its stack is written though the interpreter's lock is held, before the master misses it."""
    process = start(tmp_path, what)
    try:
        deadline = time.monotonic() + 10
        while (end := found(tmp_path)) is None and time.monotonic() < deadline:
            time.sleep(0.1)
    finally:
        process.kill()
        process.wait(5)
    assert end is not None
    assert end.is_silent
    assert end.place.endswith(f"in {what}")


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, pytest.param(signal.SIGSTOP, marks=pytest.mark.prove)]
)
def test_a_process_that_somebody_else_ends(tmp_path: Path, number: int) -> None:
    """Nothing was written, so nobody is convicted."""
    process = start(tmp_path, "waits")
    process.send_signal(number)
    time.sleep(4.0 if number == signal.SIGSTOP else 0.2)
    assert found(tmp_path) is None
    process.kill()
    process.wait(5)
    assert found(tmp_path) is None


@pytest.mark.prove
def test_a_process_that_comes_back_leaves_nothing(tmp_path: Path) -> None:
    """A stall that ends is the watchdog's to judge."""
    assert start(tmp_path, "is_slow").wait(20) == 0
    assert not (tmp_path / "stacks-w1.txt").exists()
