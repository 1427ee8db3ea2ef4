"""Where a process spends its CPU time, found by looking at it many times a second.

A profiler that notes every call makes short functions look long and loses its way when greenlets
switch; a sampler does neither. The timer counts CPU time of this process, user and system. A sample
taken in C code (a system call, the event loop) falls on the Python line that called it, or, for the
event loop, on the line that goes on after it.

Taking samples is one part of this module; what they say is the other, and is pure.
"""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

INTERVAL_S = 0.001  # the kernel rounds it up to its own tick, 4 ms at most
OUTSIDE = ("(event loop)", "", 0)  # no Python code is running

Place = tuple[str, str, int]
"""A file, the function's qualified name, and a line."""


@dataclass(frozen=True, kw_only=True)
class Share:
    """How much of the samples fell on one function or line."""

    name: str
    share: float


@contextmanager
def sampling(found: Counter[Place]) -> Iterator[None]:
    """Count into `found` where the main thread is, until the end of the block."""

    def note(_: int, frame: FrameType | None) -> None:
        if frame is None:
            found[OUTSIDE] += 1
        else:
            code = frame.f_code
            found[code.co_filename, code.co_qualname, frame.f_lineno or 0] += 1

    before = signal.signal(signal.SIGPROF, note)
    signal.setitimer(signal.ITIMER_PROF, INTERVAL_S, INTERVAL_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def by_function(samples: Mapping[Place, int]) -> list[Share]:
    """Give the share of each function's own time, the largest first."""
    return _shares({}, samples, lines=False)


def by_line(samples: Mapping[Place, int]) -> list[Share]:
    """Give the share of each line, the largest first."""
    return _shares({}, samples, lines=True)


def _shares(sums: dict[str, int], samples: Mapping[Place, int], *, lines: bool) -> list[Share]:
    for (path, function, line), count in samples.items():
        name = f"{short(path)}:{line} {function}" if lines else f"{short(path)} {function}"
        sums[name] = sums.get(name, 0) + count
    total = sum(sums.values())
    ordered = sorted(sums.items(), key=lambda item: (-item[1], item[0]))
    return [Share(name=name, share=count / total) for name, count in ordered]


def short(path: str) -> str:
    """Give a file as its folder and name, which is enough to find it."""
    parts = Path(path).parts
    return "/".join(parts[-2:])


def draw(shares: list[Share], *, us_per_operation: float, limit: int) -> str:
    """Draw the first `limit` shares, with what each comes to in microseconds an operation."""
    lines = [
        f"{entry.share:>7.1%}  {entry.share * us_per_operation:>7.2f} us  {entry.name}"
        for entry in shares[:limit]
    ]
    rest = sum(entry.share for entry in shares[limit:])
    if rest:
        lines.append(f"{rest:>7.1%}  {rest * us_per_operation:>7.2f} us  (everything else)")
    return "\n".join(lines)
