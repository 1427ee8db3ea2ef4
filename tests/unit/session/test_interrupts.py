"""Ctrl-C ends a run once; what comes after it cannot take the verdict along."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from session import interrupts
from session.interrupts import PATIENCE_S, Interrupts


class Hub:
    """Gevent's hub as far as an interrupt needs it: what it is given runs at once."""

    def __init__(self) -> None:
        self.parent = "main"
        self.killed: list[str] = []
        self.loop = SimpleNamespace(run_callback_threadsafe=lambda run, *args: run(*args))

    def kill(self, greenlet: str, error: BaseException) -> None:
        assert isinstance(error, KeyboardInterrupt)
        self.killed.append(greenlet)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    hub = Hub()
    fake = SimpleNamespace(get_hub=lambda: hub, spawn=lambda run: run(), kill=hub.kill)
    monkeypatch.setattr(interrupts, "gevent", fake)
    return hub


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_first_ends_and_the_second_says_that_it_does(
    hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    """However often Ctrl-C is pressed: one KeyboardInterrupt, one line."""
    taken = Interrupts(clock=Clock())
    for _ in range(3):
        taken.take()
    assert hub.killed == ["main"]
    assert capsys.readouterr().err == "memquake: ending already, the verdict is being written\n"


def test_an_end_under_way_is_not_interrupted(hub: Hub) -> None:
    """SIGTERM, or a run that came to its own end, and then Ctrl-C."""
    taken = Interrupts(clock=Clock())
    taken.ending()
    taken.take()
    assert not hub.killed


def test_no_process_is_unstoppable(hub: Hub) -> None:
    """An end that takes longer than any honest one can be interrupted again."""
    clock = Clock()
    taken = Interrupts(clock=clock)
    taken.take()
    clock.now += PATIENCE_S
    taken.take()
    assert hub.killed == ["main", "main"]


@pytest.mark.parametrize("ends_by_itself", [False, True])
def test_a_forked_worker_waits_for_its_master(hub: Hub, *, ends_by_itself: bool) -> None:
    """Its last report comes first; told to quit meanwhile, it ends as Locust ends workers."""
    waited: list[float] = []

    def wait(limit_s: float) -> None:
        waited.append(limit_s)
        assert not hub.killed
        if ends_by_itself:
            taken.ending()

    before: Callable[[float], Any] = wait
    taken = Interrupts(before_leaving=before, clock=Clock())
    taken.take()
    assert waited == [PATIENCE_S]
    assert hub.killed == ([] if ends_by_itself else ["main"])
