"""The addresses behind a host's name, with the deadline that `getaddrinfo` lacks.

The look-up runs in a thread that the caller waits for only so long; one that hangs ends when the
system gives it up. Numbers are looked up on the spot.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Any

LOOK_UP_WITHIN_S = 5.0  # one unanswered question of glibc to a name server; an answer takes ms

Entry = tuple[int, int, int, str, Any]  # as of getaddrinfo


class NoAnswerError(OSError):
    """The name server did not answer in time. `str()` is one line."""


def look_up(
    host: str,
    port: int | None,
    *,
    kind: int = socket.SOCK_STREAM,
    within_s: float = LOOK_UP_WITHIN_S,
    ask: Callable[..., Any] | None = None,
) -> list[Entry]:
    """Give what `getaddrinfo` gives; raise what it raises, or NoAnswerError after `within_s`."""
    ask = ask or socket.getaddrinfo
    with contextlib.suppress(OSError):
        return list(ask(host, port, type=kind, flags=socket.AI_NUMERICHOST))
    answers: list[list[Entry]] = []
    failures: list[Exception] = []
    is_over = threading.Event()

    def run() -> None:
        try:
            answers.append(list(ask(host, port, type=kind)))
        except Exception as why:  # raised below, in the caller's thread
            failures.append(why)
        finally:
            is_over.set()

    threading.Thread(target=run, name=f"look up {host}", daemon=True).start()
    if not is_over.wait(within_s):
        raise NoAnswerError(f"{host} was not resolved within {within_s:g} s")
    if failures:
        raise failures[0]
    return answers[0] if answers else []
