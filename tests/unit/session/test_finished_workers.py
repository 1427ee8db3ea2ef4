"""A worker whose last report is here may go; one without it is lost."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from session import watch
from session.fleet import Fleet


class EndOfTestError(Exception):
    pass


@pytest.mark.parametrize(("told", "lost_at_s"), [(True, None), (False, 7.0)])
def test_who_has_told_all_is_not_lost(
    monkeypatch: pytest.MonkeyPatch, *, told: bool, lost_at_s: float | None
) -> None:
    """Locust forgets a worker that quits; the others may still be writing their last reports."""
    looks = iter([None])

    def sleep(_: float) -> None:
        if next(looks, EndOfTestError) is EndOfTestError:
            raise EndOfTestError

    monkeypatch.setattr(watch.gevent, "sleep", sleep)
    fleet = Fleet()
    fleet.heard("a", {"Mixed": 1}, ready=1, problem="")
    fleet.heard("b", {"Mixed": 1}, ready=1, problem="")
    collector = SimpleNamespace(
        has_final=lambda worker: told and worker == "a",
        last_seen=lambda worker: None if worker == "b" else 107.0,
    )
    run: Any = SimpleNamespace(
        runner=SimpleNamespace(clients={"b": SimpleNamespace(state="running")}),
        fleet=fleet,
        collector=collector,
        epoch=100.0,
        now_s=8.0,
        journal=SimpleNamespace(note=lambda *_, **__: None),
        share_rate=lambda: None,
    )
    with pytest.raises(EndOfTestError):
        watch.watch_workers(run)
    assert fleet.members["a"].lost_at_s == lost_at_s
    assert fleet.members["b"].lost_at_s is None
