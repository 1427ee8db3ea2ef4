"""Programs are started under gevent without touching what other threads hold."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time

import gevent
import locust  # noqa: F401 - patches what gevent patches, as in the product
import pytest
from gevent.monkey import get_original, is_module_patched
from gevent.threadpool import ThreadPool

from cluster import spawning

LIMIT_S = 10.0

Child = spawning.Popen


class SaysGoodbye:
    """What a thread alone holds, and what writes to a pipe when it is destroyed."""

    def __init__(self, end: int) -> None:
        self._end = end

    def __del__(self) -> None:
        os.write(self._end, b"quit")


@pytest.mark.parametrize("popen", [pytest.param(subprocess.Popen, id="gevent's"), Child])
def test_what_a_thread_holds_is_destroyed_once(popen: type) -> None:
    """Gevent's own Popen has a copy of this process do it as well, which is why it is not used."""
    assert is_module_patched("subprocess")
    read, write = os.pipe()
    os.set_blocking(read, False)
    held, pool = get_original("threading", "local")(), ThreadPool(1)
    try:
        pool.apply(lambda: setattr(held, "client", SaysGoodbye(write)))
        with popen(["true"]) as child:
            assert child.wait(LIMIT_S) == 0
        if popen is Child:
            with pytest.raises(BlockingIOError):
                os.read(read, 4)
        else:
            assert os.read(read, 4) == b"quit"
    finally:
        pool.kill()


@pytest.mark.parametrize("watched", [False, True], ids=["alone", "beside a child of gevent's"])
@pytest.mark.parametrize(
    ("command", "code"), [(["sh", "-c", "exit 7"], 7), (["sh", "-c", "kill -9 $$"], -9)]
)
def test_the_exit_code_is_known(command: list[str], code: int, watched: bool) -> None:
    """Gevent's loop reaps all children as soon as it watches for one."""
    other = subprocess.Popen(["sleep", "60"]) if watched else None
    child = Child(command)
    with gevent.Timeout(LIMIT_S):
        while child.poll() is None:
            gevent.sleep(0.01)
    assert child.returncode == code
    if other is not None:
        other.kill()
        other.wait(LIMIT_S)


def test_a_child_that_is_killed_is_reaped() -> None:
    child = Child(["sleep", "60"])
    assert child.poll() is None
    child.send_signal(signal.SIGKILL)
    assert child.wait(LIMIT_S) == -signal.SIGKILL
    assert not os.path.exists(f"/proc/{child.pid}")


def test_others_run_while_an_answer_is_awaited() -> None:
    """Waiting for what a program says is waiting of one greenlet."""
    came: list[float] = []

    def work() -> None:
        time.sleep(0.01)
        came.append(time.monotonic())

    threading.Thread(target=work).start()
    done = spawning.run(
        ["sh", "-c", "cat; sleep 0.2; echo end"], input="begin ", capture_output=True, text=True
    )
    ended = time.monotonic()
    assert done.stdout == "begin end\n"
    assert came[0] < ended


def test_a_program_that_takes_too_long_is_ended() -> None:
    with pytest.raises(spawning.TimeoutExpired):
        spawning.run(["sleep", "60"], capture_output=True, timeout=0.1)


def test_a_program_that_is_not_there_is_said() -> None:
    with pytest.raises(FileNotFoundError):
        Child(["/no/such/program"])
