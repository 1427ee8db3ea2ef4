"""The sliding window against a plain list of all calls."""

from __future__ import annotations

import hypothesis
from hypothesis import strategies as st

from client.window import SlidingWindow

TICK_S = 1 / 64  # sums of it are exact
STEPS = st.lists(
    st.tuples(st.integers(0, 100), st.booleans(), st.booleans()), min_size=1, max_size=80
)


@hypothesis.given(steps=STEPS, buckets=st.sampled_from([1, 2, 4, 8]))
def test_counts_lie_between_the_window_and_the_window_less_one_step(
    steps: list[tuple[int, bool, bool]], buckets: int
) -> None:
    """No call older than the window counts; every call younger than it less one step does."""
    width_s = 4.0
    window, now = SlidingWindow(width_s, buckets), 50.0
    calls: list[tuple[float, bool, bool]] = []
    for ticks, failed, slow in steps:
        now += ticks * TICK_S
        window.add(now, failed=failed, slow=slow)
        calls.append((now, failed, slow))
        for index, counted in enumerate(window.totals(now)):
            must = [c for c in calls if c[0] > now - width_s + width_s / buckets]
            may = [c for c in calls if c[0] > now - width_s]
            low, high = (
                len(seen) if index == 0 else sum(c[index] for c in seen) for seen in (must, may)
            )
            assert low <= counted <= high


def test_memory_is_bounded() -> None:
    """However many calls, it keeps a step more than its buckets."""
    window = SlidingWindow(1.0, 10)
    for index in range(10_000):
        window.add(index * 0.013)
    assert len(window._steps) <= 11


def test_a_success_is_added_in_line() -> None:
    """What the breaker does on its hot path, `calls += 1`, is what `add` does until `ends_at`."""
    window = SlidingWindow(1.0, 10)
    window.roll(7.0)
    assert window.ends_at == 7.1
    window.calls += 1
    window.add(7.05, failed=True)
    assert window.totals(7.09) == (2, 1, 0)
    assert window.totals(7.5) == (2, 1, 0)
    assert window.totals(8.0) == (0, 0, 0)


def test_a_clock_that_went_back_leaves_nothing_behind() -> None:
    """Calls of a time that is yet to come have no place in the window, and do not come back."""
    window = SlidingWindow(1.0, 10)
    for at in (100.0, 100.15, 100.3):
        window.add(at, failed=True)
    window.add(20.0, failed=True)
    assert window.totals(20.0) == (1, 1, 0)
    assert window.totals(100.3) == (0, 0, 0)


def test_a_clock_that_stands_still_forgets_nothing() -> None:
    """No time has passed: every call is of the latest second."""
    window = SlidingWindow(1.0, 10)
    for _ in range(1_000):
        window.add(5.0, slow=True)
    assert window.totals(5.0) == (1_000, 0, 1_000)
