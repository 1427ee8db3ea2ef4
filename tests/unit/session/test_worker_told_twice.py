"""A load process that hears of the same run twice builds it once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import gevent
import pytest

from session import worker
from session.worker import WorkerSession


class Runner:
    """Takes messages, gives none."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []

    def register_message(self, name: str, handler: Any) -> None:
        pass

    def send_message(self, name: str, data: Any) -> None:
        self.sent.append((name, data))


class SlowRun:
    """A run that takes some turns of the hub to build."""

    built: list[SlowRun] = []  # noqa: RUF012
    fails = False

    def __init__(self, environment: Any, clock: Any, data: Any) -> None:
        self.id = data["run"]
        self.abandoned = False
        gevent.sleep(0.01)
        if SlowRun.fails:
            raise RuntimeError("no client")
        SlowRun.built.append(self)

    def abandon(self) -> None:
        self.abandoned = True


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> WorkerSession:
    monkeypatch.setattr(worker, "WorkerRun", SlowRun)
    monkeypatch.setattr(worker, "ClockSync", lambda *_, **__: None)
    SlowRun.built, SlowRun.fails = [], False
    return WorkerSession(SimpleNamespace(runner=Runner()))


def tell(session: WorkerSession, run: str) -> gevent.Greenlet:
    return gevent.spawn(session._on_run, SimpleNamespace(data={"run": run}))


def test_told_again_while_it_builds(session: WorkerSession) -> None:
    """There is one run, and it is the one that GO will be for."""
    gevent.joinall([tell(session, "one"), tell(session, "one")])
    assert [run.id for run in SlowRun.built] == ["one"]
    assert session.run is SlowRun.built[0]


def test_the_next_run_takes_its_place(session: WorkerSession) -> None:
    """The one before is let go."""
    tell(session, "one").join()
    tell(session, "two").join()
    assert session.run is SlowRun.built[1]
    assert [run.abandoned for run in SlowRun.built] == [True, False]


def test_what_could_not_be_built_may_be_tried_again(session: WorkerSession) -> None:
    """The master has been told each time."""
    SlowRun.fails = True
    tell(session, "one").join()
    SlowRun.fails = False
    tell(session, "one").join()
    assert [name for name, _ in session.runner.sent] == [worker.messages.FAILED]
    assert session.run is SlowRun.built[0]
