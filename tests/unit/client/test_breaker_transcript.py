"""The breaker read as a transcript: what happens, at what time, and the state after it."""

from __future__ import annotations

import random
from typing import Any

import pybreaker
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


def play(script: list[Any], settings: BreakerSettings = STEADY) -> tuple[Breaker, FakeClock]:
    """Play a script: `+s` waits, `name=` acquires, `name ok|fail|ignored` returns, `no` refuses.

    Words on their own, `ok` and `fail`, are whole calls. A state's name asserts it.
    """
    clock = FakeClock()
    breaker = Breaker(settings, name="node", clock=clock, rng=random.Random(1))
    permits: dict[str, int] = {}
    verdicts = {"ok": SUCCESS, "fail": FAILURE, "ignored": IGNORED}
    for step, line in enumerate(script):
        match line.split():
            case [word] if word.startswith("+"):
                clock.now += float(word[1:])
            case [word] if word.endswith("="):
                permits[word[:-1]] = breaker.acquire()
            case ["no"]:
                with pytest.raises(BreakerOpen):
                    breaker.acquire()
            case [("ok" | "fail" | "ignored") as verdict]:
                breaker.done(breaker.acquire(), verdicts[verdict])
            case [name, verdict]:
                breaker.done(permits[name], verdicts[verdict])
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


class Listener(pybreaker.CircuitBreakerListener):
    def __init__(self, breaker: Breaker | None = None) -> None:
        self.seen: list[tuple[str, str]] = []
        self._breaker = breaker

    def state_change(self, cb: Any, old_state: Any, new_state: Any) -> None:
        self.seen.append((old_state.name, new_state.name))
        if self._breaker is not None:
            self._breaker.deliver()  # a listener that makes calls of its own
            raise RuntimeError("a listener's own trouble")


def test_listeners_hear_of_each_change_later_in_order() -> None:
    """`acquire` and `done` call no listener; `deliver` does, and survives one that raises."""
    clock = FakeClock()
    breaker = Breaker(STEADY, clock=clock)
    rude, polite = Listener(breaker), Listener()
    breaker.add_listeners(rude, polite)
    for _ in range(3):
        breaker.done(breaker.acquire(), FAILURE)
    clock.now += 1
    breaker.acquire()
    assert polite.seen == []
    breaker.deliver()
    assert polite.seen == rude.seen == [("closed", "open"), ("open", "half-open")]


def test_pybreakers_way_of_calling_is_refused() -> None:
    """`call`, `calling` and the decorator would serialise calls, so they say what to use."""
    breaker = Breaker(STEADY)
    for way in (breaker.call, breaker.calling, breaker.call_async, breaker):
        with pytest.raises(TypeError, match="acquire"):
            way(print)


def test_moved_by_hand() -> None:
    """The methods open, half_open and close move the state, once, and tell the listeners."""
    breaker = Breaker(STEADY, clock=FakeClock())
    listener = Listener()
    breaker.add_listener(listener)
    assert breaker.open()
    assert not breaker.open()
    assert breaker.state.name == "open"
    breaker.half_open()
    breaker.close()
    assert [new for _, new in listener.seen] == ["open", "half-open", "closed"]
    assert breaker.acquire()
