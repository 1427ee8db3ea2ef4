"""P2: what a key of a batch costs, and whether a batch waits for its nodes side by side.

CPU time a key decides, against HashClient.get_many as it comes, which verifies nothing; the same
with every value verified stands beside it. The shape of the waiting is counted in round trips and
in deadlines, so it holds on any machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.figures import (
    CPU,
    SPEED,
    Rounds,
    Summary,
    measure_of,
    order,
    ratio,
    summarise,
    table,
    to_json,
)
from bench.goals import Figure, Goal, Section
from bench.nodes import BenchError, running, to_option
from bench.processes import UNDER_GEVENT, run_python
from cluster.embedded import EmbeddedCluster

PART = "P2"
NODES = 3
LABELS: Mapping[str, str] = {
    "M": "M  memquake, every value verified",
    "H": "H  HashClient.get_many, nothing verified",
    "V": "V  HashClient.get_many, every value verified",
}
CLIENTS = {"M": ("memquake", "yes"), "H": ("HashClient", "no"), "V": ("HashClient", "yes")}
SHAPE_S = 30.0  # what the shape takes at most: a dozen deadlines and a few round trips
TURNS = 3  # of all three in a round: the machine's noise is larger than what is to be seen
ONE_ROUND_TRIP = Goal(limit=1.5)  # three round trips would be 3
WITHIN_DEADLINE = Goal(limit=1.1)  # of op_timeout: a tenth for a busy machine
AT_ONCE = Goal(limit=0.1)  # of op_timeout; a batch that waits for the dead node needs all of it
ALL = Goal(limit=1.0, at_most=False)


def measure(
    *, rounds: int, seconds: float, users: int, say: Callable[[str], None] = print
) -> Section:
    """Run the rounds, then the shape. Raises BenchError."""
    measured = []
    with running(NODES) as nodes:
        for number in range(rounds * TURNS):
            measures = {}
            for name in order(list(LABELS), number):
                client, verified = CLIENTS[name]
                env = {
                    "BENCH_NODES": to_option(nodes),
                    "BENCH_USERS": str(users),
                    "BENCH_CLIENT": client,
                    "BENCH_VERIFIED": verified,
                }
                found = run_python(
                    name, [*UNDER_GEVENT, "bench.batch_load"], seconds=seconds, env=env
                )
                measures[name] = measure_of(found)
                say(
                    f"{PART} round {number // TURNS + 1}/{rounds}  {LABELS[name]:<46}"
                    f"  {measures[name].operations_per_s:>10,.0f} keys/s"
                    f"  {measures[name].cpu_us_per_operation:>7.2f} us CPU/key"
                )
            measured.append(measures)
    shape = measure_shape()
    say(f"\n{users} greenlets, batches of 24 keys of 100 B, {NODES} nodes; an operation is a key")
    say(table(measured, LABELS))
    return Section(
        part=PART,
        title="batches",
        figures=[*cost_figures(measured), *shape_figures(shape)],
        details=to_json(measured, LABELS) | {"shape": shape},
    )


def measure_shape() -> dict[str, Any]:
    """Time batches behind Toxiproxy. Raises BenchError, ClusterError."""
    with EmbeddedCluster(NODES) as cluster:
        env = {
            "BENCH_NODES": to_option([node.address for node in cluster.nodes]),
            "BENCH_PROXIES": ",".join(node.proxy or "" for node in cluster.nodes),
            "BENCH_TOXIPROXY": cluster.toxiproxy_url or "",
        }
        found: dict[str, Any] = run_python(
            "the shape of a batch", [*UNDER_GEVENT, "bench.batch_shape"], seconds=SHAPE_S, env=env
        )
    return found


def cost_figures(rounds: Rounds) -> list[Figure]:
    """Compare the cost of a key."""
    cpu, verified = ratio(rounds, "M", "H", CPU), ratio(rounds, "M", "V", CPU)
    speed = ratio(rounds, "M", "H", SPEED)
    assert cpu is not None
    assert verified is not None
    assert speed is not None
    return [
        Figure(name="M/H CPU per key", value=cpu, goal=Goal(limit=0.2)),
        Figure(name="M/V CPU per key", value=verified),
        Figure(name="M/H keys a second", value=speed),
    ]


def shape_figures(shape: Mapping[str, Any]) -> list[Figure]:
    """Turn times into round trips and shares of the deadline. Raises BenchError."""
    timeout_s = shape["op_timeout_s"]
    hole: Sequence[Mapping[str, Any]] = shape["hole"]
    open_ones = [batch for batch in hole if batch["open"]]
    closed_ones = [batch for batch in hole if not batch["open"]]
    if not open_ones:
        raise BenchError("no batch met an open breaker: the black hole did not open it")
    right = [float(batch["complete"] and batch["failed_right"]) for batch in hole]
    return [
        Figure(
            name="all nodes +100 ms: batch in round trips",
            value=round_trips(shape["far"]),
            goal=ONE_ROUND_TRIP,
        ),
        Figure(name="the same, HashClient", value=round_trips(shape["far_peer"])),
        Figure(
            name="one node a black hole: batch, of op_timeout",
            value=summarise([batch["took_s"] / timeout_s for batch in closed_ones]),
            goal=WITHIN_DEADLINE,
        ),
        Figure(
            name="the same, breaker open",
            value=summarise([batch["took_s"] / timeout_s for batch in open_ones]),
            goal=AT_ONCE,
        ),
        Figure(
            name="share of these batches with all other keys",
            value=summarise([sum(right) / len(right)]),
            goal=ALL,
        ),
    ]


def round_trips(far: Mapping[str, Sequence[float]]) -> Summary:
    """Give batches in units of the single get beside each."""
    pairs = zip(far["batch_s"], far["single_s"], strict=True)
    return summarise([batch / single for batch, single in pairs])
