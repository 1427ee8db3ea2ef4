"""What pybreaker's listeners and storage hear of a breaker: every move, later, in order, once."""

from __future__ import annotations

import random
import threading
from typing import Any

import gevent
import pybreaker
import pytest

from client.breaker import FAILURE, SUCCESS, Breaker
from client.breaker_settings import BreakerSettings
from client.errors import BreakerOpen
from tests.unit.client.breaker_model import VERDICTS, Entry, replay

SETTINGS = BreakerSettings(
    consecutive_failures=3,
    minimum_calls=8,
    window_s=2.0,
    buckets=4,
    open_s=1.0,
    open_jitter=0.5,
    open_max_s=2.0,
    half_open_probes=2,
    slow_call_s=0.5,
)
LEASE_S = 2.0


class FakeClock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Listener(pybreaker.CircuitBreakerListener):
    """Keeps what it hears; `then` is what else it does."""

    def __init__(self, then: Any = None) -> None:
        self.seen: list[tuple[str, str]] = []
        self.then = then

    def state_change(self, cb: Any, old_state: Any, new_state: Any) -> None:
        self.seen.append((old_state.name, new_state.name))
        if self.then is not None:
            self.then(cb)


def open_and_half_open(breaker: Breaker, clock: FakeClock) -> list[tuple[str, str]]:
    for _ in range(3):
        breaker.done(breaker.acquire(), FAILURE)
    clock.now += 2
    breaker.acquire()
    return [("closed", "open"), ("open", "half-open")]


def test_told_later_outside_of_the_call() -> None:
    """`acquire` and `done` call no listener and no storage; `deliver` does."""
    clock, listener = FakeClock(), Listener()
    storage = pybreaker.CircuitMemoryStorage(pybreaker.STATE_CLOSED)
    breaker = Breaker(SETTINGS, clock=clock, storage=storage)
    breaker.add_listener(listener)
    moves = open_and_half_open(breaker, clock)
    assert (listener.seen, storage.state) == ([], "closed")
    assert breaker.current_state == "half-open"
    breaker.deliver()
    assert (listener.seen, storage.state) == (moves, "half-open")
    assert not breaker.events


def rude(breaker: Breaker) -> None:
    raise RuntimeError("a listener's own trouble")


def calls_back(breaker: Breaker) -> None:
    breaker.deliver()
    try:
        breaker.done(breaker.acquire(), SUCCESS)
    except BreakerOpen:
        breaker.deliver()


@pytest.mark.parametrize("then", [rude, calls_back])
def test_a_listener_breaks_nothing(then: Any) -> None:
    """One that raises or makes calls of its own stops neither the breaker nor the others."""
    clock, guest, polite = FakeClock(), Listener(then), Listener()
    breaker = Breaker(SETTINGS, clock=clock)
    breaker.add_listeners(guest, polite)
    moves = open_and_half_open(breaker, clock)
    breaker.deliver()
    assert guest.seen == polite.seen
    assert guest.seen[:2] == moves


def test_a_listener_may_use_the_breaker_from_another_thread() -> None:
    """No lock is held while it runs: whoever waits for another thread there waits not for us."""
    clock = FakeClock()
    breaker = Breaker(SETTINGS, clock=clock)
    answers: list[Any] = []

    def ask_elsewhere(_: Breaker) -> None:
        thread = threading.Thread(target=lambda: answers.append((breaker.status, breaker.open())))
        thread.start()
        thread.join(5)

    listener = Listener(ask_elsewhere)
    breaker.add_listener(listener)
    open_and_half_open(breaker, clock)
    breaker.deliver()
    assert [status for status, _ in answers] == ["half_open"] + ["open"] * (len(answers) - 1)
    assert len(answers) == len(listener.seen) == 3


def test_a_kill_in_a_listener_goes_on_and_loses_no_event() -> None:
    """The kill is the caller's; the listeners behind it are told by the next `deliver`."""
    clock, behind = FakeClock(), Listener()

    def is_killed(_: Breaker) -> None:
        if len(cut_off.seen) == 1:
            raise gevent.GreenletExit

    cut_off = Listener(is_killed)
    breaker = Breaker(SETTINGS, clock=clock)
    breaker.add_listeners(cut_off, behind)
    moves = open_and_half_open(breaker, clock)
    with pytest.raises(gevent.GreenletExit):
        breaker.deliver()
    assert (cut_off.seen, behind.seen) == (moves[:1], [])
    breaker.deliver()
    assert cut_off.seen == behind.seen == moves


def test_order_holds_when_listeners_wait() -> None:
    """While one delivers, the others' `deliver` returns at once, and nothing overtakes."""
    listener = Listener(lambda _: gevent.sleep(0))
    breaker = Breaker(SETTINGS)
    breaker.add_listener(listener)

    def toggle() -> None:
        for _ in range(20):
            breaker.open()
            gevent.sleep(0)
            breaker.close()

    gevent.joinall([gevent.spawn(toggle) for _ in range(10)], timeout=30, raise_error=True)
    assert len(listener.seen) == sum(breaker.transitions.values()) > 0
    for (_, now), (then, _) in zip(listener.seen, listener.seen[1:], strict=False):
        assert now == then


