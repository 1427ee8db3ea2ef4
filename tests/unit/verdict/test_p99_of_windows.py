"""A p99 over its limit convicts when it is beyond what the windows' own scatter explains."""

from __future__ import annotations

import random

import pytest

from verdict.compare import compare_p99
from verdict.model import Ruling

CALM = [4.0] * 9
WILD = [2.0, 9.0, 3.0, 4.0, 12.0, 4.5, 2.5, 8.0, 3.5]


@pytest.mark.parametrize(
    ("before", "after", "ruling"),
    [
        pytest.param(CALM, [6.0] * 9, Ruling.PASS, id="at the limit"),
        pytest.param(CALM, [6.1] * 9, Ruling.FAIL, id="just over it, no scatter"),
        pytest.param(WILD, WILD, Ruling.PASS, id="as wild as before"),
        pytest.param(WILD, [1.7 * x for x in WILD], Ruling.INCONCLUSIVE, id="over, by less"),
        pytest.param(WILD, [9 * x for x in WILD], Ruling.FAIL, id="far over, however wild"),
        pytest.param(CALM, [6.1] * 4 + [30.0] * 5, Ruling.FAIL, id="waits for time-outs"),
        pytest.param(CALM, [5.0, 9.0, 700.0, 40.0, 6.5], Ruling.FAIL, id="wild only afterwards"),
        pytest.param([0.0] * 9, [0.5] * 9, Ruling.PASS, id="nothing took any time before"),
    ],
)
def test_the_ruling(before: list[float], after: list[float], ruling: Ruling) -> None:
    """Holds, just fails, cannot be told."""
    result = compare_p99("after_recovery_as_before", "calls", before, after, 1.5)
    assert result is not None
    assert result.verdict is ruling, result.why


def test_more_windows_tell() -> None:
    """The same excess that nine wild windows cannot prove is proven by many."""
    after = [1.8 * x for x in WILD]
    few = compare_p99("after_recovery_as_before", "calls", WILD, after, 1.5)
    many = compare_p99("after_recovery_as_before", "calls", WILD * 40, after * 40, 1.5)
    assert few is not None
    assert many is not None
    assert few.verdict is Ruling.INCONCLUSIVE
    assert "run longer" in few.why
    assert many.verdict is Ruling.FAIL


def test_noise_alone_hardly_ever_convicts() -> None:
    """Windows that are half as slow again by the machine, no more: under two in a hundred FAIL."""
    rng = random.Random(1)
    rulings = []
    for _ in range(1000):
        before = [rng.lognormvariate(1.5, 0.4) for _ in range(9)]
        after = [1.5 * rng.lognormvariate(1.5, 0.4) for _ in range(15)]
        result = compare_p99("after_recovery_as_before", "calls", before, after, 1.5)
        assert result is not None
        rulings.append(result.verdict)
    assert rulings.count(Ruling.FAIL) < 20
    assert rulings.count(Ruling.PASS) > 300
