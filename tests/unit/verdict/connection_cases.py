"""Rows for connections in steady state and for the spread of keys."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

from client.operation import Outcome
from telemetry.histogram import bucket_of
from telemetry.window import Window
from tests.unit.verdict.made_up_runs import TIMED_OUT, MadeUpRun, run_with_outage
from tests.unit.verdict.witness_cases import more, silent

Row = tuple[str, str, Callable[[], MadeUpRun], str]
Poke = Callable[[dict[int, Window]], None]


def churning(each: int, node: str = "node1", begin: int = 0, end: int = 99) -> Poke:
    """Let a node accept so many connections a second in a span, and none stay open."""

    def poke(windows: dict[int, Window]) -> None:
        for second, window in windows.items():
            if node in window.server:
                extra = each * max(0, min(second, end) - begin)
                window.server[node]["total_connections"] += extra

    return poke


def late(seconds: Iterable[int], *, cpu: float) -> Poke:
    """Let the hub's ticker be late, and the process take so much of a core."""

    def poke(windows: dict[int, Window]) -> None:
        for second in seconds:
            windows[second].lag = {bucket_of(60_000): 50}
            windows[second].cpu = {"w1": cpu}

    return poke


def growing(by: int, at: int) -> Poke:
    """Let a pool grow in one second: as many connections more are open as were made."""

    def poke(windows: dict[int, Window]) -> None:
        for second, window in windows.items():
            if second >= at:
                window.server["node1"]["total_connections"] += by
                window.server["node1"]["curr_connections"] += by

    return poke


def made_at(at: int, count: int) -> Poke:
    """Let so many connections be made at once where as many others end."""

    def poke(windows: dict[int, Window]) -> None:
        for second, window in windows.items():
            window.server["node1"]["total_connections"] += count * (second >= at)

    return poke


def joined(run: MadeUpRun) -> MadeUpRun:
    """Let a second worker join when the run is under way, and take users over."""
    workers = [run.worker(6_000), run.worker(6_000, id="w2", joined_at_s=7.5)]
    return run.but(workers=workers)


def restarting(at: int, connections: int) -> Poke:
    """Let somebody start node1 anew: its clients connect again."""

    def poke(windows: dict[int, Window]) -> None:
        for second, window in windows.items():
            if second >= at:
                window.server["node1"] |= {"pid": 8, "total_connections": connections}

    return poke


def batching(calls: int, connects: int) -> MadeUpRun:
    """Give a load of nothing but batches, each with keys on every node."""
    run = MadeUpRun(20)
    for node in run.names:
        run.no_calls(node, 0, 20)
    for second in range(20):
        run.batch(second, (Outcome.HIT, 400), calls)

    def poke(windows: dict[int, Window]) -> None:
        for window in windows.values():
            window.batch_calls = dict.fromkeys(run.names, calls)

    return run.poke(poke).poke(churning(connects))


