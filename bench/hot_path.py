"""`python -m bench --profile`: where the CPU time of one get goes, function by function.

The shipped user under the benchmark's own load, sampled; the shares times the CPU time of a get
give microseconds, so that two profiles, before and after a change, can be held side by side.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

from bench.contenders import JUDGED, Task, shipped_command
from bench.nodes import BenchError, running, to_option
from bench.processes import run_python
from bench.sampler import Place, by_function, by_line, draw
from bench.steady import WARM_UP_S
from memquake.paths import CHECKOUT

NODES = 3
FUNCTIONS = 30
LINES = 25
SPARE_S = 4.0  # the load outlasts the samples: filling, warming up, asking the nodes


def profile(users: int, seconds: float) -> str:
    """Run the shipped user, sampled, and give the two tables. Raises BenchError."""
    with running(NODES) as nodes, tempfile.TemporaryDirectory(prefix="bench-") as folder:
        task = Task(nodes=nodes, users=users, seconds=seconds + WARM_UP_S + SPARE_S)
        command = shipped_command(
            "A", task, CHECKOUT / "bench" / "profiled_locustfile.py", Path(folder)
        )
        found = run_python(
            "the profiled user",
            command[1:],
            seconds=task.seconds,
            env={"BENCH_NODES": to_option(nodes), "BENCH_SECONDS": str(seconds)},
            fine=JUDGED,
        )
    samples: Counter[Place] = Counter()
    for path, function, line, count in found["samples"]:
        samples[path, function, line] += count
    if not samples or not found["operations"]:
        raise BenchError("the profile holds no samples: give it more seconds")
    us = found["cpu_s"] / found["operations"] * 1e6
    return "\n".join(
        [
            f"MixedUser get=100, {users} users, closed loop: {us:.1f} us CPU a get, "
            f"{found['operations']:,} gets, {sum(samples.values()):,} samples",
            "by function (own time)",
            draw(by_function(samples), us_per_operation=us, limit=FUNCTIONS),
            "by line",
            draw(by_line(samples), us_per_operation=us, limit=LINES),
        ]
    )
