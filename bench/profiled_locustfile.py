"""The shipped locustfile with a sampler on top: the load is the same, and so is everything else.

Once all users are there and warm it takes samples for the seconds asked for and writes them down,
with the CPU time and the operations that the nodes have counted meanwhile.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import gevent
from locust import events

from bench.nodes import counters, from_option
from bench.sampler import Place, sampling
from bench.steady import WARM_UP_S, cpu_seconds
from locustfile import HotKeyUser, MixedUser, MultiGetUser, StampedeUser

__all__ = ["HotKeyUser", "MixedUser", "MultiGetUser", "StampedeUser"]

NODES = from_option(os.environ["BENCH_NODES"])
SECONDS = float(os.environ["BENCH_SECONDS"])
RESULT = Path(os.environ["BENCH_RESULT"])


@events.test_start.add_listener  # type: ignore[untyped-decorator]  # Locust has no types here
def begin(environment: Any, **_: Any) -> None:
    """Watch the load from a greenlet of its own."""
    gevent.spawn(watch, environment)


def watch(environment: Any) -> None:
    """Wait until requests are counted, take samples, write the result."""
    while not environment.stats.total.num_requests:
        gevent.sleep(0.1)
    gevent.sleep(WARM_UP_S)
    samples: Counter[Place] = Counter()
    operations, _ = counters(NODES)
    cpu = cpu_seconds()
    with sampling(samples):
        gevent.sleep(SECONDS)
    cpu = cpu_seconds() - cpu
    operations = counters(NODES)[0] - operations
    document = {
        "operations": operations,
        "cpu_s": cpu,
        "samples": [[*place, count] for place, count in samples.items()],
    }
    RESULT.write_text(json.dumps(document), encoding="utf-8")
