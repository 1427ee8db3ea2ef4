"""Whose doing a stall of the hub was, on made-up samples and totals."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import pytest

from session.frames import Mine
from session.stalls import Blame, Finding, Sample, Stall, Times, judge_stall, settle

LENGTH_S = 0.15
FRAME, OTHER_FRAME = sys._getframe(), sys._getframe().f_back or sys._getframe()
Looks = Sequence[Sample]


def looks(
    count: int = 12,
    *,
    asleep: bool = False,
    calls: int = 1,
    spots: int = 5,
    begin: float = 0.03,
    step: float = 0.01,
) -> list[Sample]:
    """Look at the client every 10 ms: how many calls take turns, at how many instructions."""
    frames = (FRAME, OTHER_FRAME)
    return [
        Sample(
            begin + step * i,
            asleep,
            Mine(call=frames[i % calls], place="x.py:7 in get", spot=(1, i % spots)),
        )
        for i in range(count)
    ]


def nobody(samples: Looks) -> list[Sample]:
    return [Sample(sample.at, sample.is_asleep, None) for sample in samples]


def stall(samples: Looks, length_s: float = LENGTH_S, **after: float) -> Finding:
    """Judge a stall that began at 0; what nobody names the hub's thread spent on the CPU."""
    totals: dict[str, float] = {"ran": length_s, "own_turns": 3 * len(samples)} | after
    totals.setdefault("process", totals["ran"])
    before = Times(begun=-0.01, at=-0.01)
    end = Times(begun=length_s, at=length_s + 0.01, **totals)  # type: ignore[arg-type]
    return judge_stall(Stall(at=0.0, length_s=length_s, before=before, after=end, samples=samples))


CASES: list[tuple[str, Callable[[], Finding], Blame]] = [
    ("one call computes", lambda: stall(looks()), Blame.CLIENT),
    ("one call sleeps", lambda: stall(looks(asleep=True), ran=0.002), Blame.CLIENT),
    (
        "many calls sleep in turn",
        lambda: stall(looks(asleep=True, calls=2), ran=0.002),
        Blame.CLIENT,
    ),
    ("just 100 ms", lambda: stall(looks(8), 0.1), Blame.OTHERS),
    ("just over 100 ms", lambda: stall(looks(8), 0.11), Blame.CLIENT),
    ("the machine had the processor", lambda: stall(looks(), ran=0.05, queued=0.1), Blame.OTHERS),
    (
        "with the machine's part taken off it is still 100 ms",
        lambda: stall(looks(28), 0.3, ran=0.15, queued=0.15),
        Blame.CLIENT,
    ),
    ("stolen by another tenant", lambda: stall(looks(), stolen=0.06), Blame.OTHERS),
    ("a collection of garbage", lambda: stall(looks(), collected=0.12), Blame.OTHERS),
    (
        "another thread computes while this one waits for it",
        lambda: stall(looks(asleep=True), ran=0.005, process=0.15),
        Blame.OTHERS,
    ),
    ("many calls take turns", lambda: stall(looks(calls=2)), Blame.OTHERS),
    ("no frame of the client", lambda: stall(nobody(looks())), Blame.OTHERS),
    (
        "the harness for half the time",
        lambda: stall([*nobody(looks(6)), *looks(6, begin=0.09)]),
        Blame.OTHERS,
    ),
    ("too few looks", lambda: stall(looks(3)), Blame.OTHERS),
    ("no look at all", lambda: stall([]), Blame.OTHERS),
    ("nothing moved", lambda: stall(looks(spots=1)), Blame.LIKELY),
    (
        "locked out until the end",
        lambda: stall(looks(1, begin=0.15), own_turns=30),
        Blame.LIKELY,
    ),
    (
        "locked out, and then it was not the client",
        lambda: stall(nobody(looks(1, begin=0.15)), own_turns=30),
        Blame.OTHERS,
    ),
    (
        "the watchdog was not let run either",
        lambda: stall(looks(1, begin=0.15), own_turns=3),
        Blame.OTHERS,
    ),
]


@pytest.mark.parametrize(
    ("make", "blame"), [pytest.param(make, blame, id=name) for name, make, blame in CASES]
)
def test_only_what_nobody_else_can_have_had_is_the_clients(
    make: Callable[[], Finding], blame: Blame
) -> None:
    """Every excuse is taken off first; then samples must say that one call held the hub."""
    assert make().blame is blame


def test_totals_that_do_not_cover_the_stall_convict_nobody() -> None:
    """What was read after the stall says nothing of it."""
    moment = Times(begun=1.0, at=1.0)
    late = Times(begun=1.03, at=1.03, ran=0.01, process=0.01)
    found = judge_stall(Stall(at=0.0, length_s=1.0, before=moment, after=late, samples=looks()))
    assert found.blame is Blame.OTHERS


@pytest.mark.parametrize(
    ("places", "count"),
    [
        pytest.param(["a"], 0, id="once may be chance"),
        pytest.param(["a", "b"], 0, id="twice, but elsewhere"),
        pytest.param(["a", "b", "a"], 2, id="twice at the same place"),
    ],
)
def test_a_likely_stall_counts_when_it_repeats(places: list[str], count: int) -> None:
    """A machine that stops by itself hardly stops twice at the same line."""
    findings = [Finding(blame=Blame.LIKELY, at=1.0, length_s=0.2, place=place) for place in places]
    found, others = settle(findings)
    assert (len(found), others) == (count, len(places) - count)
