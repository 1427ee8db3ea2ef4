"""P3: what pool and breaker cost a get, and whether they make calls wait for each other.

The cost is a difference of two CPU times measured block by block in one event loop; as machines
differ it is given as a share of a raw get too. Waiting for each other shows as throughput where
the network is slow: a lock held across one round trip turns a hundred greenlets into one.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.figures import summarise
from bench.goals import Figure, Goal, Section
from bench.nodes import to_option
from bench.processes import UNDER_GEVENT, run_python
from cluster.embedded import EmbeddedCluster
from cluster.toxiproxy import Toxiproxy

PART = "P3"
GREENLETS = 100
ROUND_TRIP_MS = 5
COST_US = Goal(limit=2.0)
COST_SHARE = Goal(limit=0.125)  # 2 us of the 16 us that a raw get takes where the goal was set
NOT_SERIAL = Goal(limit=0.95, at_most=False)

Values = Mapping[str, Sequence[float]]


def measure(
    *, rounds: int, seconds: float, users: int, say: Callable[[str], None] = print
) -> Section:
    """Run the rounds, each in a process of its own. Raises BenchError, ClusterError."""
    found: list[dict[str, Any]] = []
    with EmbeddedCluster(1) as cluster:
        node = cluster.nodes[0]
        api = Toxiproxy(cluster.toxiproxy_url or "")
        api.add_toxic(
            node.proxy or "", "memquake-bench", "latency", {"latency": ROUND_TRIP_MS}, "downstream"
        )
        api.close()
        env = {
            "BENCH_NODES": to_option([node.direct, node.address]),
            "BENCH_USERS": str(users),
            "BENCH_GREENLETS": str(GREENLETS),
        }
        for number in range(rounds):
            command = [*UNDER_GEVENT, "bench.overhead_load"]
            one = run_python("pool and breaker", command, seconds=2 * seconds, env=env)
            found.append(one)
            say(f"{PART} round {number + 1}/{rounds}  {line(one)}")
    return Section(
        part=PART, title="pool and breaker", figures=figures(found), details={"rounds": found}
    )


def line(one: Mapping[str, Values]) -> str:
    """Say what a round found, in one line."""
    costs = [f"{name} {statistics.median(of):.1f}" for name, of in one["cost_us"].items()]
    speeds = [f"{name} {statistics.median(of):,.0f}" for name, of in one["gets_per_s"].items()]
    return (
        f"us CPU/get: {', '.join(costs)}; gets/s of {GREENLETS} greenlets at "
        f"{ROUND_TRIP_MS} ms: {', '.join(speeds)}"
    )


def figures(rounds: Sequence[Mapping[str, Values]]) -> list[Figure]:
    """Turn blocks into differences and ratios, block by block, then take each round's median."""
    costs = [one["cost_us"] for one in rounds]
    speeds = [one["gets_per_s"] for one in rounds]
    node = [difference(one, "node", "bare") for one in costs]
    client = [difference(one, "client", "bare") for one in costs]
    raw = [statistics.median(one["raw"]) for one in costs]
    shares = [extra / of for extra, of in zip(node, raw, strict=True)]
    return [
        Figure(
            name="pool + breaker over a bare connection", value=summarise(node), unit="us",
            goal=COST_US,
        ),
        Figure(name="the same, of a raw get", value=summarise(shares), goal=COST_SHARE),
        Figure(name="the whole client over a bare connection", value=summarise(client), unit="us"),
        Figure(
            name="100 greenlets at 5 ms: one client/100 bare",
            value=summarise([quotient(one, "shared", "bare") for one in speeds]),
            goal=NOT_SERIAL,
        ),
        Figure(
            name="the same/100 pymemcache clients",
            value=summarise([quotient(one, "shared", "pymemcache") for one in speeds]),
        ),
    ]  # fmt: skip


def difference(blocks: Values, kind: str, base: str) -> float:
    """Give the median over the blocks of `kind` less the `base` beside it."""
    return statistics.median(
        one - other for one, other in zip(blocks[kind], blocks[base], strict=True)
    )


def quotient(blocks: Values, kind: str, base: str) -> float:
    """Give the median over the blocks of `kind` divided by the `base` beside it."""
    return statistics.median(
        one / other for one, other in zip(blocks[kind], blocks[base], strict=True)
    )
