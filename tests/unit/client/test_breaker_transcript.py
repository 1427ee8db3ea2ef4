"""The breaker read as a transcript: what happens, at what time, and the state after it."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import pytest

from client.breaker import FAILURE, IGNORED, SUCCESS, Breaker
from client.breaker_settings import BREAKER_PROFILES, BreakerSettings
from client.errors import BreakerOpen


class FakeClock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


STEADY = BreakerSettings(
    consecutive_failures=3,
    failure_rate=0.5,
    minimum_calls=10,
    window_s=5.0,
    buckets=5,
    open_s=1.0,
    open_jitter=0.0,
    open_growth=2.0,
    open_max_s=3.0,
    half_open_probes=2,
    probe_lease_s=4.0,
)
SLOW_S = 0.25
MINDS_SLOW_CALLS = dataclasses.replace(STEADY, slow_call_s=SLOW_S, slow_call_rate=0.5)


def play(script: list[Any], settings: BreakerSettings = STEADY) -> tuple[Breaker, FakeClock]:
    """Play a script: `+s` waits, `name=` acquires, `name ok|fail|ignored` returns, `no` refuses.

    Words on their own, such as `ok` and `fail`, are whole calls; `slow` is one that is answered,
    but slowly. `-s` steps the clock back. A state's name asserts it.
    """
    clock = FakeClock()
    breaker = Breaker(settings, name="node", clock=clock, rng=random.Random(1))
    permits: dict[str, int] = {}
    verdicts = {"ok": SUCCESS, "slow": SUCCESS, "fail": FAILURE, "ignored": IGNORED}

    def end(permit: int, how: str) -> None:
        breaker.done(permit, verdicts[how], elapsed=SLOW_S if how == "slow" else 0.0)

    for step, line in enumerate(script):
        match line.split():
            case [word] if word[0] in "+-":
                clock.now += float(word)
            case [word] if word.endswith("="):
                permits[word[:-1]] = breaker.acquire()
            case ["no"]:
                with pytest.raises(BreakerOpen):
                    breaker.acquire()
            case [verdict] if verdict in verdicts:
                end(breaker.acquire(), verdict)
            case [name, verdict]:
                end(permits[name], verdict)
            case [state]:
                assert breaker.status == state, f"step {step}: {script[: step + 1]}"
    return breaker, clock


TRANSCRIPTS = {
    "opens on consecutive failures": ["closed", "fail", "fail", "closed", "fail", "open", "no"],
    "a success ends a streak": ["fail", "fail", "ok", "fail", "fail", "closed"],
    "an ignored call neither ends a streak nor adds to it": [
        *["fail", "fail", "ignored", "closed", "fail", "open"],
    ],
    "opens at the failure rate once there are enough calls": [
        *["ok", "fail", "fail"] * 2,
        *["ok", "fail", "ok", "closed", "fail", "open"],
    ],
    "old calls are forgotten": [*["ok", "fail"] * 4, "+6", "fail", "ok", "fail", "closed"],
    "half-opens by the next call after the open time": [
        *["fail", "fail", "fail", "+0.9", "no", "+0.2", "open", "a=", "half_open"],
    ],
    "half-open admits exactly its probes and refuses the rest at once": [
        *["fail", "fail", "fail", "+1", "a=", "b=", "no", "no", "a ok", "no", "b ok", "closed"],
    ],
    "closes only when all probes succeeded": [
        *["fail", "fail", "fail", "+1", "a=", "a ok", "half_open", "b=", "b ok", "closed", "ok"],
    ],
    "one failed probe opens it again": [
        *["fail", "fail", "fail", "+1", "a=", "b=", "a fail", "open", "no"],
    ],
    "an ignored probe gives its place back": [
        *["fail", "fail", "fail", "+1", "a=", "b=", "no", "a ignored", "c=", "no"],
    ],
    "a lost probe gives its place back after its lease": [
        *["fail", "fail", "fail", "+1", "a=", "b=", "+3.9", "no", "+0.2", "c=", "d=", "no"],
    ],
    "a probe that comes back after its lease says nothing": [
        *["fail", "fail", "fail", "+1", "a=", "b=", "+4", "c=", "a fail", "half_open", "c ok"],
        *["half_open"],
    ],
    "failures from before the opening do not reopen it": [
        *["x=", "fail", "fail", "fail", "+1", "a=", "b=", "x fail", "half_open", "a ok", "b ok"],
        *["x fail", "x fail", "x fail", "closed"],
    ],
    "a success from before the opening closes nothing": [
        *["x=", "fail", "fail", "fail", "x ok", "open", "no"],
    ],
    "the second probe of a failed round says nothing": [
        *["fail", "fail", "fail", "+1", "a=", "b=", "a fail", "open", "b fail", "b ok", "open"],
    ],
    "a late probe of a failed round keeps its place until it is back": [
        *["fail", "fail", "fail", "+1", "a=", "b=", "a fail", "+2", "c=", "no", "b ok", "d=", "no"],
        *["c ok", "d ok", "closed"],
    ],
    "a late probe does not keep the others from closing": [
        *["fail", "fail", "fail", "+1", "a=", "b=", "a fail", "+2", "ok", "half_open", "ok"],
        *["closed", "b fail", "closed"],
    ],
    "a late probe that is lost gives its place back after its lease": [
        *["fail", "fail", "fail", "+1", "a=", "b=", "a fail", "+2", "c=", "no", "+2", "d=", "no"],
    ],
    "the open time grows while probes fail, up to its limit": [
        *["fail", "fail", "fail", "+1", "fail", "+1.9", "no", "+0.2", "fail", "+2.9", "no"],
        *["+0.2", "fail", "+2.9", "no", "+0.2", "ok", "ok", "closed"],
    ],
    "after closing the open time starts anew": [
        *["fail", "fail", "fail", "+1", "fail", "+2", "ok", "ok", "closed"],
        *["fail", "fail", "fail", "open", "+1", "a=", "half_open"],
    ],
    "after closing the streak and the window start anew": [
        *["fail", "fail", "fail", "+1", "ok", "ok", "fail", "fail", "closed"],
    ],
}


@pytest.mark.parametrize("script", TRANSCRIPTS.values(), ids=TRANSCRIPTS.keys())
def test_transcript(script: list[str]) -> None:
    """The breaker goes through exactly the states of the transcript."""
    play(script)


SLOW_TRANSCRIPTS = {
    "opens at the slow rate once there are enough calls": [
        *["ok", "slow"] * 4,
        *["ok", "closed", "slow", "open", "no"],
    ],
    "a slow call is an answer: it ends a streak": [
        "fail",
        "fail",
        "slow",
        "fail",
        "fail",
        "closed",
    ],
    "below the rate slow calls open nothing": [*["ok", "ok", "slow"] * 10, "closed"],
    "old slow calls are forgotten": [*["ok", "slow"] * 4, "+6", "slow", "ok", "slow", "closed"],
    "a slow probe has failed": [
        *["fail", "fail", "fail", "+1", "a=", "b=", "a ok", "b slow", "open", "+1.9", "no"],
    ],
}


@pytest.mark.parametrize("script", SLOW_TRANSCRIPTS.values(), ids=SLOW_TRANSCRIPTS.keys())
def test_slow_calls(script: list[str]) -> None:
    """A slow call counts in the same window as failures, with a rate of its own, when asked for."""
    play(script, MINDS_SLOW_CALLS)


def test_slow_calls_do_not_count_unasked() -> None:
    """By default only deadlines judge how long a node may take."""
    breaker, _ = play(["slow"] * 100 + ["closed"] + ["fail"] * 3 + ["+1", "slow", "slow", "closed"])
    assert breaker.slow_call_s is None


CLOCK_TRANSCRIPTS = {
    "a step back while open waits one open time from then on, not until the old hour": [
        *["fail", "fail", "fail", "-50", "no", "+0.9", "no", "+0.2", "a=", "half_open"],
    ],
    "a step back does not give a probe's place away": [
        *["fail", "fail", "fail", "+1", "a=", "b=", "-50", "no", "+3.9", "no", "+0.2", "c="],
    ],
    "a probe from before a step back still counts": [
        *["fail", "fail", "fail", "+1", "a=", "b=", "-50", "no", "a ok", "b ok", "closed"],
    ],
    "again and again": [
        *["fail", "fail", "fail", *["-10", "no", "+0.3", "no"] * 3, "+0.2", "a=", "half_open"],
    ],
    "a step back while closed forgets the window, not the streak": [
        *["ok", "fail"] * 4,
        *["fail", "-50", "ok", "fail", "ok", "fail", "fail", "closed", "fail", "open"],
    ],
    "a clock that stands still lets nothing pass, and goes on where it stopped": [
        *["fail", "fail", "fail", *["no"] * 50, "+1", "a=", "half_open"],
    ],
    "a leap forward ends what waits, once": [
        *["fail", "fail", "fail", "+1000000", "a=", "b=", "no", "a ok", "b ok", "closed"],
    ],
}


@pytest.mark.parametrize("script", CLOCK_TRANSCRIPTS.values(), ids=CLOCK_TRANSCRIPTS.keys())
def test_clocks_that_misbehave(script: list[str]) -> None:
    """No step and no standstill of the clock wedges a breaker or lets more probes out."""
    play(script)


ONE_LINE = {
    "closed": (["fail", "fail"], "<Breaker node closed: 2 failed in a row>"),
    "open": (["fail"] * 3, "<Breaker node open: opened 1 times>"),
    "half-open": (
        [*["fail"] * 3, "+1", "a=", "b=", "a ok"],
        "<Breaker node half_open: 1 of 2 probes out, 1 well>",
    ),
}


@pytest.mark.parametrize(("script", "line"), ONE_LINE.values(), ids=ONE_LINE.keys())
def test_says_its_state_in_a_line(script: list[str], line: str) -> None:
    """A repr is what one wants to see in a log: name, state, and what it goes by."""
    assert repr(play(script)[0]) == line


def test_counts_what_happened_and_nothing_else() -> None:
    """Transitions, openings and probes are counted once each."""
    breaker, _ = play(["fail"] * 3 + ["+1", "a=", "b=", "a fail", "b fail", "+2", "ok", "ok"])
    assert dict(breaker.transitions) == {
        "closed>open": 1,
        "open>half_open": 2,
        "half_open>open": 1,
        "half_open>closed": 1,
    }
    assert breaker.opened == 2
    assert breaker.probes_admitted == 4


def test_done_says_when_it_opened() -> None:
    """Of all failures only the one that opens the breaker is told so."""
    breaker = Breaker(STEADY, clock=FakeClock())
    permits = [breaker.acquire() for _ in range(5)]
    assert [breaker.done(permit, FAILURE) for permit in permits] == [
        *[False, False, True, False, False]
    ]


@pytest.mark.parametrize("profile", BREAKER_PROFILES)
def test_open_times_are_jittered_and_bounded(profile: str) -> None:
    """No open time exceeds open_max_s, however many probe rounds failed."""
    settings = BREAKER_PROFILES[profile]
    clock = FakeClock()
    breaker = Breaker(settings, clock=clock, rng=random.Random(7))
    for _ in range(settings.consecutive_failures):
        if breaker.status == "closed":
            breaker.done(breaker.acquire(), FAILURE)
    for _ in range(2_000):
        clock.now += settings.open_s * (1 - settings.open_jitter) - 0.001
        with pytest.raises(BreakerOpen):
            breaker.acquire()
        clock.now += settings.open_max_s - settings.open_s * (1 - settings.open_jitter) + 0.001
        breaker.done(breaker.acquire(), FAILURE)
        assert breaker.status == "open"


def test_default_profile_trips_on_five_calls_in_flight() -> None:
    """Calls that time out together open the default breaker with the fifth."""
    breaker = Breaker(BreakerSettings(), clock=FakeClock())
    for _ in range(4):
        assert not breaker.done(breaker.acquire(), FAILURE)
    assert breaker.done(breaker.acquire(), FAILURE)
