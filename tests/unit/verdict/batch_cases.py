"""Rows for what batches give while a node is away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from client.operation import Outcome
from telemetry.window import EMPTY, RAISED, Window
from tests.unit.verdict.made_up_runs import TIMED_OUT, Fate, MadeUpRun, run_with_outage
from tests.unit.verdict.saturated_cases import late_hub
from verdict.model import NodeChange, NodeEvent

Row = tuple[str, str, Callable[[], MadeUpRun], str]

ALL = ("node1", "node2", "node3")
PARTIAL = (Outcome.PARTIAL, 300)


def batches(
    bad: int = 0,
    how: str = RAISED,
    nodes: tuple[str, ...] = ALL,
    *,
    run: MadeUpRun | None = None,
    a_second: int = 20,
    begin: int = 10,
    end: int = 20,
    fate: Fate = TIMED_OUT,
) -> MadeUpRun:
    """Send batches in an outage of node2; in each second of a span so many give nothing."""
    run = run_with_outage() if run is None else run
    fate = fate if how == RAISED else (Outcome.MISS, 300)
    for second in range(run.seconds):
        run.batch(second, PARTIAL, a_second - (bad if begin <= second < end else 0))
        if bad and begin <= second < end:
            run.batch(second, fate, bad)

    def poke(windows: dict[int, Window]) -> None:
        for second in range(begin, end):
            windows[second].batch_nothing = {(how, nodes): bad}

    return run.poke(poke) if bad else run


def alone(node: str) -> MadeUpRun:
    """Let half of the batches have keys of one node only, and those raise."""
    run = batches(10, RAISED, (node,))

    def poke(windows: dict[int, Window]) -> None:
        for window in windows.values():
            window.batch_alone = {node: 10}

    return run.poke(poke)


def with_another(*effects: str, **changes: Any) -> MadeUpRun:
    return run_with_outage().fault("node1", at=10, to=20, effects=effects, **changes)


def flushed(at: float = 4.0) -> MadeUpRun:
    """Let node1 lose all it has, with nothing wrong with it."""
    event = NodeEvent(node="node1", change=NodeChange.FLUSHED, from_s=at, until_s=at + 1)
    return run_with_outage().but(node_events=[event])


def mostly_alone() -> MadeUpRun:
    """Let 90 of 100 batches ask the dead node alone, and one of the others raise."""
    run = batches(1, a_second=100)

    def poke(windows: dict[int, Window]) -> None:
        for window in windows.values():
            window.batch_alone = {"node2": 90}

    return run.poke(poke)


BATCHES: list[Row] = [
    ("batches_kept", "one of ten that ask others raises", mostly_alone, "FAIL"),
    ("batches_kept", "the rest is named as failed", batches, "PASS"),
    ("batches_kept", "every batch raises", lambda: batches(20), "FAIL"),
    ("batches_kept", "one in twenty raises", lambda: batches(1), "FAIL"),
    (
        "batches_kept",
        "one in a hundred raises",
        lambda: batches(1, a_second=100),
        "PASS",
    ),
    ("batches_kept", "every batch is empty, without a word", lambda: batches(20, EMPTY), "FAIL"),
    (
        "batches_kept",
        "empty, with keys of one healthy node only, which was flushed before",
        lambda: batches(20, EMPTY, ("node1", "node2"), run=flushed()),
        "INCONCLUSIVE",
    ),
    (
        "batches_kept",
        "empty, with keys of a healthy node that lost nothing beside it",
        lambda: batches(20, EMPTY, run=flushed()),
        "FAIL",
    ),
    (
        "batches_kept",
        "empty, and the healthy node was flushed later",
        lambda: batches(20, EMPTY, ("node1", "node2"), run=flushed(30.0)),
        "FAIL",
    ),
    (
        "batches_kept",
        "raised, with keys of one healthy node only, which was flushed before",
        lambda: batches(20, RAISED, ("node1", "node2"), run=flushed()),
        "FAIL",
    ),
    (
        "batches_kept",
        "batches of healthy nodes find nothing",
        lambda: batches(20, EMPTY, ("node1", "node3")),
        "PASS",
    ),
    (
        "batches_kept",
        "batches of healthy nodes raise",
        lambda: batches(20, RAISED, ("node1", "node3")),
        "FAIL",
    ),
    ("batches_kept", "batches of the dead node alone raise", lambda: alone("node2"), "PASS"),
    ("batches_kept", "batches of a healthy node alone raise", lambda: alone("node1"), "FAIL"),
    ("batches_kept", "while the breaker opens", lambda: batches(20, end=12), "PASS"),
    ("batches_kept", "after the heal", lambda: batches(20, begin=20, end=22), "PASS"),
    (
        "batches_kept",
        "on a machine that has other work",
        lambda: batches(20).poke(late_hub(*range(10, 20))),
        "INCONCLUSIVE",
    ),
    (
        "batches_kept",
        "on such a machine at times",
        lambda: batches(20).poke(late_hub(13)),
        "FAIL",
    ),
    (
        "batches_kept",
        "raise at once, on such a machine",
        lambda: batches(20, fate=(Outcome.OTHER_ERROR, 300)).poke(late_hub(*range(10, 20))),
        "FAIL",
    ),
    ("batches_kept", "few batches", lambda: batches(a_second=5), "INCONCLUSIVE"),
    ("batches_kept", "no batches", run_with_outage, "INCONCLUSIVE"),
    (
        "batches_kept",
        "nobody saw the fault",
        lambda: batches(20, run=MadeUpRun().fault("node2", confirmed_at_s=None)),
        "INCONCLUSIVE",
    ),
    (
        "batches_kept",
        "keys of the slow node beside it",
        lambda: batches(20, RAISED, ("node1", "node3"), run=with_another("degraded")),
        "PASS",
    ),
    (
        "batches_kept",
        "two nodes away, the third healthy",
        lambda: batches(20, run=with_another("unavailable")),
        "FAIL",
    ),
    (
        "batches_kept",
        "all nodes away",
        lambda: batches(20, run=MadeUpRun().fault(*ALL)),
        "NOT_APPLICABLE",
    ),
    (
        "batches_kept",
        "a fault of a second",
        lambda: batches(20, run=MadeUpRun().fault("node2", to=11.0)),
        "NOT_APPLICABLE",
    ),
    ("batches_kept", "no fault", lambda: batches(run=MadeUpRun(20)), "NOT_APPLICABLE"),
    # what is left of them for error_budget
    ("error_budget", "batches that raise while a node is away", lambda: batches(20), "PASS"),
    (
        "error_budget",
        "batches that raise while the node recovers",
        lambda: batches(20, begin=20, end=29),
        "PASS",
    ),
    (
        "error_budget",
        "batches that raise before",
        lambda: batches(20, begin=4, end=6),
        "FAIL",
    ),
    (
        "error_budget",
        "batches that raise for a slow node",
        lambda: batches(20, run=MadeUpRun().fault("node2", effects=("degraded",))),
        "FAIL",
    ),
    (
        "error_budget",
        "single calls that fail beside them",
        lambda: batches(20).all_calls("node1", 15.0, 15.4, TIMED_OUT),
        "FAIL",
    ),
]
