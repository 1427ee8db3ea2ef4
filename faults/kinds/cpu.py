"""Kinds that take processor time away from a node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from faults.effect import Effect
from faults.kinds.base import FaultSpec
from memquake.units import parse_share

LEAST_SHARE = 0.01  # 1 ms of every 100: the kernel takes no smaller quota
MOST_SHARE = 0.9  # nearer to 1 nothing is taken that could be seen


def _share(raw: Any) -> float:
    share = parse_share(raw)
    if not LEAST_SHARE <= share <= MOST_SHARE:
        raise ValueError(
            f"{raw} is out of range: a share of a processor between {LEAST_SHARE * 100:g}% and "
            f"{MOST_SHARE * 100:g}%"
        )
    return share


class Cpu(FaultSpec):
    """The node gets only a share of one processor."""

    backend = "cpu"
    effects = frozenset({Effect.PRESSURE})
    emulated_by = (
        "the kernel's processor quota (cgroup), in periods of 100 ms, for memcached in a group of "
        "its own"
    )
    kind: Literal["cpu"]
    share: Annotated[float, BeforeValidator(_share)]

    def attributes(self) -> Mapping[str, float | str]:
        """Give the share of one processor."""
        return {"cpu_share": self.share}


KINDS: Mapping[str, type[FaultSpec]] = {"cpu": Cpu}
