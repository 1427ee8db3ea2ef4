"""Rows for the checks of what single writers remember: what a load process told, and the ruling."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

from telemetry.window import Window
from tests.unit.verdict.made_up_runs import MadeUpRun, run_with_outage
from verdict.model import LedgerFacts, NodeChange, NodeEvent

Row = tuple[str, str, Callable[[], MadeUpRun], str]

MOVED = [("node2", 12, 9)]
"""Writes of keys of node2 that another node was found to have, by the second of their ack."""

ENOUGH = LedgerFacts(writes=100, updates=100, reads=1_000, expired=50)


def told(run: MadeUpRun, *, workers: int = 1, **changes: Any) -> MadeUpRun:
    """Let the ledgers of a run tell something; those of further processes have nothing to add."""
    first = dataclasses.replace(ENOUGH, **changes)
    ledgers = [first, *[LedgerFacts()] * (workers - 1)]
    return run.but(workers=[run.worker(30_000, ledger=ledger) for ledger in ledgers])


def happened(
    run: MadeUpRun,
    change: NodeChange,
    from_s: float,
    until_s: float | None,
    node: str = "node2",
) -> MadeUpRun:
    """Let something happen to a node between two looks at it."""
    event = NodeEvent(node=node, change=change, from_s=from_s, until_s=until_s, count=3)
    return run.but(node_events=[*run.changes.get("node_events", ()), event])


def flushed(change: NodeChange = NodeChange.FLUSHED, **changes: Any) -> MadeUpRun:
    """Let somebody flush node2, or do something else to it, between 4 s and 5 s."""
    return happened(MadeUpRun(20), change, 4, 5).but(**changes)


def restarted() -> MadeUpRun:
    """Give a run in which node2 is away from 10 s to 20 s and comes back as another process."""
    run = run_with_outage(effects=("unavailable", "cold"))
    return happened(happened(run, NodeChange.AWAY, 9.0, 20.0), NodeChange.RESTARTED, 9.0, 20.0)


LOST: list[Row] = [
    ("no_lost_writes", "all there", lambda: told(MadeUpRun(20)), "PASS"),
    ("no_lost_writes", "one is gone", lambda: told(MadeUpRun(20), lost=[("node1", 7, 1)]), "FAIL"),
    (
        "no_lost_writes",
        "of most of them no server could be asked",
        lambda: told(MadeUpRun(20), writes=1000, unasked=950),
        "INCONCLUSIVE",
    ),
    ("no_lost_writes", "99 writes", lambda: told(MadeUpRun(20), writes=99), "INCONCLUSIVE"),
    (
        "no_lost_writes",
        "one of 50 is gone",
        lambda: told(MadeUpRun(20), writes=50, lost=[("node1", 7, 1)]),
        "FAIL",
    ),
    ("no_lost_writes", "no ledger", lambda: MadeUpRun(20).but(workers=[]), "INCONCLUSIVE"),
    (
        "no_lost_writes",
        "acknowledged before its node restarted",
        lambda: told(restarted(), lost=[("node2", 9, 70)]),
        "PASS",
    ),
    (
        "no_lost_writes",
        "acknowledged after its node restarted",
        lambda: told(restarted(), lost=[("node2", 22, 1)]),
        "FAIL",
    ),
    (
        "no_lost_writes",
        "on a node beside the one that restarted",
        lambda: told(restarted(), lost=[("node1", 9, 1)]),
        "FAIL",
    ),
    (
        "no_lost_writes",
        "evicted later",
        lambda: told(happened(MadeUpRun(20), NodeChange.EVICTED, 14, 15), lost=[("node2", 7, 3)]),
        "PASS",
    ),
    (
        "no_lost_writes",
        "flushed later, by others",
        lambda: told(flushed(connections_are_ours=False), lost=[("node2", 4, 3)]),
        "PASS",
    ),
    (
        "no_lost_writes",
        "flushed later, a node that only the client is known to reach",
        lambda: told(flushed(), lost=[("node2", 4, 3)]),
        "INCONCLUSIVE",
    ),
    (
        "no_lost_writes",
        "its statistics reset later, of a node that only the client is known to reach",
        lambda: told(flushed(NodeChange.RESET), lost=[("node2", 4, 3)]),
        "INCONCLUSIVE",
    ),
    (
        "no_lost_writes",
        "its statistics reset before",
        lambda: told(flushed(NodeChange.RESET), lost=[("node2", 7, 3)]),
        "FAIL",
    ),
    (
        "no_lost_writes",
        "flushed later, and evicted later still",
        lambda: told(happened(flushed(), NodeChange.EVICTED, 9, 10), lost=[("node2", 4, 3)]),
        "PASS",
    ),
    (
        "no_lost_writes",
        "flushed later by the plan",
        lambda: told(
            happened(MadeUpRun().fault("node2", effects=("cold",)), NodeChange.FLUSHED, 9.5, 10.5),
            lost=[("node2", 4, 3)],
        ),
        "PASS",
    ),
    (
        "no_lost_writes",
        "written to another node while this one was out",
        lambda: told(run_with_outage(), lost=[("node2", 15, 40)], moved=MOVED),
        "PASS",
    ),
    (
        "no_lost_writes",
        "lost before keys moved",
        lambda: told(run_with_outage(), lost=[("node2", 5, 1)], moved=MOVED),
        "FAIL",
    ),
    (
        "no_lost_writes",
        "one within the budget",
        lambda: told(MadeUpRun(20), lost=[("node1", 7, 1)]).but(budgets={"no_lost_writes": 1.0}),
        "PASS",
    ),
]


def denied(second: int, count: int = 20, **changes: Any) -> MadeUpRun:
    """Return a run with node2 out from 10 s to 20 s, and steps of its counters that were denied."""
    return told(
        run_with_outage(), **{"steps": 100, "denied": [("node2", second, count)], **changes}
    )


DENIED: list[tuple[str, int, dict[str, Any], str]] = [
    ("steps denied before anything was broken", 5, {}, "FAIL"),
    ("steps denied when the node is back for long", 35, {}, "FAIL"),
    ("steps denied while the node is out", 15, {}, "PASS"),
    ("steps denied while the node recovers", 25, {}, "PASS"),
    ("19 steps denied", 5, {"count": 19}, "PASS"),
    ("steps denied among so many that it may be an accident", 5, {"steps": 400}, "PASS"),
    ("steps denied on another node meanwhile", 15, {"denied": [("node1", 15, 20)]}, "FAIL"),
    ("steps denied while keys were elsewhere", 35, {"moved": [("node2", 33, 9)]}, "PASS"),
]

UPDATES: list[Row] = [
    ("no_lost_updates", "all right", lambda: told(MadeUpRun(20)), "PASS"),
    ("no_lost_updates", "one doubled", lambda: told(MadeUpRun(20), wrong_updates=1), "FAIL"),
    ("no_lost_updates", "99 updates", lambda: told(MadeUpRun(20), updates=99), "INCONCLUSIVE"),
    ("no_lost_updates", "two processes", lambda: told(MadeUpRun(20), workers=2), "PASS"),
    *(
        ("no_lost_updates", of, partial(denied, second, **changes), ruling)
        for of, second, changes, ruling in DENIED
    ),
    (
        "no_lost_updates",
        "after a node was away that no fault touched",
        lambda: told(happened(MadeUpRun(20), NodeChange.AWAY, 5, 9), wrong_updates=2),
        "INCONCLUSIVE",
    ),
    (
        "no_lost_updates",
        "before a node was away that no fault touched",
        lambda: told(
            happened(MadeUpRun(20), NodeChange.AWAY, 15, 19),
            wrong_updates=2,
            evidence=[{"kind": "lost_update", "node": "node1", "at_s": 7}],
        ),
        "FAIL",
    ),
]

READS: list[Row] = [
    ("no_stale_reads", "none", lambda: told(MadeUpRun(20)), "PASS"),
    ("no_stale_reads", "one", lambda: told(MadeUpRun(20), stale=1), "FAIL"),
    (
        "no_stale_reads",
        "after a server of ours died by itself",
        lambda: told(MadeUpRun(20).but(is_void=True), stale=1),
        "INCONCLUSIVE",
    ),
    ("no_stale_reads", "999 reads", lambda: told(MadeUpRun(20), reads=999), "INCONCLUSIVE"),
]


def evicting(from_s: float = -3.0) -> MadeUpRun:
    """Give a run whose node2 pushed items out while keys were stored."""
    return happened(MadeUpRun(20), NodeChange.EVICTED, from_s, from_s + 1)


def died_at_the_end() -> MadeUpRun:
    """Give a run that ends with node2 not answering any more."""
    return happened(MadeUpRun(20), NodeChange.AWAY, 18.0, None)


BEFORE: list[Row] = [
    (
        "no_lost_writes",
        "on a node that was gone when the run ended",
        lambda: told(died_at_the_end(), lost=[("node2", 12, 9)]),
        "INCONCLUSIVE",
    ),
    (
        "no_lost_writes",
        "after a server died by itself",
        lambda: told(MadeUpRun(20).but(is_void=True), lost=[("node2", 12, 9)]),
        "INCONCLUSIVE",
    ),
    (
        "no_lost_writes",
        "on another node than the one that was gone",
        lambda: told(died_at_the_end(), lost=[("node1", 12, 9)]),
        "FAIL",
    ),
    (
        "no_lost_writes",
        "stored before the run and found nowhere",
        lambda: told(MadeUpRun(20), lost=[("", -1, 2)]),
        "FAIL",
    ),
    (
        "no_lost_writes",
        "stored before the run, on nodes that had no room",
        lambda: told(evicting(), lost=[("", -1, 2)]),
        "PASS",
    ),
    (
        "no_lost_writes",
        "stored before the run and found nowhere, on nodes that evict later",
        lambda: told(evicting(5.0), lost=[("", -1, 2)]),
        "FAIL",
    ),
    (
        "no_lost_writes",
        "stored before the run, on a node that evicted meanwhile, and missed in it",
        lambda: told(evicting(), lost=[("node2", -4, 6)]),
        "PASS",
    ),
    (
        "no_lost_writes",
        "stored before the run, on a node that restarted meanwhile",
        lambda: told(
            happened(MadeUpRun(20), NodeChange.RESTARTED, -2.0, -1.0), lost=[("node2", -1, 6)]
        ),
        "PASS",
    ),
    (
        "no_lost_writes",
        "stored before the run, on a node beside the one that was flushed meanwhile",
        lambda: told(
            happened(MadeUpRun(20), NodeChange.FLUSHED, -2.0, -1.0), lost=[("node1", -1, 6)]
        ),
        "FAIL",
    ),
    (
        "no_lost_writes",
        "after a flush by others, which may take effect later",
        lambda: told(happened(MadeUpRun(20), NodeChange.FLUSHED, 4, 5), lost=[("node2", 9, 3)]),
        "INCONCLUSIVE",
    ),
    (
        "no_lost_writes",
        "under names that nobody knows",
        lambda: told(MadeUpRun(20), hides_keys=True),
        "INCONCLUSIVE",
    ),
]

EXPIRIES: list[Row] = [
    ("ttl_kept", "all gone in time", lambda: told(MadeUpRun(20), expired=50), "PASS"),
    ("ttl_kept", "one lives on", lambda: told(MadeUpRun(20), expired=49, outlived=1), "FAIL"),
    ("ttl_kept", "one of a few", lambda: told(MadeUpRun(20), expired=4, outlived=1), "FAIL"),
    ("ttl_kept", "too few", lambda: told(MadeUpRun(20), expired=49), "INCONCLUSIVE"),
    (
        "ttl_kept",
        "one is allowed",
        lambda: told(MadeUpRun(20), expired=49, outlived=1).but(budgets={"ttl_kept": 1.0}),
        "PASS",
    ),
]

FALSE_MISSES: list[Row] = [
    ("no_false_misses", "none", lambda: told(MadeUpRun(20)), "PASS"),
    (
        "no_false_misses",
        "without any fault",
        lambda: told(MadeUpRun(20), masked=[("node1", 12, 2)]),
        "FAIL",
    ),
    (
        "no_false_misses",
        "one of a thousand",
        lambda: told(MadeUpRun(20), masked=[("node1", 12, 1)]),
        "PASS",
    ),
    (
        "no_false_misses",
        "in the first second",
        lambda: told(MadeUpRun(20), masked=[("node1", 1, 50)]),
        "PASS",
    ),
    (
        "no_false_misses",
        "on the broken node, and while it recovers",
        lambda: told(run_with_outage(), masked=[("node2", 12, 50), ("node2", 22, 50)]),
        "PASS",
    ),
    (
        "no_false_misses",
        "on another node in the fault",
        lambda: told(run_with_outage(), masked=[("node1", 12, 50)]),
        "FAIL",
    ),
    (
        "no_false_misses",
        "on the broken node before its fault",
        lambda: told(run_with_outage(), masked=[("node2", 8, 50)]),
        "FAIL",
    ),
    (
        "no_false_misses",
        "nobody could ask",
        lambda: told(MadeUpRun(20), unproven=[("node1", 12, 50)]),
        "INCONCLUSIVE",
    ),
    (
        "no_false_misses",
        "hardly a read",
        lambda: told(MadeUpRun(20), reads=999),
        "INCONCLUSIVE",
    ),
]


def in_batches(run: MadeUpRun, keys: int) -> MadeUpRun:
    """Let batches ask node2 for so many keys a second, beside the single calls."""

    def ask(windows: dict[int, Window]) -> None:
        for window in windows.values():
            window.batch_keys = {"node2": keys}

    return run.poke(ask)


MISSES: list[Row] = [
    ("no_masked_misses", "none", lambda: told(run_with_outage()), "PASS"),
    (
        "no_masked_misses",
        "3 of 2,000 calls",
        lambda: told(run_with_outage(), masked=[("node2", 12, 3)]),
        "FAIL",
    ),
    (
        "no_masked_misses",
        "2 of 2,000 calls",
        lambda: told(run_with_outage(), masked=[("node2", 12, 2)]),
        "PASS",
    ),
    (
        "no_masked_misses",
        "3 of 2,000 calls and 2,000 keys of batches",
        lambda: told(in_batches(run_with_outage(), 200), masked=[("node2", 12, 3)]),
        "PASS",
    ),
    (
        "no_masked_misses",
        "5 of 2,000 calls and 2,000 keys of batches",
        lambda: told(in_batches(run_with_outage(), 200), masked=[("node2", 12, 5)]),
        "FAIL",
    ),
    (
        "no_masked_misses",
        "98 calls and 50 keys of batches",
        lambda: told(in_batches(MadeUpRun(calls=2).fault("node2", to=14.9), 10)),
        "PASS",
    ),
    (
        "no_masked_misses",
        "on another node",
        lambda: told(run_with_outage(), masked=[("node1", 12, 50)]),
        "PASS",
    ),
    (
        "no_masked_misses",
        "before the fault",
        lambda: told(run_with_outage(), masked=[("node2", 8, 50)]),
        "PASS",
    ),
    (
        "no_masked_misses",
        "nobody could ask",
        lambda: told(run_with_outage(), unproven=[("node2", 12, 50)]),
        "INCONCLUSIVE",
    ),
    (
        "no_masked_misses",
        "nobody could ask in the second in which it died",
        lambda: told(
            MadeUpRun().fault("node2", injected_at_s=10.4, confirmed_at_s=10.4),
            unproven=[("node2", 10, 50)],
        ),
        "PASS",
    ),
    (
        "no_masked_misses",
        "nobody could ask a node that is down for a second and comes back empty",
        lambda: told(
            MadeUpRun().fault("node2", at=10.4, to=11.6, effects=("unavailable", "cold")),
            unproven=[("node2", 10, 50), ("node2", 11, 50)],
        ),
        "PASS",
    ),
    (
        "no_masked_misses",
        "nobody could ask a node that is down for a second and comes back as it was",
        lambda: told(
            MadeUpRun().fault("node2", at=10.4, to=11.6),
            unproven=[("node2", 10, 50), ("node2", 11, 50)],
        ),
        "INCONCLUSIVE",
    ),
    (
        "no_masked_misses",
        "99 calls",
        lambda: told(MadeUpRun(calls=2).fault("node2", to=14.9)),
        "INCONCLUSIVE",
    ),
    (
        "no_masked_misses",
        "never injected",
        lambda: told(MadeUpRun().fault("node2", injected_at_s=None, confirmed_at_s=None)),
        "INCONCLUSIVE",
    ),
    ("no_masked_misses", "no fault", lambda: told(MadeUpRun(20)), "NOT_APPLICABLE"),
    (
        "no_masked_misses",
        "a node that came back empty",
        lambda: told(MadeUpRun().fault("node2", effects=("cold",)), masked=[("node2", 12, 50)]),
        "NOT_APPLICABLE",
    ),
]

LEDGER: list[Row] = [*LOST, *BEFORE, *UPDATES, *READS, *EXPIRIES, *MISSES, *FALSE_MISSES]

UNCOUNTED = {"node2": "it does not answer `stats`"}
LEDGER += [
    (
        "no_lost_writes",
        "on a node that tells nothing of itself",
        lambda: told(MadeUpRun(20).but(uncounted=UNCOUNTED), lost=[("node2", 7, 1)]),
        "INCONCLUSIVE",
    ),
    (
        "no_lost_writes",
        "on a node beside one that tells nothing of itself",
        lambda: told(MadeUpRun(20).but(uncounted=UNCOUNTED), lost=[("node1", 7, 1)]),
        "FAIL",
    ),
    (
        "no_stale_reads",
        "behind a node that may be several",
        lambda: told(MadeUpRun(20).but(uncounted=UNCOUNTED), stale=1),
        "INCONCLUSIVE",
    ),
]
