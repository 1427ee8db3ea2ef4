"""Rows for keys that move: what the servers showed of them, what clients gave, and the ruling."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from telemetry.window import Cell, Window
from tests.unit.verdict.ledger_cases import MOVED, Row, told
from tests.unit.verdict.made_up_runs import MadeUpRun, run_with_outage

UNTIL_THE_END = [("node2", second, 1) for second in range(12, 40)]
"""A client that does not come back to the node within the run."""


def out(**changes: Any) -> MadeUpRun:
    """Give a run with node2 out from 10 s to 20 s, and what the ledger told of it."""
    return told(run_with_outage(), **changes)


def missing(
    given: Mapping[int, int], counted: Mapping[int, int], *, usual: int = 5
) -> Callable[[dict[int, Window]], None]:
    """Let clients give misses and the servers count some, by the second, beside the usual ones."""

    def poke(windows: dict[int, Window]) -> None:
        total = 0
        for second, window in sorted(windows.items()):
            for name, stats in window.server.items():
                stats["get_misses"] = total if name == "node1" else 0
            answered = (cell for (*_, end), cell in window.cells.items() if end in {"hit", "miss"})
            there = sum(cell.keys - cell.hits for cell in answered)
            extra = usual - there + given.get(second, 0)
            cell = window.cells.setdefault(("get_many", "", "hit"), Cell())
            cell.keys += extra
            total += usual + counted.get(second, 0)

    return poke


def spread(begin: int, end: int, count: int) -> dict[int, int]:
    return dict.fromkeys(range(begin, end), count)


READS: list[Row] = [
    (
        "no_stale_reads",
        "another node holds what was read",
        lambda: out(left_over=[("node2", 25, 70)], moved=MOVED),
        "PASS",
    ),
    (
        "no_stale_reads",
        "no other node holds it, and no write was seen to move",
        lambda: out(stale=70),
        "FAIL",
    ),
    (
        "no_stale_reads",
        "no other node holds it, whoever moves keys besides",
        lambda: out(stale=70, moved=MOVED),
        "FAIL",
    ),
    (
        "no_stale_reads",
        "one of which a copy may have expired",
        lambda: out(stale=1, left_over=[("node2", 25, 70)], moved=MOVED),
        "INCONCLUSIVE",
    ),
    (
        "no_stale_reads",
        "read from a wrong node before anything was broken",
        lambda: out(left_over=[("node2", 6, 1)], moved=[("node2", 5, 3), *MOVED]),
        "FAIL",
    ),
    (
        "no_stale_reads",
        "read from a wrong node, and nothing is ever broken",
        lambda: told(MadeUpRun(20), left_over=[("node2", 12, 1)], moved=MOVED),
        "FAIL",
    ),
    (
        "no_stale_reads",
        "of a node whose keys nobody saw elsewhere",
        lambda: out(left_over=[("node1", 25, 3)], moved=MOVED),
        "FAIL",
    ),
    (
        "no_stale_reads",
        "nobody could look, where keys were seen elsewhere",
        lambda: out(stale_unsure=[("node2", 25, 3)], moved=MOVED),
        "PASS",
    ),
    (
        "no_stale_reads",
        "nobody could look, and no key was seen elsewhere",
        lambda: out(stale_unsure=[("node2", 25, 3)]),
        "FAIL",
    ),
    (
        "no_stale_reads",
        "nobody can ever look, and the client says that it moves keys",
        lambda: out(stale_unsure=[("", 25, 3)], declares_moves=True),
        "INCONCLUSIVE",
    ),
    (
        "no_stale_reads",
        "the client says that it moves keys, and gives what no node holds",
        lambda: out(stale=3, declares_moves=True),
        "FAIL",
    ),
    (
        "no_stale_reads",
        "another node holds it, over a budget",
        lambda: out(left_over=[("node2", 25, 70)], moved=MOVED).but(
            budgets={"no_stale_reads": 10.0}
        ),
        "FAIL",
    ),
]

OF_A_DEAD_NODE: dict[str, dict[str, Any]] = {
    "no_stale_reads": {"left_over": [("node2", 25, 7)]},
    "no_false_misses": {"masked": [("node2", 22, 50)]},
    "no_lost_updates": {"older_counters": [("node2", 25, 7)]},
}

VOID: list[Row] = [
    (
        name,
        "of a node that died by itself",
        partial(told, MadeUpRun(20).but(is_void=True), moved=[("node2", 21, 9)], **changes),
        "PASS",
    )
    for name, changes in OF_A_DEAD_NODE.items()
]

UPDATES: list[Row] = [
    (
        "no_lost_updates",
        "a counter that a left-out node has kept",
        lambda: out(older_counters=[("node2", 25, 3)], moved=MOVED),
        "PASS",
    ),
    (
        "no_lost_updates",
        "a step made twice, whoever moves keys besides",
        lambda: out(wrong_updates=1, older_counters=[("node2", 25, 3)], moved=MOVED),
        "FAIL",
    ),
    (
        "no_lost_updates",
        "an older counter before anything was broken",
        lambda: out(older_counters=[("node2", 6, 1)], moved=MOVED),
        "FAIL",
    ),
    (
        "no_lost_updates",
        "an older counter, and no write was seen to move",
        lambda: out(older_counters=[("node2", 25, 1)]),
        "INCONCLUSIVE",
    ),
]

WRITES: list[Row] = [
    (
        "no_lost_writes",
        "of another node than the one whose keys moved",
        lambda: out(lost=[("node1", 15, 1)], moved=MOVED),
        "FAIL",
    ),
    (
        "no_lost_writes",
        "the client says that it moves keys",
        lambda: out(lost=[("node2", 15, 1)], declares_moves=True),
        "PASS",
    ),
]

LEFT_OUT = [("node2", 15, 300)]

MISSES: list[Row] = [
    (
        "no_masked_misses",
        "other nodes gave them all",
        lambda: out(masked=LEFT_OUT, moved=MOVED).poke(
            missing(spread(10, 20, 60), spread(10, 20, 60))
        ),
        "PASS",
    ),
    (
        "no_masked_misses",
        "nobody gave them for two seconds, then other nodes did",
        lambda: out(masked=LEFT_OUT, moved=MOVED).poke(
            missing(spread(10, 20, 60), spread(12, 20, 60))
        ),
        "FAIL",
    ),
    (
        "no_masked_misses",
        "nobody gave a few, as at an edge",
        lambda: out(masked=LEFT_OUT, moved=MOVED).poke(
            missing(spread(10, 20, 60), spread(10, 20, 60) | {10: 45})
        ),
        "PASS",
    ),
    (
        "no_masked_misses",
        "servers that do not count them",
        lambda: out(masked=LEFT_OUT, moved=MOVED),
        "INCONCLUSIVE",
    ),
    (
        "no_masked_misses",
        "no write was seen to move, and the servers gave no more than usual",
        lambda: out(masked=LEFT_OUT).poke(missing(spread(10, 20, 60), {})),
        "FAIL",
    ),
    (
        "no_masked_misses",
        "no write was seen to move, and the servers gave as many more",
        lambda: out(masked=LEFT_OUT).poke(missing(spread(10, 20, 60), spread(10, 20, 60))),
        "INCONCLUSIVE",
    ),
    (
        "no_masked_misses",
        "before the writes of the node were seen elsewhere, in another fault",
        lambda: told(
            MadeUpRun(60).fault("node2").fault("node2", at=40.0, to=50.0),
            masked=[("node2", 15, 300)],
            moved=[("node2", 42, 9)],
        ).poke(missing(spread(10, 20, 60), {})),
        "FAIL",
    ),
    (
        "no_false_misses",
        "of a node that the client still leaves out",
        lambda: out(masked=[("node2", 35, 50)], moved=UNTIL_THE_END),
        "PASS",
    ),
    (
        "no_false_misses",
        "of a node that the client has come back to",
        lambda: out(masked=[("node2", 35, 50)], moved=MOVED),
        "FAIL",
    ),
    (
        "no_false_misses",
        "from a wrong node before anything was broken",
        lambda: out(masked=[("node2", 6, 50)], moved=UNTIL_THE_END),
        "FAIL",
    ),
    (
        "no_false_misses",
        "of nodes beside the fault, whose keys were not seen elsewhere",
        lambda: out(masked=[("node1", 15, 50)], moved=UNTIL_THE_END),
        "FAIL",
    ),
    (
        "no_false_misses",
        "of nodes beside the fault, which gave as many more",
        lambda: out(masked=[("node1", 15, 50)], moved=UNTIL_THE_END).poke(
            missing(spread(10, 20, 60), spread(10, 20, 60))
        ),
        "INCONCLUSIVE",
    ),
]

EFFECT: list[Row] = [
    (
        "fault_confirmed",
        "values of keys that were seen on another node come at once",
        lambda: told(MadeUpRun().fault("node2"), moved=UNTIL_THE_END),
        "PASS",
    ),
    (
        "fault_confirmed",
        "values come at once, and keys of another node were seen elsewhere",
        lambda: told(MadeUpRun().fault("node2"), moved=[("node1", 12, 9)]),
        "INCONCLUSIVE",
    ),
    (
        "fault_confirmed",
        "values come at once, long after its keys were elsewhere",
        lambda: told(MadeUpRun().fault("node2"), moved=MOVED),
        "INCONCLUSIVE",
    ),
    (
        "fault_confirmed",
        "values come at once, and keys were elsewhere before the fault alone",
        lambda: told(MadeUpRun().fault("node2"), moved=[("node2", 5, 9)]),
        "INCONCLUSIVE",
    ),
]

MOVING: list[Row] = [*READS, *VOID, *UPDATES, *WRITES, *MISSES, *EFFECT]
