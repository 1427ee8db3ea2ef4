"""Waits for somebody else's end count the time in which that end was possible."""

from __future__ import annotations

from session.failure import wait_idle


def test_a_verdict_that_takes_long_is_no_users_fault() -> None:
    """One second of waiting may last a minute where this process itself is busy: it counts once."""
    asked: list[float] = []
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        asked.append(seconds)
        now += 60.0 if len(asked) == 2 else seconds

    wait_idle(4.5, sleep)
    assert asked == [1.0] * 5
    assert now == 64.0
