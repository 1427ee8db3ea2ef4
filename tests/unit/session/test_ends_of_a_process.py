"""A process ends once, however many of its greenlets come to the end."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from session import wiring


def test_the_second_end_leaves_it_to_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Locust's main greenlet and that of a signal: the summary of a run is printed once."""
    waits: list[float] = []
    monkeypatch.setattr(wiring.gevent, "sleep", waits.append)
    monkeypatch.setattr(wiring.signal, "signal", lambda *_: None)
    monkeypatch.setattr(wiring.Process, "is_ending", False)
    environment: Any = SimpleNamespace(process_exit_code=None)
    wiring._on_quitting(environment)
    assert not waits
    wiring._on_quitting(environment)
    assert waits == [wiring.ENDING_S]
