"""Rows for the checks of witnesses: the hub, the servers' counts, the client's words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from client.operation import Outcome
from telemetry.histogram import bucket_of
from telemetry.window import Window
from tests.unit.verdict.made_up_runs import (
    MISSED,
    MS,
    OK,
    REJECTED,
    TIMED_OUT,
    MadeUpRun,
    run_with_outage,
)

Row = tuple[str, str, Callable[[], MadeUpRun], str]
Poke = Callable[[dict[int, Window]], None]
NODES = ("node1", "node2", "node3")
WATCHED: dict[str, Any] = {"watched": True, "client": 0, "others": 3, "kept": []}
BATCHES = 100  # a second, of 24 keys


def stalled(run: MadeUpRun, **stalls: Any) -> MadeUpRun:
    """Let the watchdog of the only load process tell this."""
    calls = sum(sum(fates.values()) for fates in run.tenths.values())
    return run.but(workers=[run.worker(calls, stalls=stalls)])


def lagging(us: int) -> Poke:
    def poke(windows: dict[int, Window]) -> None:
        windows[7].lag = {bucket_of(us): 1}

    return poke


def everybody_lost() -> MadeUpRun:
    run = MadeUpRun(10)
    return run.but(workers=[run.worker(1_000, lost_at_s=5.0, stalls={})])


HUB: list[Row] = [
    ("hub_not_blocked", "none of the client's", lambda: stalled(MadeUpRun(10), **WATCHED), "PASS"),
    (
        "hub_not_blocked",
        "one of the client's",
        lambda: stalled(MadeUpRun(10), **WATCHED | {"client": 1, "kept": [{"place": "x.py:1"}]}),
        "FAIL",
    ),
    (
        "hub_not_blocked",
        "unwatched, and it stalled",
        lambda: stalled(MadeUpRun(10), watched=False).poke(lagging(120 * MS)),
        "INCONCLUSIVE",
    ),
    (
        "hub_not_blocked",
        "unwatched, and it never stalled",
        lambda: stalled(MadeUpRun(10), watched=False).poke(lagging(80 * MS)),
        "PASS",
    ),
    ("hub_not_blocked", "every process was lost", everybody_lost, "INCONCLUSIVE"),
]


def more(counter: str, count: int, at: int, *nodes: str, every: int = 0) -> Poke:
    """Let servers count more from a second on; `every` adds as much in each second after it."""

    def poke(windows: dict[int, Window]) -> None:
        for second, window in windows.items():
            for node in nodes or NODES:
                if second >= at and node in window.server:
                    extra = count + every * (second - at)
                    window.server[node][counter] = window.server[node].get(counter, 0) + extra

    return poke


def silent(begin: int, end: int, *nodes: str) -> Poke:
    def poke(windows: dict[int, Window]) -> None:
        for second in range(begin, end):
            for node in nodes or NODES:
                windows[second].server.pop(node, None)

    return poke


def restarted(at: int, connections: int) -> Poke:
    """Let node2 be another process from a second on, with so many connections so far."""

    def poke(windows: dict[int, Window]) -> None:
        for second, window in windows.items():
            if second >= at:
                window.server["node2"] |= {"pid": 8, "total_connections": connections}

    return poke


def own_in(second: int, connections: int) -> Poke:
    def poke(windows: dict[int, Window]) -> None:
        windows[second].own_connections["node2"] = connections

    return poke


def connecting(count: int, at: int = 21, *pokes: Poke, **changes: Any) -> MadeUpRun:
    """Give an outage of node2, from 10 to 20.1 s, and new connections before the sample `at`."""
    run = run_with_outage().poke(more("total_connections", count, at, "node2"))
    for poke in pokes:
        run.poke(poke)
    return run.but(**changes)


def two_processes() -> MadeUpRun:
    run = connecting(20)
    return run.but(workers=[run.worker(12_000), run.worker(12_000, id="w2")])


STORM: list[Row] = [
    ("no_reconnect_storm", "a full pool", lambda: connecting(10), "PASS"),
    ("no_reconnect_storm", "a full pool and probes", lambda: connecting(13), "PASS"),
    ("no_reconnect_storm", "more than that", lambda: connecting(14), "FAIL"),
    ("no_reconnect_storm", "a moment later", lambda: connecting(14, 22), "FAIL"),
    ("no_reconnect_storm", "long after", lambda: connecting(14, 23), "PASS"),
    ("no_reconnect_storm", "before the heal", lambda: connecting(200, 19), "PASS"),
    ("no_reconnect_storm", "two processes", two_processes, "PASS"),
    (
        "no_reconnect_storm",
        "the master's own",
        lambda: connecting(14, 21, more("own_connections", 4, 21, "node2")),
        "PASS",
    ),
    ("no_reconnect_storm", "a worker's own", lambda: connecting(14, 21, own_in(20, 4)), "PASS"),
    (
        "no_reconnect_storm",
        "a new server, a full pool",
        lambda: run_with_outage().poke(silent(11, 21, "node2")).poke(restarted(21, 12)),
        "PASS",
    ),
    (
        "no_reconnect_storm",
        "a new server, a storm",
        lambda: run_with_outage().poke(silent(11, 21, "node2")).poke(restarted(21, 60)),
        "FAIL",
    ),
    (
        "no_reconnect_storm",
        "few connections in a long silence",
        lambda: connecting(40, 21, silent(11, 21, "node2")),
        "PASS",
    ),
    (
        "no_reconnect_storm",
        "a storm in a long silence",
        lambda: connecting(200, 21, silent(11, 21, "node2")),
        "FAIL",
    ),
    (
        "no_reconnect_storm",
        "never asked after the heal",
        lambda: connecting(0, 21, silent(20, 40, "node2")),
        "INCONCLUSIVE",
    ),
    (
        "no_reconnect_storm",
        "others use the node",
        lambda: connecting(200, connections_are_ours=False),
        "INCONCLUSIVE",
    ),
    (
        "no_reconnect_storm",
        "a cold node",
        lambda: MadeUpRun().fault("node2", effects=("cold",)),
        "NOT_APPLICABLE",
    ),
    (
        "no_reconnect_storm",
        "the next fault comes at once",
        lambda: run_with_outage().fault("node2", at=20.5, to=25.0).outage("node2", 20.5, 25.0),
        "PASS",
    ),
]


def amplified(factor: float) -> Poke:
    """Let every server count so many commands for each it would count."""

    def poke(windows: dict[int, Window]) -> None:
        for window in windows.values():
            for stats in window.server.values():
                stats["cmd_get"] = round(factor * stats["cmd_get"])

    return poke


def direct(commands: int) -> Poke:
    """Let a load process read directly, and every server count it."""

    def poke(windows: dict[int, Window]) -> None:
        for second, window in windows.items():
            for node in NODES:
                window.own_commands[node] = commands
                window.server[node]["cmd_get"] += commands * second

    return poke


def batches(told: int) -> MadeUpRun:
    """Send batches all the time, of which the users tell so many keys on each node."""
    run = MadeUpRun(20)
    for second in range(20):
        run.batch(second, OK, BATCHES)

    def poke(windows: dict[int, Window]) -> None:
        for second, window in windows.items():
            window.batch_keys = dict.fromkeys(NODES, told)
            for node in NODES:
                window.server[node]["cmd_get"] += 8 * BATCHES * (second + 1)

    return run.poke(poke)


def moved(each: int) -> MadeUpRun:
    """Let the calls to a dead node be answered by the other two, which count so many more."""
    run = MadeUpRun().fault("node2").all_calls("node2", 10.6, 20.0, MISSED)

    def poke(windows: dict[int, Window]) -> None:
        at_first = windows[9].server["node2"]["cmd_get"]
        for second, window in windows.items():
            if second >= 10:
                window.server["node2"]["cmd_get"] = at_first
            for node in ("node1", "node3"):
                window.server[node]["cmd_get"] += each * max(0, min(second, 20) - 10)

    return run.poke(poke)


AMPLIFICATION: list[Row] = [
    ("retry_amplification", "one for one", lambda: MadeUpRun(20), "PASS"),
    ("retry_amplification", "1.2 for one", lambda: MadeUpRun(20).poke(amplified(1.2)), "PASS"),
    ("retry_amplification", "1.3 for one", lambda: MadeUpRun(20).poke(amplified(1.3)), "FAIL"),
    (
        "retry_amplification",
        "deletes for reads",
        lambda: MadeUpRun(20).poke(more("delete_misses", 0, 0, every=100)),
        "FAIL",
    ),
    ("retry_amplification", "a good client in an outage", run_with_outage, "PASS"),
    (
        "retry_amplification",
        "only on the nodes that are left",
        lambda: run_with_outage().poke(more("cmd_get", 0, 11, "node1", every=120)),
        "FAIL",
    ),
    (
        "retry_amplification",
        "only on the dead node",
        lambda: run_with_outage(20).poke(more("cmd_get", 0, 11, "node2", every=900)),
        "PASS",
    ),
    ("retry_amplification", "keys that moved", lambda: moved(100), "PASS"),
    ("retry_amplification", "keys that moved thrice", lambda: moved(300), "FAIL"),
    ("retry_amplification", "the harness's own", lambda: MadeUpRun(20).poke(direct(200)), "PASS"),
    ("retry_amplification", "keys of batches", lambda: batches(8 * BATCHES), "PASS"),
    ("retry_amplification", "keys of batches twice", lambda: batches(4 * BATCHES), "FAIL"),
    (
        "retry_amplification",
        "servers that were not asked",
        lambda: MadeUpRun(20).poke(silent(0, 20)),
        "INCONCLUSIVE",
    ),
    ("retry_amplification", "too short", lambda: MadeUpRun(5), "INCONCLUSIVE"),
    (
        "retry_amplification",
        "others use the nodes",
        lambda: MadeUpRun(20).poke(amplified(2)).but(connections_are_ours=False),
        "INCONCLUSIVE",
    ),
]


def telling(run: MadeUpRun, during: dict[str, int], begin: int = 11, end: int = 20) -> MadeUpRun:
    """Let the clients tell closed breakers, and of node2 something else in a span."""
    for node in NODES:
        run.tell(node, 0, run.seconds, breaker={"closed": 1}, idle=3)
    return run.tell("node2", begin, end, breaker=during, idle=1)


def elsewhere() -> MadeUpRun:
    """Let a client say that the breaker is open, and take the answers from the other nodes."""
    return telling(moved(100), {"open": 1})


def found(kind: str) -> list[dict[str, str]]:
    return [{"kind": kind, "error": "in_use is -1"}]


def flapping() -> MadeUpRun:
    """Give a breaker that opens for a moment, closes, and lets calls wait again."""
    run = MadeUpRun().fault("node2").all_calls("node2", 10, 20, REJECTED)
    for tenth in range(105, 200, 4):
        run.all_calls("node2", tenth / 10, (tenth + 1) / 10, TIMED_OUT)
    return telling(run, {"closed": 1})


OWN_NAME = (Outcome.OTHER_ERROR, 4)
"""A call that fails in microseconds, by an exception that only the client knows."""


def refusing(fate: tuple[str, int] = OWN_NAME, **fault: Any) -> MadeUpRun:
    """Return a client that leaves node2 alone in an outage, and says that its breaker is closed."""
    run = MadeUpRun().fault("node2", **fault).all_calls("node2", 10.0, 10.6, TIMED_OUT)
    return telling(run.all_calls("node2", 10.6, 20.0, fate), {"closed": 1})


def refusing_a_healthy_node(*pokes: Poke) -> MadeUpRun:
    run = MadeUpRun().all_calls("node2", 10, 20, OWN_NAME)
    for poke in pokes:
        run.poke(poke)
    return telling(run, {"closed": 1})


def of_class(kind: str) -> Poke:
    def poke(windows: dict[int, Window]) -> None:
        for second in range(10, 20):
            windows[second].raised = {("get", "node2", "other_error", kind): 200}

    return poke


def full_pool(waiting: int) -> MadeUpRun:
    """Let so many calls a second wait for the dead node, and the others fail for lack of a slot."""
    run = refusing()
    for second in range(11, 20):
        run.some_calls("node2", second + 0.3, TIMED_OUT, waiting)
    return run


def own_pool(holds: int, until: float = 20.0, **fault: Any) -> MadeUpRun:
    """Let a pool hold so many calls to the dead node at a time, and others fail at once."""
    run = MadeUpRun(calls=40).fault("node2", **fault).all_calls("node2", 10, 20, OWN_NAME)
    for half in range(20, round(2 * until)):
        run.some_calls("node2", half / 2, TIMED_OUT, holds)
    return telling(run, {"closed": 1})


WORDS: list[Row] = [
    ("snapshot_true", "closed, refuses by a name of its own", refusing, "FAIL"),
    (
        "snapshot_true",
        "closed, refuses by the name of a timeout",
        lambda: refusing((Outcome.TIMEOUT, 4)),
        "FAIL",
    ),
    (
        "snapshot_true",
        "closed, refuses by the name of the kernel's refusal",
        lambda: refusing((Outcome.REFUSED, 4)),
        "FAIL",
    ),
    (
        "snapshot_true",
        "closed, and the kernel refuses at once",
        lambda: refusing(kind="down"),
        "PASS",
    ),
    (
        "snapshot_true",
        "closed, and nobody saw that the node is silent",
        lambda: refusing(confirmed_at_s=None),
        "PASS",
    ),
    (
        "snapshot_true",
        "closed, and the answers are failures",
        lambda: refusing((Outcome.OTHER_ERROR, 1_500)),
        "PASS",
    ),
    (
        "snapshot_true",
        "open, refuses by a name of its own",
        lambda: telling(refusing(), {"open": 1}),
        "PASS",
    ),
    ("snapshot_true", "a pool of four that is full", lambda: full_pool(4).but(pool_size=4), "PASS"),
    ("snapshot_true", "a probe or two", lambda: full_pool(2), "FAIL"),
    ("snapshot_true", "a smaller pool of its own that is full", lambda: own_pool(4), "PASS"),
    (
        "snapshot_true",
        "a smaller pool that was full until the breaker opened",
        lambda: own_pool(4, until=10.6),
        "FAIL",
    ),
    (
        "snapshot_true",
        "calls that fail at once where open connections are cut",
        lambda: own_pool(4, kind="no_connect"),
        "FAIL",
    ),
    (
        "snapshot_true",
        "a pool that it says is full",
        lambda: refusing().tell("node2", 11, 20, breaker={"closed": 1}, in_use=10),
        "PASS",
    ),
    ("snapshot_true", "closed, and refuses a healthy node", refusing_a_healthy_node, "FAIL"),
    (
        "snapshot_true",
        "closed, and a healthy node saw its commands",
        lambda: refusing_a_healthy_node(more("cmd_get", 0, 10, "node2", every=100)),
        "PASS",
    ),
    (
        "snapshot_true",
        "closed, and a healthy node saw its connections",
        lambda: refusing_a_healthy_node(more("total_connections", 0, 10, "node2", every=100)),
        "PASS",
    ),
    (
        "snapshot_true",
        "closed, and the system has no descriptors left",
        lambda: refusing_a_healthy_node(of_class("OSError")),
        "PASS",
    ),
    (
        "snapshot_true",
        "closed, and the pool for a healthy node is an empty queue",
        lambda: refusing_a_healthy_node(of_class("Empty")),
        "PASS",
    ),
    (
        "snapshot_true",
        "closed, and it has too many connections to a healthy node",
        lambda: refusing_a_healthy_node(of_class("TooManyConnections")),
        "PASS",
    ),
    (
        "snapshot_true",
        "closed, and it refuses a healthy node by a class of its own",
        lambda: refusing_a_healthy_node(of_class("ShardDown")),
        "FAIL",
    ),
    (
        "snapshot_true",
        "closed, and nobody asked the node",
        lambda: refusing_a_healthy_node(silent(10, 21, "node2")),
        "PASS",
    ),
    (
        "snapshot_true",
        "open while it refuses",
        lambda: telling(run_with_outage(), {"open": 1}),
        "PASS",
    ),
    ("snapshot_true", "tells nothing", run_with_outage, "NOT_APPLICABLE"),
    (
        "snapshot_true",
        "closed while it refuses",
        lambda: telling(run_with_outage(), {"closed": 1}),
        "FAIL",
    ),
    (
        "snapshot_true",
        "no breaker, and calls fail at once by no breaker's name",
        lambda: telling(refusing(), {}),
        "PASS",
    ),
    (
        "snapshot_true",
        "no breaker, and a healthy node is not asked",
        lambda: telling(refusing_a_healthy_node(), {}, 0),
        "PASS",
    ),
    ("snapshot_true", "no breaker, and it refuses", lambda: telling(run_with_outage(), {}), "FAIL"),
    (
        "snapshot_true",
        "closed in two samples",
        lambda: telling(run_with_outage(), {"open": 1}).tell(
            "node2", 14, 16, breaker={"closed": 1}
        ),
        "PASS",
    ),
    (
        "snapshot_true",
        "closed in one of two processes",
        lambda: telling(run_with_outage(), {"closed": 1, "open": 1}),
        "PASS",
    ),
    ("snapshot_true", "closed between refusals", flapping, "PASS"),
    ("snapshot_true", "open while it serves", lambda: telling(MadeUpRun(), {"open": 1}), "FAIL"),
    (
        "snapshot_true",
        "open for two samples while it serves",
        lambda: telling(MadeUpRun(), {"open": 1}, 12, 14),
        "PASS",
    ),
    ("snapshot_true", "open, and answered elsewhere", elsewhere, "PASS"),
    (
        "snapshot_true",
        "leaves a node out",
        lambda: MadeUpRun().tell("node1", 0, 40, breaker={"closed": 1}),
        "FAIL",
    ),
    (
        "snapshot_true",
        "as many connections as the server has",
        lambda: telling(MadeUpRun(), {"closed": 1}).tell("node1", 5, 9, in_use=5, idle=10),
        "PASS",
    ),
    (
        "snapshot_true",
        "more connections than the server has",
        lambda: telling(MadeUpRun(), {"closed": 1}).tell("node1", 5, 9, in_use=6, idle=10),
        "FAIL",
    ),
    ("snapshot_true", "words without a meaning", lambda: telling(MadeUpRun(), {"7": 1}), "PASS"),
    (
        "snapshot_true",
        "broken",
        lambda: MadeUpRun(10).but(findings=found("snapshot_broken")),
        "FAIL",
    ),
    (
        "snapshot_true",
        "cannot be true",
        lambda: MadeUpRun(10).but(findings=found("snapshot_contradicts")),
        "FAIL",
    ),
    (
        "predictable_errors",
        "a broken snapshot is no call",
        lambda: MadeUpRun(10).but(findings=found("snapshot_broken")),
        "PASS",
    ),
    (
        "predictable_errors",
        "a ring that is not what it says",
        lambda: MadeUpRun(10).but(findings=found("node_for_contradicts")),
        "FAIL",
    ),
    (
        "predictable_errors",
        "an error beside it",
        lambda: MadeUpRun(10).some_calls("node1", 5.0, (Outcome.BUG, 100), 1),
        "FAIL",
    ),
]


def delayed(adds_s: float, fate: tuple[str, int], **changes: Any) -> MadeUpRun:
    """Give a latency on node2 from 10 to 20 s, and what became of the calls there."""
    run = MadeUpRun().fault("node2", effects=("degraded",), kind="latency", adds_s=adds_s)
    return run.all_calls("node2", 10.1, 20.0, fate).but(**changes)


def usually_slow() -> MadeUpRun:
    """Let some calls be as slow as the delay all the time, with a fault or without."""
    run = delayed(0.1, OK)
    for second in range(40):
        run.some_calls("node2", second + 0.5, (Outcome.HIT, 80 * MS), 1)
    return run


def let_go() -> MadeUpRun:
    """Give calls whose answers were held to the end of the fault, and requests that arrived."""
    run = MadeUpRun().fault("node2").all_calls("node2", 10.1, 19.5, TIMED_OUT)
    run.all_calls("node2", 19.5, 20.0, (Outcome.HIT, 400 * MS))
    return run.poke(more("cmd_get", 0, 10, "node2", every=80))


def misses_for_timeouts() -> MadeUpRun:
    """Return a client that calls a timeout a miss, and requests that a hole lets through."""
    run = MadeUpRun().fault("node2").all_calls("node2", 10.1, 20.0, (Outcome.MISS, 500 * MS))
    return run.poke(more("cmd_get", 0, 10, "node2", every=100))


def copies() -> MadeUpRun:
    """Return a client that serves copies of its own at once, and asks the node by probes alone."""
    run = MadeUpRun().fault("node2")

    def few(windows: dict[int, Window]) -> None:
        for second in range(10, 20):
            windows[second].server["node2"]["cmd_get"] = windows[9].server["node2"]["cmd_get"] + 2

    return run.poke(few)


def past(count: int, run: MadeUpRun) -> MadeUpRun:
    """Let a load process have seen so many connections of the client's to node2 itself."""
    calls = sum(sum(fates.values()) for fates in run.tenths.values())
    return run.but(workers=[run.worker(calls, past_proxies={"node2": count} if count else {})])


