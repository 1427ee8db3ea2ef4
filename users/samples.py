"""What is kept of one call as an example: request, connection, what came back or was raised.

Runs for the few calls that are kept, never for every one. The client under test may be a
stranger's, so its objects are only looked at here in ways that run none of its code.
"""

from __future__ import annotations

import gc
import re
import socket
from collections.abc import Callable, Iterator, Sequence
from types import FrameType, TracebackType
from typing import Any

import gevent.socket

from client.operation import Outcome
from telemetry.recorder import Recorder
from users.strangers import kind_of, module_of, part_of, text_of

_SOCKETS: tuple[type, ...] = (socket.socket, gevent.socket.socket)
_FRAMES = 20  # the innermost ones of a call: a client is not deeper
_TEXT_TOLD_APART = 80  # characters: texts that begin alike say the same
_NUMBERS = re.compile(r"\d+")  # ports and keys make no other text
_HELD = 50  # attributes of an object that are looked at


class Sampling:
    """Keeps calls of one user as examples, as long as the recorder wants any of their kind."""

    def __init__(self, recorder: Recorder, user: str, ends: Callable[[], bool]) -> None:
        self._recorder = recorder
        self._user = user
        self._ends = ends

    def keep(  # noqa: PLR0917 - positional arguments as in `Recorder.record`
        self,
        op: str,
        node: str,
        outcome: str,
        args: Sequence[Any],
        started: float,
        ended: float,
        *,
        keys: int = 1,
        error: str = "",
        raised: BaseException | None = None,
    ) -> None:
        """Keep a call with its first arguments; `error` names the class of what was raised.

        A value that is wrong is kept elsewhere, with what it should have been.
        """
        if outcome == Outcome.WRONG_VALUE:
            return

        def detail() -> dict[str, Any]:
            found = {
                "op": op,
                "node": node,
                "outcome": str(outcome),
                "key": args[0],
                "request": request_text(op, args, keys),
                "user": self._user,
                "error": error,
            }
            return found if raised is None else found | error_fields(raised, self._ends)

        kind = (op, node, str(outcome), error)
        took_s = ended - started
        if self._recorder.wants_sample(kind, started, took_s):
            self._recorder.sample(kind, started, took_s, detail())
        if raised is not None:
            text = text_of(raised, limit=_TEXT_TOLD_APART, is_ending=self._ends)
            self._recorder.error(f"{error}: {_NUMBERS.sub('#', text)}", detail)


def request_text(op: str, args: Sequence[Any], keys: int = 1) -> str:
    """Write a call as it was made: `set(k:1, 100 bytes, 300)`."""
    shown = [f"{len(arg)} bytes" if type(arg) is bytes else str(arg) for arg in args]
    more = [f"and {keys - 1} keys more"] if keys > 1 else []
    return f"{op}({', '.join([*shown, *more])})"


def error_fields(error: BaseException, ends: Callable[[], bool]) -> dict[str, str]:
    """Give class and text of what was raised, what it was raised from, and the connection.

    `ends` says whether a kill would be the harness's own.
    """
    fields = {"error": kind_of(error), "text": text_of(error, is_ending=ends)}
    cause = part_of(error, "__cause__") or part_of(error, "__context__")
    if issubclass(type(cause), BaseException):
        fields["cause"] = f"{kind_of(cause)}: {text_of(cause, is_ending=ends)}"
    own = part_of(error, "connection")
    if found := own if type(own) is str and own else connection_of(error):
        fields["connection"] = found
    return fields


def connection_of(error: BaseException) -> str:
    """Give the ends of a socket that the failed call held: local and peer address, "" if none.

    Taken from the frames that the exception went through. A client that has closed the socket by
    then leaves nothing to tell.
    """
    for frame in _frames(error.__traceback__):
        for value in _values(frame):
            if found := _ends(value):
                return found
    return ""


def _frames(trace: TracebackType | None) -> list[FrameType]:
    """Give the frames of a traceback, the innermost first."""
    found: list[FrameType] = []
    while trace is not None:
        found.append(trace.tb_frame)
        trace = trace.tb_next
    return found[::-1][:_FRAMES]


def _values(frame: FrameType) -> Iterator[object]:
    """Give a frame's variables and what they hold themselves, running none of their code."""
    for value in list(frame.f_locals.values()):
        yield value
        if module_of(type(value)) == "builtins":
            continue
        for held in gc.get_referents(value)[:_HELD]:
            yield held
            if type(held) is dict:
                yield from list(held.values())[:_HELD]


def _ends(value: object) -> str:
    if not issubclass(type(value), _SOCKETS):
        return ""
    sock: Any = value
    try:
        return f"{_spelled(sock.getsockname())} to {_spelled(sock.getpeername())}"
    except (OSError, AttributeError):
        return ""  # closed, or never connected


def _spelled(address: Any) -> str:
    return f"{address[0]}:{address[1]}" if isinstance(address, tuple) else str(address)
