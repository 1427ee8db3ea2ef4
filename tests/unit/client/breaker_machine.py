"""Breakers under any order of calls, kills, losses and clock steps, held against their model."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any, ClassVar, NamedTuple

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from client.breaker import FAILURE, IGNORED, SUCCESS, Breaker
from client.breaker_settings import BreakerSettings
from client.errors import BreakerOpen
from client.guard import ShareGuard
from tests.unit.client.breaker_model import VERDICTS, Model, ModelGuard

LEGAL = {"closed>open", "open>half_open", "half_open>open", "half_open>closed"}
LEASE_S = 2.0
NODES = 3
SLOW_S = 0.5
TICK_S = 1 / 64  # sums of it are exact, so model and breaker see the same edge of every interval

ticks = st.one_of(st.integers(0, 8), st.integers(0, 256)).map(lambda count: count * TICK_S)
nodes = st.integers(0, NODES - 1)


class Held(NamedTuple):
    """A permit in a caller's hands."""

    node: int
    permit: int
    since: float
    generation: int  # moves of the breaker before it was given
    closings: int  # how many of them closed it
    is_probe: bool


class Listener:
    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def state_change(self, _: Any, old: Any, new: Any) -> None:
        self.seen.append((old.name, new.name))


class BreakerMachine(RuleBasedStateMachine):
    kind: ClassVar[type[Breaker]] = Breaker

    @initialize(
        probes=st.integers(1, 3),
        streak=st.integers(1, 5),
        slow_call_s=st.sampled_from([None, SLOW_S]),
        growth=st.sampled_from([1.0, 1.5, 2.0]),
        share=st.sampled_from([None, 0.0, 0.4]),
        seed=st.integers(0, 9),
    )
    def begin(self, probes: int, streak: int, share: float | None, seed: int, **more: Any) -> None:
        self.now = 1_000.0
        self.passed = 0.0
        self.held: list[Held] = []
        self.spent: list[Held] = []
        self.settings = BreakerSettings(
            half_open_probes=probes,
            consecutive_failures=streak,
            minimum_calls=4,
            failure_rate=0.5,
            slow_call_rate=0.5,
            window_s=2.0,
            buckets=4,
            open_s=1.0,
            open_max_s=3.0,
            open_growth=more["growth"],
            slow_call_s=more["slow_call_s"],
        )
        self.guard = None if share is None else ShareGuard(share)
        model_guard = ModelGuard(share, NODES)
        rng = random.Random(seed)
        self.breakers = [
            self.kind(
                self.settings, name=f"node{index}", lease_s=LEASE_S, guard=self.guard,
                clock=lambda: self.now, rng=rng,
            )
            for index in range(NODES)
        ]  # fmt: skip
        self.models = [
            Model(self.settings, LEASE_S, model_guard, f"node{index}") for index in range(NODES)
        ]
        self.listeners = [Listener() for _ in range(NODES)]
        for breaker, listener in zip(self.breakers, self.listeners, strict=True):
            breaker.add_listener(listener)  # type: ignore[type-var]

    @rule(seconds=ticks)
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.passed += seconds

    @rule(seconds=st.integers(1, 100_000).map(lambda count: count * TICK_S))
    def clock_steps_back(self, seconds: float) -> None:
        """Move the clock, not time; calls right before and after let it show as a step."""
        self._call_where_not_closed()
        self.now -= seconds
        self._call_where_not_closed()

    @rule(node=nodes)
    def acquire(self, node: int) -> None:
        breaker, model = self.breakers[node], self.models[node]
        try:
            permit = breaker.acquire()
        except BreakerOpen:
            model.acquired(None, self.passed)
        else:
            model.acquired(permit, self.passed)
            generation = sum(breaker.transitions.values())
            is_probe = model.state == "half-open"
            closings = breaker.transitions["half_open>closed"]
            self.held.append(Held(node, permit, self.passed, generation, closings, is_probe))

    def _call_where_not_closed(self) -> None:
        for node, breaker in enumerate(self.breakers):
            if breaker.status != "closed":
                self.acquire(node)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), verdict=st.sampled_from(VERDICTS), elapsed=st.sampled_from([0.0, 0.5, 9]))
    def done(self, data: st.DataObject, verdict: int, elapsed: float) -> None:
        held = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        self._return(held, verdict, elapsed)

    @rule(node=nodes, count=st.integers(1, 6), verdict=st.sampled_from([SUCCESS, FAILURE]))
    def calls_one_after_the_other(self, node: int, count: int, verdict: int) -> None:
        for _ in range(count):
            before = len(self.held)
            self.acquire(node)
            if len(self.held) > before:
                self._return(self.held.pop(), verdict, 0.0)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def kill(self, data: st.DataObject) -> None:
        """End a call by a BaseException: its permit comes back with nothing to say."""
        held = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        before = self._state(held.node)
        self._return(held, IGNORED, 0.0)
        assert self._state(held.node) == before, "a kill changed more than its own permit"

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        """Keep a permit for good; or return it much later."""
        self.spent.append(self.held.pop(data.draw(st.integers(0, len(self.held) - 1))))

    @precondition(lambda self: self.spent)
    @rule(data=st.data(), verdict=st.sampled_from(VERDICTS))
    def return_again(self, data: st.DataObject, verdict: int) -> None:
        """Return a permit a second time, or one given up for lost."""
        held = data.draw(st.sampled_from(self.spent))
        before = self._state(held.node)
        self._return(held, verdict, 0.0)
        if held.generation != before[1]:
            assert self._state(held.node) == before, "an outcome of an earlier state counted"

    @rule(node=nodes, verdict=st.sampled_from(VERDICTS))
    def return_nothing(self, node: int, verdict: int) -> None:
        before = self._state(node)
        assert not self.breakers[node].done(0, verdict)
        assert self._state(node) == before

    @rule(node=nodes)
    def deliver(self, node: int) -> None:
        self.breakers[node].deliver()
        assert self.listeners[node].seen == self.models[node].moves

    def _return(self, held: Held, verdict: int, elapsed: float) -> None:
        model = self.models[held.node]
        expected = model.returned(held.permit, verdict, elapsed, passed=self.passed, now=self.now)
        opened = self.breakers[held.node].done(held.permit, verdict, elapsed=elapsed)
        assert opened == expected, f"said {opened}, should say {expected}"
        self.spent.append(held)

    def _state(self, node: int) -> tuple[Any, ...]:
        breaker = self.breakers[node]
        return breaker.status, sum(breaker.transitions.values()), breaker.streak, breaker.permit

    @invariant()
    def breakers_and_models_agree(self) -> None:
        for breaker, model in zip(getattr(self, "breakers", ()), self.models, strict=True):
            assert breaker.current_state == model.state
            assert bool(breaker.permit) == (model.state == "closed")
            assert breaker.streak == model.streak
            assert breaker.probes_out == len(model.probes) + len(model.late)
            assert breaker.opens_refused == model.refused
            assert breaker.transitions == Counter(
                f"{old}>{new}".replace("-", "_") for old, new in model.moves
            )
            assert set(breaker.transitions) <= LEGAL

    @invariant()
    def never_more_probes_out_than_allowed(self) -> None:
        """Count those in the callers' hands, whatever breaker and model have on their books."""
        for node, breaker in enumerate(getattr(self, "breakers", ())):
            closings = breaker.transitions["half_open>closed"]
            out = [
                held
                for held in self.held
                if held.node == node
                and held.is_probe
                and held.closings == closings
                and held.since + LEASE_S > self.passed
            ]
            assert len(out) <= self.settings.half_open_probes

    @invariant()
    def guard_knows_who_is_out(self) -> None:
        guard: ShareGuard | None = getattr(self, "guard", None)
        if guard is not None:
            out = sum(breaker.status != "closed" for breaker in self.breakers)
            assert guard.out == out
            assert out <= int(guard.share * NODES) + 1

    def teardown(self) -> None:
        """Whatever happened, enough time and answering probes close it."""
        for node, breaker in enumerate(getattr(self, "breakers", ())):
            breaker.deliver()
            assert self.listeners[node].seen == self.models[node].moves
            if breaker.status != "closed":
                self.acquire(node)
            self.time_passes(self.settings.open_max_s + LEASE_S)
            for _ in range(self.settings.half_open_probes):
                if breaker.status != "closed":
                    breaker.done(breaker.acquire(), SUCCESS)
            assert breaker.status == "closed"
        guard: ShareGuard | None = getattr(self, "guard", None)
        assert guard is None or guard.out == 0