CONNECTIONS: list[Row] = [
    ("connections_kept", "none made", lambda: MadeUpRun(20), "PASS"),
    ("connections_kept", "one for 100 calls", lambda: MadeUpRun(20).poke(churning(2)), "PASS"),
    ("connections_kept", "three for 200", lambda: MadeUpRun(20).poke(churning(3)), "FAIL"),
    ("connections_kept", "one for each call", lambda: MadeUpRun(20).poke(churning(200)), "FAIL"),
    ("connections_kept", "one for each batch", lambda: batching(80, 80), "FAIL"),
    ("connections_kept", "batches on kept ones", lambda: batching(80, 0), "PASS"),
    (
        "connections_kept",
        "in the first two seconds",
        lambda: MadeUpRun(20).poke(churning(40, end=2)),
        "PASS",
    ),
    ("connections_kept", "a pool that grows", lambda: MadeUpRun(10).poke(growing(40, 5)), "PASS"),
    (
        "connections_kept",
        "one for each call, and none is ever closed",
        lambda: MadeUpRun(20).poke(growing(200, 5)).poke(growing(200, 6)),
        "FAIL",
    ),
    (
        "connections_kept",
        "one for each call that failed",
        lambda: MadeUpRun(20).all_calls("node1", 5, 6, TIMED_OUT).poke(churning(200, end=6)),
        "FAIL",
    ),
    (
        "connections_kept",
        "only for calls that failed",
        lambda: (
            MadeUpRun(20).all_calls("node1", 5, 6, TIMED_OUT).poke(churning(200, begin=5, end=6))
        ),
        "PASS",
    ),
    (
        "connections_kept",
        "under a fault and 9 s after",
        lambda: run_with_outage().poke(churning(60, "node2", 10, 29)),
        "PASS",
    ),
    *(
        (
            "connections_kept",
            f"a crowd of the harness's own that takes a second to come, begun at {begun}",
            lambda begun=begun: (
                MadeUpRun(40)
                .fault("node1", at=11.0, effects=("pressure",), begun_at_s=begun, planned_at_s=9.0)
                .poke(churning(1_700, begin=9, end=20))
            ),
            ruling,
        )
        for begun, ruling in ((9.1, "PASS"), (10.9, "FAIL"))
    ),
    (
        "connections_kept",
        "for ever after a fault",
        lambda: run_with_outage().poke(churning(60, "node2", 10)),
        "FAIL",
    ),
    (
        "connections_kept",
        "while calls are cut off",
        lambda: MadeUpRun().fault("node1", effects=("interrupted",)).poke(churning(60, end=25)),
        "FAIL",
    ),
    (
        "connections_kept",
        "only while calls are cut off",
        lambda: MadeUpRun().fault(effects=("interrupted",)).poke(churning(60, begin=10, end=25)),
        "PASS",
    ),
    (
        "connections_kept",
        "the harness's own",
        lambda: MadeUpRun(20).poke(churning(9)).poke(more("own_connections", 0, 0, every=9)),
        "PASS",
    ),
    (
        "connections_kept",
        "a server that somebody started anew",
        lambda: MadeUpRun(30).poke(restarting(8, 60)).poke(churning(10, begin=8, end=15)),
        "PASS",
    ),
    (
        "connections_kept",
        "others use the nodes",
        lambda: MadeUpRun(20).poke(churning(200)).but(connections_are_ours=False),
        "INCONCLUSIVE",
    ),
    (
        "connections_kept",
        "each user connects anew where it moved to a worker that joined",
        lambda: joined(MadeUpRun(20).poke(made_at(8, 70))),
        "INCONCLUSIVE",
    ),
    (
        "connections_kept",
        "the same, and no worker joined",
        lambda: MadeUpRun(20).poke(made_at(8, 70)),
        "FAIL",
    ),
    (
        "connections_kept",
        "one for each call, and a worker joined",
        lambda: joined(MadeUpRun(20).poke(churning(200))),
        "FAIL",
    ),
    (
        "connections_kept",
        "servers that were not asked",
        lambda: MadeUpRun(20).poke(silent(0, 20)),
        "INCONCLUSIVE",
    ),
    (
        "connections_kept",
        "few calls, each with a connection of its own",
        lambda: MadeUpRun(10, calls=4).poke(churning(40)),
        "INCONCLUSIVE",
    ),
    (
        "connections_kept",
        "made while other work made the generator late",
        lambda: MadeUpRun(20).poke(churning(4, begin=8)).poke(late(range(8, 20), cpu=0.1)),
        "INCONCLUSIVE",
    ),
    (
        "connections_kept",
        "so many that the process is late by them",
        lambda: MadeUpRun(20).poke(churning(4, begin=8)).poke(late(range(8, 20), cpu=0.9)),
        "FAIL",
    ),
    (
        "connections_kept",
        "as many while the generator was not late",
        lambda: MadeUpRun(20).poke(churning(4)).poke(late(range(8, 20), cpu=0.1)),
        "FAIL",
    ),
]


def spread(*keys: int, **changes: Any) -> MadeUpRun:
    """Let the nodes hold so many keys after the prefill."""
    run = MadeUpRun(10)
    placed = dict(zip(run.names, keys, strict=False))
    return run.but(workers=[run.worker(6_000, keys_placed=placed)]).but(**changes)


def crowd(*keys: int) -> MadeUpRun:
    """Let one of thirty nodes hold the first of the numbers, all others the second."""
    names = [f"node{number}" for number in range(1, 31)]
    placed = dict.fromkeys(names, keys[1]) | {"node7": keys[0]}
    run = MadeUpRun(10)
    return run.but(nodes=names, workers=[run.worker(6_000, keys_placed=placed)])


def two_workers() -> MadeUpRun:
    run = MadeUpRun(10)
    placed = ({"node1": 400}, {"node2": 400, "node3": 400})
    return run.but(
        workers=[
            run.worker(3_000, id=f"w{number}", keys_placed=keys)
            for number, keys in enumerate(placed)
        ]
    )


