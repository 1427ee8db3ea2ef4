"""Who ended a load process: what code of the client's may not do, and what last stacks say."""

from __future__ import annotations

import json
import os
import signal
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from memquake.paths import CHECKOUT
from session.process_end import end_of, no_exits, path_of

CLIENT = "/srv/app/cache.py"
USER = f"{CHECKOUT}/users/base.py"
THREAD = "0x00007f0000000001"
IN_CLIENT = [(CLIENT, 12, "get"), (USER, 181, "get"), (f"{CHECKOUT}/users/mixed.py", 9, "iterate")]
IN_HARNESS = [(f"{CHECKOUT}/telemetry/report.py", 40, "run")]
STDLIB = sysconfig.get_path("stdlib")
IDLE = [(f"{STDLIB}/selectors.py", 468, "select")]

Frames = list[tuple[str, int, str]]


def section(title: str, frames: Frames) -> str:
    lines = [f'  File "{file}", line {line} in {function}' for file, line, function in frames]
    return "\n".join([f"{title} (most recent call first):", *lines]) + "\n"


def fatal(frames: Frames, *, reason: str = "Aborted") -> str:
    """Return what the interpreter writes when a signal ends it, another thread beside."""
    other = section("Thread 0x00007f0000000009", IDLE)
    return f"Fatal Python error: {reason}\n\n{other}\n{section(f'Current thread {THREAD}', frames)}"


def waiting(*dumps: Frames) -> str:
    """Return what is written each time the hub has not had its turn."""
    return "".join(
        f"Timeout (0:00:01.500000)!\n{section('Thread 0x00007f0000000009', IDLE)}\n"
        f"{section(f'Thread {THREAD}', frames)}"
        for frames in dumps
    )


ENDS = [
    pytest.param(fatal(IN_CLIENT), "ended the process (Aborted)", id="aborted in the client"),
    pytest.param(
        fatal(IN_CLIENT, reason="Segmentation fault"),
        "ended the process (Segmentation fault)",
        id="crashed in the client",
    ),
    pytest.param(
        fatal([(CLIENT, 12, "work"), (f"{STDLIB}/threading.py", 975, "run")]),
        "ended the process (Aborted)",
        id="aborted in a thread of the client's own",
    ),
    pytest.param(fatal(IN_HARNESS), "", id="aborted in the harness"),
    pytest.param(fatal(IDLE), "", id="a signal from outside, while nothing ran"),
    pytest.param(
        fatal([("/srv/other/thing.py", 3, "work"), *IDLE]), "", id="aborted in somebody's thread"
    ),
    pytest.param("", "", id="killed: nothing was written"),
    pytest.param(waiting(IN_CLIENT, IN_CLIENT), "silenced the process", id="silent in the client"),
    pytest.param(waiting(IN_CLIENT), "", id="looked at once: the process was stopped, or starved"),
    pytest.param(
        waiting(IN_CLIENT, [(CLIENT, 13, "get"), *IN_CLIENT[1:]]), "", id="it goes on, if slowly"
    ),
    pytest.param(waiting(IN_HARNESS, IN_HARNESS), "", id="silent in the harness"),
    pytest.param(waiting(IDLE, IN_CLIENT, IN_CLIENT), "silenced the process", id="silent at last"),
]


@pytest.mark.parametrize(("text", "how"), ENDS)
def test_last_stacks_tell_who_ended_a_process(tmp_path: Path, text: str, how: str) -> None:
    """Only the client's own frames, where the process ended or stood still, are its doing."""
    head = json.dumps({"pid": 7, "thread": THREAD, "own": ["/srv/app/"]})
    path_of(tmp_path, "w/1").write_text(f"{head}\n{text}")
    found = end_of(tmp_path, "w/1")
    assert (found.how if found else "") == how
    if found:
        assert found.place.startswith("app/cache.py:12 in ")
        assert found.is_silent is how.startswith("silenced")


@pytest.mark.parametrize("text", [None, "", "no json\n", "[]\n", "{}\n"])
def test_a_file_that_says_nothing_convicts_nobody(tmp_path: Path, text: str | None) -> None:
    """It may be missing, or cut off by a full disk."""
    if text is not None:
        path_of(tmp_path, "w1").write_text(text + fatal(IN_CLIENT))
    assert end_of(tmp_path, "w1") is None


def client(source: str) -> Any:
    """Return a function of the client's, called as a user calls it."""
    space: dict[str, Any] = {"os": os, "signal": signal}
    exec(compile(f"def call():\n    {source}\n", CLIENT, "exec"), space)
    user: dict[str, Any] = {"call": space["call"]}
    exec(compile("def get():\n    call()\n", USER, "exec"), user)
    return user["get"]


@pytest.mark.parametrize(
    ("source", "call"),
    [
        ("os._exit(0)", "os._exit(0)"),
        ("os.abort()", "os.abort()"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL)"),
        ("os.kill(0, signal.SIGTERM)", "os.kill(0, SIGTERM)"),
    ],
)
def test_the_client_may_not_end_its_process(
    monkeypatch: pytest.MonkeyPatch, source: str, call: str
) -> None:
    """The call raises where it was made, and is noted: nobody can swallow it unseen."""
    for name in ("_exit", "abort", "kill"):
        monkeypatch.setattr(os, name, lambda *_: pytest.fail("it went through"))
    noted: list[tuple[str, str]] = []
    with (
        no_exits([], lambda *what: noted.append(what)),
        pytest.raises(SystemExit, match="the client called"),
    ):
        client(source)()
    ((said, place),) = noted
    assert said.endswith(call)
    assert place == "app/cache.py:2 in call"


def test_what_ends_nothing_of_ours_goes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signals with another use, processes of its own, and whoever is not the client."""
    sent: list[tuple[int, int]] = []
    ended: list[int] = []
    monkeypatch.setattr(os, "kill", lambda *what: sent.append(what))
    monkeypatch.setattr(os, "_exit", ended.append)
    own = os.getpid()
    with no_exits([], lambda *_: pytest.fail("nothing to note")):
        client("os.kill(os.getpid(), 0)")()
        client("os.kill(999_999, signal.SIGKILL)")()
        os._exit(3)  # a test is none of the client's code
        monkeypatch.setattr(os, "getpid", lambda: own + 1)  # as in a process that it has forked
        client("os._exit(4)")()
    assert sent == [(own, 0), (999_999, signal.SIGKILL)]
    assert ended == [3, 4]
