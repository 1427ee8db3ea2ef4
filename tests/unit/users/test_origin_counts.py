"""The origin counts what a stampede costs: its calls, and how many ran at once."""

from __future__ import annotations

from users.origin import Origin


def test_nested_calls_raise_the_peak_and_a_take_begins_anew() -> None:
    depth = [3]

    def sleep(_: float) -> None:
        depth[0] -= 1
        if depth[0]:
            origin.call()

    origin = Origin(0.05, sleep=sleep)
    origin.call()
    assert origin.take() == (3, 3)
    assert origin.take() == (0, 0)
    assert origin.running == 0
