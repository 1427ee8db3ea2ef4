"""Service and response percentiles, wherever they are shown, are of the same calls."""

from __future__ import annotations

import pytest

from client.operation import Outcome
from report.series import bins_of, latency
from telemetry.histogram import bucket_of
from telemetry.line import to_line
from telemetry.window import Window
from tests.unit.verdict.made_up_runs import MS, REJECTED, MadeUpRun
from verdict.figures import figures
from verdict.model import RunFacts
from verdict.view import View

CUT_OFF = (Outcome.ABORTED, 3_000 * MS)
UNSENT = (Outcome.POOL_TIMEOUT, 2)


def felt_later(windows: dict[int, Window]) -> None:
    """Let every call begin a millisecond after it should have."""
    for window in windows.values():
        for cell in window.cells.values():
            lasted_us = max(cell.service) if cell.service else 0
            cell.response = {lasted_us + bucket_of(2 * MS) - bucket_of(MS): cell.count}


def outage() -> RunFacts:
    """Return a run in which two of three calls are refused at once, and some are cut off."""
    run = MadeUpRun(40)
    run.all_calls("node1", 5, 40, REJECTED).all_calls("node2", 5, 40, UNSENT)
    run.all_calls("node3", 12.0, 12.7, CUT_OFF)
    return run.poke(felt_later).facts()


@pytest.mark.parametrize("share", ["p50", "p99"])
def test_no_response_figure_is_below_its_service_figure(share: str) -> None:
    """A refused call took no time; in one of the two it would make the outage look better."""
    found = figures(View(outage()))
    service, response = (found[f"{what}_{share}"].value for what in ("service", "response"))
    assert service is not None
    assert response is not None
    assert 0.19 < service < response < 5


def test_no_second_shows_a_response_below_its_service() -> None:
    """The same in the timeline, the live page and the chart, each second."""
    facts = outage()
    for window in facts.windows:
        line = to_line(window)
        for share in ("p50", "p99"):
            assert 190 < line[f"service_{share}_us"] < line[f"response_{share}_us"] < 5 * MS
    columns = latency(bins_of(facts))
    for service, response in zip(columns["service p99"], columns["response p99"], strict=True):
        assert service is not None
        assert response is not None
        assert 0.19 < service < response < 5