EFFECT: list[Row] = [
    ("fault_confirmed", "a timeout is called a miss", misses_for_timeouts, "PASS"),
    ("fault_confirmed", "copies are served at once", copies, "PASS"),
    ("fault_confirmed", "values come at once", lambda: MadeUpRun().fault("node2"), "INCONCLUSIVE"),
    (
        "fault_confirmed",
        "connections to the node itself",
        lambda: past(3, run_with_outage()),
        "INCONCLUSIVE",
    ),
    (
        "fault_confirmed",
        "connections past the proxy of a slow node",
        lambda: past(3, delayed(0.005, OK)),
        "INCONCLUSIVE",
    ),
    ("fault_confirmed", "no connection past it", lambda: past(0, run_with_outage()), "PASS"),
    (
        "fault_confirmed",
        "a fault that no proxy makes",
        lambda: past(3, MadeUpRun().fault("node2", backend="kernel").outage("node2")),
        "PASS",
    ),
    ("fault_confirmed", "held answers come with the heal", let_go, "PASS"),
    ("fault_confirmed", "a delay is felt", lambda: delayed(0.1, (Outcome.HIT, 101 * MS)), "PASS"),
    ("fault_confirmed", "a delay is not felt", lambda: delayed(0.1, OK), "INCONCLUSIVE"),
    (
        "fault_confirmed",
        "a delay of half its length",
        lambda: delayed(0.1, (Outcome.HIT, 30 * MS)),
        "INCONCLUSIVE",
    ),
    (
        "fault_confirmed",
        "a delay beyond the deadline",
        lambda: delayed(2.0, (Outcome.TIMEOUT, 500 * MS)),
        "PASS",
    ),
    (
        "fault_confirmed",
        "a client that soon turns away from a slow node",
        lambda: delayed(0.1, OK).some_calls("node2", 10.5, (Outcome.HIT, 101 * MS), 10),
        "PASS",
    ),
    (
        "fault_confirmed",
        "a delayed node that nobody asked",
        lambda: delayed(0.1, OK).no_calls("node2", 10, 20),
        "PASS",
    ),
    (
        "fault_confirmed",
        "a breaker that was open all the time",
        lambda: delayed(0.1, REJECTED),
        "PASS",
    ),
    ("fault_confirmed", "slow calls as usual", usually_slow, "INCONCLUSIVE"),
    ("fault_confirmed", "a delay too short to be told", lambda: delayed(0.005, OK), "PASS"),
]

WITNESSES: list[Row] = [*HUB, *STORM, *AMPLIFICATION, *WORDS, *EFFECT]
