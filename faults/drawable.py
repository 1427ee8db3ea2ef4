"""Which kinds may be drawn by chance, and from which range each of their keys. Data only.

Ranges are those in which a good client comes through with its usual settings (op_timeout 0.5 s),
and in which the fault can still be felt: a latency beyond the op_timeout would be a timeout by
another name, and half a processor is more than a node uses. A kind that is not here is
named in `NOT_DRAWN` with its reason; a test holds both against the kinds there are.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Between:
    """A whole number from one to the other, both included, with its unit behind it."""

    low: int
    high: int
    unit: str = ""

    def draw(self, rng: random.Random) -> str | int:
        """Give one as a scenario file has it."""
        number = rng.randint(self.low, self.high)
        return f"{number}{self.unit}" if self.unit else number


@dataclass(frozen=True)
class OneOf:
    """One of some words."""

    words: tuple[str, ...]

    def draw(self, rng: random.Random) -> str | int:
        """Give one as a scenario file has it."""
        return rng.choice(self.words)


DRAWABLE: Mapping[str, Mapping[str, Between | OneOf]] = {
    "down": {},
    "timeout": {},
    "latency": {"latency": Between(20, 120, "ms"), "jitter": Between(0, 20, "ms")},
    "bandwidth": {"rate": Between(10, 100, "KB/s")},
    "slow_close": {"delay": Between(100, 1000, "ms")},
    "reset_peer": {"delay": Between(0, 200, "ms")},
    "limit_data": {"bytes": Between(500, 20_000)},
    "slicer": {
        "average_size": Between(20, 60),
        "size_variation": Between(0, 15),
        "delay": Between(100, 1000, "us"),
    },
    "stall": {"share": Between(2, 10, "%")},
    "crash": {},
    "hang": {},
    "loss": {"percent": Between(2, 20), "direction": OneOf(("both", "to", "from"))},
    "partition": {"direction": OneOf(("both", "to", "from"))},
    "duplicate": {"percent": Between(5, 50)},
    "reset": {},
    "no_connect": {"open_connections": OneOf(("keep", "reset"))},
    "memory": {"limit": Between(8, 16, "MB")},
    "connections": {"free": Between(0, 4)},
    "flush": {},
    "overload": {"rate": Between(200, 1000)},
    "cpu": {"share": Between(5, 10, "%")},
    "abort": {"share": Between(1, 3, "%")},
    "clock_step": {"by": OneOf(("-1h", "-30s", "30s", "1h"))},
}
"""Kind -> key in a scenario file -> where its value is drawn from."""

NOT_DRAWN: Mapping[str, str] = {
    "split": "needs groups of users, which a scenario has from its start",
    "dns_change": "needs names for the nodes, which a scenario has from its start",
    "pod_kill": "only in Kubernetes, and only with its Role",
}
"""Kind -> why chance leaves it alone."""

ON_NO_NODE = frozenset({"workers"})
"""Backends whose faults break no node; they name no target."""
