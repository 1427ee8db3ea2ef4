"""P4: what a node that stops answering costs the calls to it and the calls to the others.

Everything is read off the calls themselves, from outside. Calls have stopped waiting when no more
of them are under way to the dead node than the breaker admits as probes; the node is back in full
service with the last call to it that failed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.figures import summarise
from bench.goals import Figure, Goal, Section
from bench.nodes import BenchError, to_option
from bench.processes import UNDER_GEVENT, run_python
from bench.silent_server import Wait, most_at_once, silent_server
from cluster.embedded import EmbeddedCluster

PART = "P4"
NODES = 3
DEAD = 0  # the place of the node that breaks
USERS = 20  # the smallest number for which the goals are set
MARGIN_S = 1.0  # over op_timeout, for calls to stop waiting
HEALTHY = Goal(limit=0.95, at_most=False)
BACK_S = Goal(limit=2.0)
WAITED = 0.1  # of op_timeout: a call this long was not refused but waited
SETTLED_S = 0.5  # what was sent before the breaker opened has reached the server; no probe has
MINIMUM_S = 3.0  # of an outage: two rounds of probes at least

Call = Sequence[Any]
"""When a get started and ended, the place of its node, and whether it was a hit."""


@dataclass(frozen=True, kw_only=True)
class Moments:
    """When what happened, seconds of the monotonic clock."""

    begun: float  # of the baseline
    injecting: float
    injected: float  # confirmed by reading it back
    healing: float
    healed: float
    ended: float


def measure(
    *, rounds: int, seconds: float, users: int, say: Callable[[str], None] = print
) -> Section:
    """Run the rounds; `users` is what the other parts have. Raises BenchError, ClusterError."""
    del users
    seconds = max(seconds, MINIMUM_S)
    rows: list[dict[str, float]] = []
    probes, op_timeout_s = 0, 0.0
    with EmbeddedCluster(NODES) as cluster:
        for number in range(rounds):
            with silent_server() as server:
                addresses = [*(node.address for node in cluster.nodes), server.address]
                env = {
                    "BENCH_NODES": to_option(addresses),
                    "BENCH_PROXY": cluster.nodes[DEAD].proxy or "",
                    "BENCH_TOXIPROXY": cluster.toxiproxy_url or "",
                    "BENCH_USERS": str(USERS),
                }
                command = [*UNDER_GEVENT, "bench.outage_load"]
                found = run_python("the outage", command, seconds=seconds, env=env)
            probes, op_timeout_s = found["probes"], found["op_timeout_s"]
            rows.append(row(found, server.waits))
            say(f"{PART} round {number + 1}/{rounds}  {line(rows[-1])}")
    return Section(
        part=PART,
        title=f"a node that stops answering, {USERS} users",
        figures=figures(rows, op_timeout_s=op_timeout_s, probes=probes),
        details={"rounds": rows},
    )


def row(found: Mapping[str, Any], waits: Sequence[Wait]) -> dict[str, float]:
    """Take the four figures of a round from its calls. Raises BenchError."""
    moments, calls = Moments(**found["moments"]), found["calls"]
    waited = [call for call in calls if call[1] - call[0] > WAITED * found["op_timeout_s"]]
    stopped = stopped_waiting(waited, moments, probes=found["probes"])
    if found["opened"] is None:
        raise BenchError("the breaker did not open on a server that never answers")
    settled = found["opened"] + SETTLED_S
    if not any(wait.began > settled for wait in waits):
        raise BenchError("no probe reached the silent server: nothing was counted")
    return {
        "stopped_s": stopped - moments.injected,
        "healthy_share": healthy_share(calls, moments, since=stopped),
        "back_s": back(calls, moments) - moments.healed,
        "most_probes": float(most_at_once(waits, settled)),
    }


def stopped_waiting(waited: Sequence[Call], moments: Moments, *, probes: int) -> float:
    """Give the last moment of the fault at which more calls than `probes` waited for the node.

    `waited` are the calls that were not refused.
    """
    edges = []
    for started, ended, place, _ in waited:
        if place == DEAD and ended > moments.injected and started < moments.healing:
            edges += [(started, 1), (min(ended, moments.healing), -1)]
    under_way, last = 0, moments.injected
    for at, step in sorted(edges):
        if under_way > probes:
            last = max(last, at)
        under_way += step
    return last


def healthy_share(calls: Sequence[Call], moments: Moments, *, since: float) -> float:
    """Give the healthy nodes' hits a second from `since` to the heal, as a share of before."""

    def hits_a_second(begin: float, end: float) -> float:
        hits = sum(
            1 for _, ended, place, hit in calls if hit and place != DEAD and begin <= ended < end
        )
        return hits / (end - begin) if end > begin else 0.0

    before = hits_a_second(moments.begun, moments.injecting)
    if not before:
        raise BenchError("the healthy nodes completed nothing before the fault")
    return hits_a_second(since, moments.healing) / before


def back(calls: Sequence[Call], moments: Moments) -> float:
    """Give the moment of the last failure of the node after its heal; the heal when none was.

    A node that nobody reached again is not back before the end.
    """
    after = [call for call in calls if call[2] == DEAD and call[1] > moments.healed]
    if not any(hit for _, _, _, hit in after):
        return moments.ended
    return max((ended for _, ended, _, hit in after if not hit), default=moments.healed)


def figures(
    rows: Sequence[Mapping[str, float]], *, op_timeout_s: float, probes: int
) -> list[Figure]:
    """Hold the rounds against the goals."""

    def over(name: str) -> Any:
        return summarise([one[name] for one in rows])

    return [
        Figure(
            name="calls stop waiting for a black hole after",
            value=over("stopped_s"),
            unit="s",
            goal=Goal(limit=op_timeout_s + MARGIN_S),
        ),
        Figure(name="healthy nodes' gets from then on", value=over("healthy_share"), goal=HEALTHY),
        Figure(
            name="healed node in full service after", value=over("back_s"), unit="s", goal=BACK_S
        ),
        Figure(
            name="most probes at once, counted by the server",
            value=over("most_probes"),
            goal=Goal(limit=probes),
        ),
    ]


def line(one: Mapping[str, float]) -> str:
    """Say what a round found, in one line."""
    return (
        f"calls stop waiting after {one['stopped_s']:.2f} s, healthy nodes at "
        f"{one['healthy_share']:.1%}, back after {one['back_s']:.2f} s, "
        f"{one['most_probes']:.0f} probes at once"
    )
