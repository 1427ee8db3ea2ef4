"""Rows for what a saturated generator excuses: failures by time, in its own seconds only."""

from __future__ import annotations

from collections.abc import Callable

from client.operation import Outcome
from telemetry.histogram import bucket_of
from telemetry.window import Window
from tests.unit.verdict.made_up_runs import (
    MS,
    REJECTED,
    TIMED_OUT,
    MadeUpRun,
    run_with_outage,
)

Row = tuple[str, str, Callable[[], MadeUpRun], str]


def late_hub(*seconds: int) -> Callable[[dict[int, Window]], None]:
    """Let the hub be 30 ms late in these seconds."""

    def poke(windows: dict[int, Window]) -> None:
        for second in seconds:
            windows[second].lag = {bucket_of(30 * MS): 100}

    return poke


SATURATED_CASES: list[Row] = [
    (
        "error_budget",
        "timeouts while the hub was late",
        lambda: MadeUpRun(20).some_calls("node1", 5.0, TIMED_OUT, 11).poke(late_hub(5)),
        "INCONCLUSIVE",
    ),
    (
        "error_budget",
        "timeouts in the second before the hub was seen to be late",
        lambda: MadeUpRun(20).some_calls("node1", 5.0, TIMED_OUT, 11).poke(late_hub(6)),
        "INCONCLUSIVE",
    ),
    (
        "error_budget",
        "timeouts while the hub ran well again",
        lambda: MadeUpRun(20).some_calls("node1", 5.0, TIMED_OUT, 11).poke(late_hub(8)),
        "FAIL",
    ),
    (
        "error_budget",
        "errors that no late hub brings about",
        lambda: (
            MadeUpRun(20).some_calls("node1", 5.0, (Outcome.SERVER_ERROR, MS), 11).poke(late_hub(5))
        ),
        "FAIL",
    ),
    (
        "breaker_spares_healthy_nodes",
        "one call refused while the hub was late",
        lambda: run_with_outage().some_calls("node1", 15, REJECTED, 1).poke(late_hub(15)),
        "INCONCLUSIVE",
    ),
    (
        "no_second_dip",
        "a dip while the hub was late",
        lambda: run_with_outage().some_calls("node1", 30, TIMED_OUT, 7).poke(late_hub(30)),
        "INCONCLUSIVE",
    ),
    (
        "recovers_within",
        "a last failure 15 s after the heal while the hub was late",
        lambda: run_with_outage().some_calls("node2", 35.0, TIMED_OUT, 3).poke(late_hub(35)),
        "INCONCLUSIVE",
    ),
    (
        "unaffected_nodes_healthy",
        "timeouts on a healthy node while the hub was late",
        lambda: run_with_outage().some_calls("node1", 15.0, TIMED_OUT, 9).poke(late_hub(15)),
        "INCONCLUSIVE",
    ),
    (
        "unaffected_nodes_healthy",
        "timeouts on a healthy node on a hub that ran well",
        lambda: run_with_outage().some_calls("node1", 15.0, TIMED_OUT, 9),
        "FAIL",
    ),
    (
        "fails_fast_while_open",
        "a fault too short for a breaker to open",
        lambda: MadeUpRun().fault("node2", to=11.0).outage("node2", end=11.0),
        "NOT_APPLICABLE",
    ),
    (
        "no_masked_misses",
        "a fault of half a second",
        lambda: MadeUpRun().fault("node2", to=10.5),
        "NOT_APPLICABLE",
    ),
]
