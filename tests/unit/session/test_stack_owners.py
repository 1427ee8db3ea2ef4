"""Whose code is on a stack: frames of compiled stand-ins under the file names of each owner."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import gevent
import locust
import pytest

from memquake.paths import CHECKOUT
from session.frames import Owners

STRANGER = "/somewhere/else/their_client.py"
LIBRARY = "/somewhere/else/their_library.py"
USERS = str(CHECKOUT / "users" / "base.py")
SAMPLING = str(CHECKOUT / "session" / "sampling.py")
WORKER = str(CHECKOUT / "session" / "worker.py")
LOCUST = locust.__file__
GEVENT = gevent.__file__
STDLIB = json.__file__
OURS = str(CHECKOUT / "client" / "node.py")


class TheirClient:
    """Stands for the client; its module has a file of its own."""


@pytest.fixture
def owners(monkeypatch: pytest.MonkeyPatch) -> Owners:
    module = type(sys)("their_client")
    module.__file__ = STRANGER
    monkeypatch.setitem(sys.modules, "their_client", module)
    return Owners(["their_client"])


def stack(*files: str) -> FrameType:
    """Give the innermost of frames in these files, the outermost first.

    The test's own frames lie beneath; a file of the harness hides them.
    """
    inner: Callable[[], Any] = sys._getframe
    for name in reversed(files):
        space: dict[str, Any] = {"inner": inner}
        exec(compile("def step():\n    return inner()\n", name, "exec"), space)
        inner = space["step"]
    frame: FrameType = inner()
    return frame


def of(owners: Owners, *files: str) -> bool:
    return owners.of_client(stack(LOCUST, *files)) is not None


@pytest.mark.parametrize(
    ("files", "is_client"),
    [
        pytest.param((USERS, STRANGER), True, id="beneath a measured call"),
        pytest.param((USERS, OURS), True, id="the default client is a client"),
        pytest.param((USERS, LIBRARY, STDLIB), True, id="a library the client is made of"),
        pytest.param((SAMPLING, STRANGER), True, id="in snapshot()"),
        pytest.param((USERS,), False, id="the user itself"),
        pytest.param((USERS, STDLIB), False, id="what the user asks of Python"),
        pytest.param((USERS, STRANGER, USERS), False, id="the client calls the user back"),
        pytest.param((WORKER, LIBRARY), False, id="a library of the harness"),
        pytest.param((LIBRARY,), False, id="a library of Locust"),
        pytest.param((GEVENT,), False, id="gevent alone"),
    ],
)
def test_the_innermost_part_of_a_stack_decides(
    owners: Owners, files: tuple[str, ...], is_client: bool
) -> None:
    """It is the client's beneath the harness's calls of it, and nowhere else of the harness."""
    assert of(owners, *files) is is_client


def test_the_call_is_the_outermost_frame_of_the_client(owners: Owners) -> None:
    """However deep it is inside, the same call is the same frame."""
    found = owners.of_client(stack(USERS, STRANGER, LIBRARY, STDLIB))
    assert found is not None
    assert found.call.f_code.co_filename == STRANGER
    assert found.place == "else/their_library.py:2 in step"


def test_a_stack_without_the_harness_needs_a_file_of_the_client(owners: Owners) -> None:
    """Callbacks and greenlets of the client have no harness beneath them; a web page's neither."""

    def alone(name: str) -> Any:
        made: list[Any] = []

        def look() -> None:
            frame = sys._getframe(1)
            made.append(owners.of_client(frame))

        space: dict[str, Any] = {"inner": look}
        exec(compile("def step():\n    inner()\n", name, "exec"), space)
        gevent.spawn(space["step"]).join()
        return made[0]

    assert alone(STRANGER) is not None
    assert alone(LIBRARY) is None
