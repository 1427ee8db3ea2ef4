"""What a detector saw, and how it calls a client so that nothing it does goes unseen."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import gevent

from client import MemcacheClient, MemcacheClientError


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The outcome of one detector.

    `bad` counts bad events; 0 is clean. `provoked` counts how often the trigger really took
    effect: a detector that provoked nothing has proved nothing. `what` is the evidence by name.
    """

    bad: int
    provoked: int
    what: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        shown = ", ".join(f"{name} {_short(value)}" for name, value in self.what.items())
        return f"{self.bad} bad of {self.provoked} provoked: {shown}"


class Call(NamedTuple):
    """One call of a client: its result or its error, and how long it took in seconds."""

    result: Any
    error: Exception | None
    took_s: float

    @property
    def kind(self) -> str:
        """The error's type, "" for none."""
        return "" if self.error is None else type(self.error).__name__


def attempt(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Call:
    """Call and time it. A kill or a Timeout of the caller goes through.

    So does whatever a client of ours raises that is no error of a call: a bug. (pymemcache tells
    of states with KeyError and RuntimeError.)
    """
    started = time.monotonic()
    try:
        result = call(*args, **kwargs)
    except Exception as error:
        owner = getattr(getattr(call, "func", call), "__self__", None)
        if isinstance(owner, MemcacheClient) and not isinstance(error, MemcacheClientError):
            raise
        return Call(None, error, time.monotonic() - started)
    return Call(result, None, time.monotonic() - started)


def is_cut_off(call: Callable[[], Any], after_s: float) -> bool:
    """Call under a `gevent.Timeout` of its own; say whether it was cut off by it."""
    mine = gevent.Timeout(after_s)
    mine.start()
    try:
        call()
    except gevent.Timeout as caught:
        if caught is not mine:
            raise
        return True
    except Exception:
        return False
    finally:
        mine.close()
    return False


def crowd(work: Callable[[int], Any], size: int, within_s: float = 20.0) -> list[Any]:
    """Run `work(0..size-1)` side by side and give the results. Raises what one of them raises."""
    running = [gevent.spawn(work, me) for me in range(size)]
    done = gevent.joinall(running, timeout=within_s, raise_error=True)
    if len(done) != size:
        gevent.killall(running, timeout=2.0)
        raise AssertionError(f"{size - len(done)} of {size} callers hang")
    return [one.value for one in running]


def comes_true(check: Callable[[], Any], within_s: float, every_s: float = 0.01) -> bool:
    """Wait until `check` gives something true; say whether it did."""
    deadline = time.monotonic() + within_s
    while not check():
        if time.monotonic() > deadline:
            return False
        time.sleep(every_s)
    return True


def kinds(calls: Iterable[Call]) -> dict[str, int]:
    """Count the errors of some calls by type."""
    counted: dict[str, int] = {}
    for call in calls:
        if call.error is not None:
            counted[call.kind] = counted.get(call.kind, 0) + 1
    return counted


def _short(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