@pytest.mark.parametrize("seed", range(20))
def test_listeners_hear_what_a_replay_of_the_outcome_log_gives(seed: int) -> None:
    """No phantom transitions: permits, outcomes and times alone explain every move told."""
    rng = random.Random(seed)
    clock, listener = FakeClock(), Listener()
    breaker = Breaker(SETTINGS, clock=clock, lease_s=LEASE_S, rng=rng)
    breaker.add_listener(listener)
    log: list[Entry] = []
    held: list[int] = []
    health = 0.5
    for _ in range(3_000):
        if rng.random() < 0.01:
            health = rng.choice([0.0, 0.5, 1.0])
        clock.now += rng.choice([0, 0, 1, 2, 64]) / 64
        if held and rng.random() < 0.55:
            permit = held.pop(rng.randrange(len(held)))
            verdict = rng.choice(VERDICTS) if rng.random() < 0.1 else FAILURE
            verdict = SUCCESS if rng.random() < health else verdict
            elapsed = rng.choice([0.0, 0.0, 0.0, 1.0])
            log.append(Entry("done", clock.now, clock.now, permit, verdict, elapsed))
            breaker.done(permit, verdict, elapsed=elapsed)
        else:
            try:
                held.append(breaker.acquire())
            except BreakerOpen:
                log.append(Entry("acquire", clock.now, clock.now, None))
            else:
                log.append(Entry("acquire", clock.now, clock.now, held[-1]))
        if rng.random() < 0.05:
            breaker.deliver()
    breaker.deliver()
    assert listener.seen == replay(log, SETTINGS, LEASE_S)
    assert len(listener.seen) == sum(breaker.transitions.values()) >= 10


class Cupboard(pybreaker.CircuitBreakerStorage):
    """A storage of the user's own, as one would share between processes."""

    def __init__(self, state: str) -> None:
        super().__init__("cupboard")
        self.kept = [state]
        self.asked = 0

    @property
    def state(self) -> str:
        self.asked += 1
        return self.kept[-1]

    @state.setter
    def state(self, state: str) -> None:
        self.kept.append(state)
        if state == "half-open":
            raise OSError("the cupboard is out of reach")

    counter = success_counter = 0
    opened_at = None  # type: ignore[override,unused-ignore]  # never asked for


def test_a_storage_is_told_and_not_asked() -> None:
    """It gives the first state, hears of every move, and may fail: calls never wait for it."""
    clock, storage = FakeClock(), Cupboard("closed")
    breaker = Breaker(SETTINGS, clock=clock, storage=storage)
    asked = storage.asked
    moves = open_and_half_open(breaker, clock)
    for _ in range(2):
        breaker.deliver()
    assert storage.kept == ["closed"] + [new for _, new in moves]
    assert storage.asked == asked
    assert breaker.status == "half_open"


@pytest.mark.parametrize("state", ["open", "half-open"])
def test_starts_in_the_state_its_storage_holds(state: str) -> None:
    """A process that joins late does not begin by hammering a dead node."""
    clock = FakeClock()
    breaker = Breaker(SETTINGS, clock=clock, storage=Cupboard(state))
    assert breaker.current_state == state
    if state == "open":
        with pytest.raises(BreakerOpen):
            breaker.acquire()
    clock.now += SETTINGS.open_max_s
    for _ in range(SETTINGS.half_open_probes):
        breaker.done(breaker.acquire(), SUCCESS)
    assert breaker.status == "closed"


def test_a_storage_with_a_state_of_its_own_is_refused() -> None:
    """A state nobody knows is told in a line, at once."""
    with pytest.raises(ValueError, match="'ajar'"):
        Breaker(SETTINGS, storage=Cupboard("ajar"))


def test_pybreakers_way_of_calling_is_refused() -> None:
    """`call`, `calling` and the decorator would serialise calls, so they say what to use."""
    breaker = Breaker(SETTINGS)
    for way in (breaker.call, breaker.calling, breaker.call_async, breaker):
        with pytest.raises(TypeError, match="acquire"):
            way(print)


def test_moved_by_hand() -> None:
    """The methods open, half_open and close move the state, once, and tell the listeners."""
    breaker, listener = Breaker(SETTINGS, clock=FakeClock()), Listener()
    breaker.add_listener(listener)
    assert breaker.open()
    assert not breaker.open()
    assert breaker.state.name == "open"
    breaker.half_open()
    breaker.close()
    assert [new for _, new in listener.seen] == ["open", "half-open", "closed"]
    assert (breaker.fail_counter, breaker.success_counter) == (0, 0)
    assert breaker.acquire()
