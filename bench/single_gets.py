"""P1: what one operation of the shipped users costs, against those who do less for it.

Rounds of all contenders in turn, each time in another order, and between them more of those who
have a goal, since the machine's noise is larger than what is to be seen. CPU time per operation
decides: on shared cores the throughput of one and the same program moves by half, CPU time less.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench import memtier
from bench.contenders import LABELS, Task, run
from bench.figures import CPU, SPEED, Rounds, order, ratio, table, to_json
from bench.goals import Figure, Goal, Section
from bench.nodes import running

PART = "P1"
NODES = 3
GOALS: Sequence[tuple[str, str, str, Goal | None]] = (
    ("A", "B", CPU, Goal(limit=0.370)),  # 1/2.7 of the plain Locust user
    ("A", "C", CPU, Goal(limit=1.33)),  # a third over sockets that only send and receive
    ("A", "D", SPEED, Goal(limit=0.45, at_most=False)),
    ("B", "C", CPU, None),
    ("E", "F", CPU, None),
    ("G", "H", CPU, None),
    ("A", "B", SPEED, None),
    ("A", "C", SPEED, None),
    ("E", "F", SPEED, None),
    ("G", "H", SPEED, None),
)
NAMES = {CPU: "CPU per operation", SPEED: "operations a second"}
AGAIN_A_ROUND = 2  # further turns of those with a goal: noise lasts longer than one of them
NO_MEMTIER = f"D not measured: {memtier.PROGRAM} is not on PATH"


def contenders() -> list[str]:
    """Give the contenders that this machine can run."""
    return [name for name in LABELS if name != "D" or memtier.is_there()]


def measure(
    *, rounds: int, seconds: float, users: int, say: Callable[[str], None] = print
) -> Section:
    """Run the rounds. Raises BenchError."""
    names = contenders()
    again = [name for name in names if any(name in goal[:2] and goal[3] for goal in GOALS)]
    measured = []
    with running(NODES) as nodes:
        task = Task(nodes=nodes, users=users, seconds=seconds)
        for number in range(rounds):
            for turn in [order(names, number), *[order(again, number)] * AGAIN_A_ROUND]:
                measures = {}
                for name in turn:
                    measures[name] = run(name, task)
                    say(
                        f"{PART} round {number + 1}/{rounds}  {LABELS[name]:<40}"
                        f"  {measures[name].operations_per_s:>10,.0f} operations/s"
                        f"  {measures[name].cpu_us_per_operation:>8.1f} us CPU/operation"
                    )
                measured.append(measures)
    say(f"\n{users} users, values of 100 B, {NODES} nodes, one process, closed loop")
    say(table(measured, LABELS))
    return section(measured)


def section(rounds: Rounds) -> Section:
    """Hold what was measured against the goals."""
    figures = []
    for contender, peer, name, goal in GOALS:
        value = ratio(rounds, contender, peer, name)
        if value is not None:
            figures.append(Figure(name=f"{contender}/{peer} {NAMES[name]}", value=value, goal=goal))
    return Section(
        part=PART,
        title="operations of the shipped users",
        figures=figures,
        notes=[] if any("D" in measures for measures in rounds) else [NO_MEMTIER],
        details=to_json(rounds, LABELS),
    )
