"""What every load process of the benchmark does alike: how long it warms up, what it counts.

The CPU time of start-up (imports, connecting, filling) is no cost of an operation, so a load
process takes its own user + system time at the two ends of the steady part. This module must not
import Locust or a client: the ceiling is measured without them.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

WARM_UP_S = 1.0  # connections made, caches of the interpreter and the servers warm
KEYS = 1000
VALUE = b"v" * 100


def cpu_seconds() -> float:
    """Give the user + system time of this process so far."""
    times = os.times()
    return times.user + times.system


def measure(
    count: Callable[[], int], sleep: Callable[[float], None], seconds: float, path: Path
) -> None:
    """Let the load warm up, take operations and CPU over `seconds`, and write them to a file."""
    sleep(WARM_UP_S)
    operations, cpu, start = count(), cpu_seconds(), time.monotonic()
    sleep(seconds)
    operations, cpu = count() - operations, cpu_seconds() - cpu
    took = time.monotonic() - start
    path.write_text(
        json.dumps({"operations": operations, "seconds": took, "cpu_s": cpu}), encoding="utf-8"
    )
