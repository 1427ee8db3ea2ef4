"""What a process holds: the timeline's share of it is told apart from a leak."""

from __future__ import annotations

import tracemalloc

import gevent
import pytest

from session.resources import bytes_of_windows, foreign_greenlets, held
from telemetry.window import Cell, Window


def windows(count: int) -> list[Window]:
    return [
        Window(
            second=second,
            cells={
                ("get", f"node{n}", outcome): Cell(
                    count=1000,
                    service={1000 + b: 300 + b for b in range(60)},
                    response={2000 + b: 500 + b for b in range(60)},
                )
                for n in range(3)
                for outcome in ("hit", "miss", "timeout")
            },
        )
        for second in range(count)
    ]


def test_the_estimate_is_near_what_is_allocated() -> None:
    """Within a factor of 1.6 of the interpreter's own account."""
    tracemalloc.start()
    made = windows(200)
    allocated, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert bytes_of_windows(made) == pytest.approx(allocated, rel=0.6)
    assert bytes_of_windows([]) == 0


def test_a_greenlet_left_behind_is_counted() -> None:
    """One more greenlet of somebody else's is held; when it has ended it is not.

    By identity, not by number: what other tests left in this process may end at any time.
    """
    left = gevent.spawn(gevent.sleep, 60)
    gevent.sleep(0)
    assert any(thing is left for thing in foreign_greenlets())
    assert held()["greenlets"] >= 1
    left.kill()
    assert not any(thing is left for thing in foreign_greenlets())