def held_open(left: int, run: MadeUpRun | None = None, **worker: Any) -> MadeUpRun:
    """Let node1 have so many connections when the calls are over, where 12 were open before."""
    run = MadeUpRun() if run is None else run
    calls = sum(sum(fates.values()) for fates in run.tenths.values())
    usual = {"open_at_quiesce": {"node1": left}, "peak_calls": 8}
    return run.but(workers=[run.worker(calls, **usual | worker)])


def asked_by_two(*left: int) -> MadeUpRun:
    """Let two processes ask for the connections of node1, one after the other."""
    run = held_open(0)
    (first,) = run.changes["workers"]
    workers = [
        dataclasses.replace(first, id=f"w{at}", open_at_quiesce={"node1": count})
        for at, count in enumerate(left)
    ]
    workers[1] = dataclasses.replace(workers[1], operations=0)
    return run.but(workers=workers)


def users_that_came() -> MadeUpRun:
    """Let 30 users more join after the baseline."""

    def more_users(windows: dict[int, Window]) -> None:
        for second in range(25, 40):
            windows[second].users = 70

    return held_open(50, run_with_outage().poke(more_users))


# 2 connections are the harness's before any client, and it may have 2 more and 3; of the calls 8
# were under way at once, and as many may have a pool of their own.
LEFT_OPEN: list[Row] = [
    ("no_leaks", "pools for all calls at once", lambda: held_open(23), "PASS"),
    ("no_leaks", "one more than any call needs", lambda: held_open(24), "FAIL"),
    ("no_leaks", "pools for 40 at once", lambda: held_open(57, peak_calls=40), "PASS"),
    ("no_leaks", "for fewer than 40 at once", lambda: held_open(58, peak_calls=40), "FAIL"),
    ("no_leaks", "seen by both of two processes", lambda: asked_by_two(90, 80), "FAIL"),
    (
        "no_leaks",
        "gone when the second of two processes asked",
        lambda: asked_by_two(90, 30),
        "INCONCLUSIVE",
    ),
    (
        "no_leaks",
        "as many as there were in the baseline",
        lambda: held_open(63, MadeUpRun().poke(growing(51, 0))),
        "PASS",
    ),
    ("no_leaks", "a connection for each user that came", users_that_came, "PASS"),
    ("no_leaks", "lost in an outage", lambda: held_open(50, run_with_outage()), "FAIL"),
    (
        "no_leaks",
        "a fault that healed a moment ago",
        lambda: held_open(50, run_with_outage(23)),
        "PASS",
    ),
    (
        "no_leaks",
        "a fault that never healed",
        lambda: held_open(50, MadeUpRun().fault("node2", heal_started_s=None, healed_at_s=None)),
        "PASS",
    ),
    (
        "no_leaks",
        "others use the nodes",
        lambda: held_open(90, MadeUpRun().but(connections_are_ours=False)),
        "PASS",
    ),
]

SPREAD: list[Row] = [
    ("load_spread", "even", lambda: spread(1_000, 1_050, 950), "PASS"),
    ("load_spread", "as ketama's worst", lambda: spread(1_500, 1_000, 500), "PASS"),
    ("load_spread", "a tenth of its share", lambda: spread(1_450, 1_450, 100), "PASS"),
    ("load_spread", "less than that", lambda: spread(1_451, 1_450, 99), "FAIL"),
    ("load_spread", "all on one node", lambda: spread(3_000), "FAIL"),
    ("load_spread", "one node is never used", lambda: spread(1_500, 1_500), "FAIL"),
    ("load_spread", "copies on every node", lambda: spread(1_000, 1_000, 1_000), "PASS"),
    ("load_spread", "each process its own node", two_workers, "PASS"),
    ("load_spread", "few keys", lambda: spread(299), "INCONCLUSIVE"),
    ("load_spread", "nobody said where keys are", spread, "INCONCLUSIVE"),
    ("load_spread", "one of thirty nodes, many keys", lambda: crowd(0, 100), "FAIL"),
    ("load_spread", "one of thirty nodes, by chance", lambda: crowd(0, 12), "INCONCLUSIVE"),
    ("load_spread", "one node", lambda: spread(3_000, nodes=["node1"]), "NOT_APPLICABLE"),
]
