"""Whose code a stack of frames is: the harness's own, or the client's under test.

Files tell. What runs directly beneath a call that a user (or the sampler of snapshots) makes is the
client's, whatever library it comes from; a stack without any frame of the harness is the client's
where it has a frame of the client's own files, as in its callbacks and greenlets. The standard
library and gevent belong to whoever calls them. Reads frames, keeps none.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import FrameType
from typing import Any

import gevent
import greenlet
import locust

from memquake.paths import CHECKOUT
from users.strangers import file_of, module_of, part_of, top_of

DEEPEST = 100  # frames looked at; a recursion deeper than this is somebody's, and not the rule
HARNESS = (
    "cluster",
    "dashboard",
    "faults",
    "memquake",
    "options",
    "report",
    "session",
    "telemetry",
    "verdict",
)
CALLERS = ("users/", "session/sampling.py")  # these call the client and wait for its answer


class Owner(Enum):
    """Whom a file belongs to."""

    HARNESS = "harness"
    CALLER = "caller"  # of the harness, where it calls the client
    NEUTRAL = "neutral"  # of whoever calls it
    OTHER = "other"  # a stranger's


@dataclass(frozen=True, slots=True)
class Mine:
    """The client's part of a stack: `call` is the outermost frame of it, `place` the innermost.

    `spot` is where exactly the thread is, down to the instruction.
    """

    call: FrameType
    place: str
    spot: tuple[int, int]


Stack = Sequence[tuple[str, int, str]]
"""Frames as (file, line, function), the innermost first."""


def place_in(stack: Stack, own: tuple[str, ...]) -> str:
    """Return where the client is in a stack that was written down, "" when it is not its own.

    `own` is what the client's own files begin with.
    """
    here, is_own, caller = "", False, None
    for file, line, function in stack[:DEEPEST]:
        owner = _owner_of(file)
        if owner in (Owner.HARNESS, Owner.CALLER):
            caller = owner
            break
        if owner is Owner.OTHER:
            here = here or f"{Path(file).parent.name}/{Path(file).name}:{line} in {function}"
            is_own = is_own or file.startswith(own)
    is_client = caller is Owner.CALLER or (caller is None and bool(own) and is_own)
    return here if is_client else ""


class Owners:
    """Tells the client's stacks from all others. `parts` are objects and modules of the client."""

    def __init__(self, parts: Iterable[Any]) -> None:
        self._own = tuple({home for part in parts if (home := home_of(part))})
        self._known: dict[str, Owner] = {}

    def of_client(self, frame: FrameType | None) -> Mine | None:
        """Give the client's part of the stack of a running frame, None when it is not its own."""
        innermost, outermost, is_own = frame, None, False
        here: FrameType | None = None
        caller: Owner | None = None
        for _ in range(DEEPEST):
            if frame is None:
                break
            name = frame.f_code.co_filename
            owner = self._owner(name)
            if owner in (Owner.HARNESS, Owner.CALLER):
                caller = owner
                break
            if owner is Owner.OTHER:
                here = here or frame
                outermost = frame
                is_own = is_own or name.startswith(self._own)
            frame = frame.f_back
        if here is None or outermost is None or innermost is None:
            return None
        if caller is Owner.HARNESS or (caller is None and not is_own):
            return None
        spot = (id(innermost.f_code), innermost.f_lasti)
        return Mine(call=outermost, place=_place(here), spot=spot)

    def _owner(self, name: str) -> Owner:
        found = self._known.get(name)
        if found is None:
            found = self._known[name] = _owner_of(name)
        return found


def _owner_of(name: str) -> Owner:
    if name.startswith(_CALLERS):
        return Owner.CALLER
    if name.startswith(_HARNESS):
        return Owner.HARNESS
    if name.startswith(_NEUTRAL) and not name.startswith(_PACKAGES):
        return Owner.NEUTRAL
    if name.startswith((*_GEVENT, "<")):
        return Owner.NEUTRAL
    return Owner.OTHER


def home_of(part: Any) -> str:
    """Give the path that all files of the client's begin with, "" when it has none."""
    if isinstance(part, str):
        module = sys.modules.get(part) or sys.modules.get(part.partition(".")[0])
        name, file = part, part_of(module, "__file__") or ""
    else:
        name, file = module_of(type(part)), file_of(type(part))
    if not file:
        return ""
    place = top_of(Path(file))
    # Folders without an __init__.py: what lies beside the module belongs to it.
    return f"{place}/" if place.is_dir() else f"{place.parent}/" if "." in name else str(place)


def _place(frame: FrameType) -> str:
    path = Path(frame.f_code.co_filename)
    return f"{path.parent.name}/{path.name}:{frame.f_lineno} in {frame.f_code.co_name}"


def _folder(module: Any) -> str:
    return str(Path(module.__file__).parent) + "/"


_CALLERS = tuple(f"{CHECKOUT}/{name}" for name in CALLERS)
_HARNESS = (
    *(f"{CHECKOUT / name}/" for name in HARNESS),
    *(str(CHECKOUT / name) for name in ("locustfile.py", "settings.py")),
    _folder(locust),
)
_GEVENT = (_folder(gevent), _folder(greenlet))
_NEUTRAL = tuple({sysconfig.get_path(name) + "/" for name in ("stdlib", "platstdlib")})
_PACKAGES = tuple({sysconfig.get_path(name) + "/" for name in ("purelib", "platlib")})
