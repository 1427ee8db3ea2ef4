"""The breaker under any order of calls: only legal moves, never too many probes, never wedged."""

from __future__ import annotations

import random

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from client.breaker import FAILURE, IGNORED, SUCCESS, Breaker
from client.breaker_settings import BreakerSettings
from client.errors import BreakerOpen

LEGAL = {"closed>open", "open>half_open", "half_open>open", "half_open>closed"}
LEASE_S = 2.0


class BreakerMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.out: list[tuple[int, str, int, float]] = []  # permit, state, generation, since

    @initialize(probes=st.integers(1, 3), streak=st.integers(1, 4), seed=st.integers(0, 9))
    def begin(self, probes: int, streak: int, seed: int) -> None:
        self.probes = probes
        self.settings = BreakerSettings(
            half_open_probes=probes,
            consecutive_failures=streak,
            minimum_calls=4,
            window_s=2.0,
            buckets=4,
            probe_lease_s=LEASE_S,
        )
        self.breaker = Breaker(self.settings, clock=lambda: self.now, rng=random.Random(seed))

    @property
    def generation(self) -> int:
        return sum(self.breaker.transitions.values())

    @rule(seconds=st.floats(0, 3))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def acquire(self) -> None:
        try:
            permit = self.breaker.acquire()
        except BreakerOpen:
            assert self.breaker.status != "closed"
        else:
            assert self.breaker.status != "open"
            self.out.append((permit, self.breaker.status, self.generation, self.now))

    @precondition(lambda self: self.out)
    @rule(data=st.data(), verdict=st.sampled_from([SUCCESS, FAILURE, IGNORED]))
    def done(self, data: st.DataObject, verdict: int) -> None:
        index = data.draw(st.integers(0, len(self.out) - 1))
        permit, _, generation, _ = self.out.pop(index)
        before = (self.breaker.status, self.generation, self.breaker.streak)
        opened = self.breaker.done(permit, verdict)
        after = (self.breaker.status, self.generation, self.breaker.streak)
        if generation != before[1] or verdict == IGNORED:
            assert before == after, "a stale or ignored outcome changed something"
        assert opened == (after[0] == "open" and before[0] != "open")

    @precondition(lambda self: self.out)
    @rule()
    def lose(self) -> None:
        self.out.pop()

    @invariant()
    def only_legal_moves(self) -> None:
        if hasattr(self, "breaker"):
            assert set(self.breaker.transitions) <= LEGAL
            assert self.breaker.opened == sum(
                count for move, count in self.breaker.transitions.items() if move.endswith(">open")
            )

    @invariant()
    def never_more_probes_than_allowed(self) -> None:
        live = [
            entry
            for entry in self.out
            if entry[1] == "half_open"
            and entry[2] == self.generation
            and entry[3] + LEASE_S > self.now
        ]
        assert len(live) <= getattr(self, "probes", 0)

    def teardown(self) -> None:
        """Whatever happened, enough time and answering probes close it."""
        if not hasattr(self, "breaker"):
            return
        self.now += self.settings.open_max_s + LEASE_S
        for _ in range(self.probes):
            self.breaker.done(self.breaker.acquire(), SUCCESS)
        assert self.breaker.status == "closed"


BreakerMachine.TestCase.settings = hypothesis_settings(max_examples=80, deadline=None)
TestBreakerMachine = BreakerMachine.TestCase


def test_settings_refuse_nonsense() -> None:
    """Every bad number is one line that names the setting."""
    for bad in (
        {"consecutive_failures": 0},
        {"failure_rate": 1.5},
        {"window_s": -1.0},
        {"open_jitter": 1.0},
        {"open_growth": 0.5},
        {"open_s": 3.0},
        {"half_open_probes": True},
    ):
        with pytest.raises(ValueError, match=next(iter(bad))):
            BreakerSettings(**bad)
