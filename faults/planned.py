"""A plan as data: what happens when, to which node, once everything is decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from faults.effect import Effect
from faults.kinds import KINDS

MICROSECONDS = 6  # decimals of every time in a plan


@dataclass(frozen=True, kw_only=True)
class PlannedFault:
    """One fault with everything decided. Times in seconds from the start of the testing phase."""

    id: str
    kind: str
    effects: frozenset[Effect]
    nodes: tuple[str, ...]
    at_s: float
    duration_s: float
    attributes: Mapping[str, Any] = field(default_factory=dict)
    emulated_by: str = ""

    @property
    def end_s(self) -> float:
        """Second of the testing phase at which it is healed."""
        # Rounded like every time of a plan, so that faults that touch do not overlap by a bit.
        return round(self.at_s + self.duration_s, MICROSECONDS)

    @property
    def backend(self) -> str:
        """Name of the backend that carries it out."""
        return KINDS[self.kind].backend

    @property
    def adds_s(self) -> float:
        """Seconds that it adds to every answer at the least, 0 for a kind that does not."""
        if self.kind != "latency":
            return 0.0
        ways = 2 if self.attributes.get("direction") == "both" else 1
        return ways * float(self.attributes["latency_s"] - self.attributes["jitter_s"])

    def hides(self, other: PlannedFault) -> bool:
        """Whether of the two, on one node at one time, one could not be seen."""
        if self.kind == other.kind:
            return True
        if "workers" in (self.backend, other.backend):
            return False  # what load processes do to themselves is seen whatever a node does
        return Effect.UNAVAILABLE in self.effects | other.effects


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A scenario after seed and time scale: what happens when, to which node."""

    scenario: str
    description: str
    seed: int
    time_scale: float
    stabilization_s: float
    testing_s: float
    recovery_s: float
    faults: tuple[PlannedFault, ...]
    budgets: Mapping[str, float] = field(default_factory=dict)  # check name -> limit, base units
    nodes: tuple[str, ...] = ()
    load: Mapping[str, float] = field(default_factory=dict)  # users, target_rate as the file says
    client: Mapping[str, float | str] = field(default_factory=dict)  # op_timeout, ... in seconds
    groups: int = 1  # of users, each with proxies and clients of its own
    abort: Mapping[str, float] = field(default_factory=dict)  # error_rate_above, error_rate_for_s

    @property
    def duration_s(self) -> float:
        """Length of all three phases."""
        return self.stabilization_s + self.testing_s + self.recovery_s

    @property
    def doors(self) -> int:
        """How many ways to a node are needed: one a group, an old address and a new one."""
        return max(self.groups, 2 if self.needs_backend("names") else 1)

    def needs_backend(self, name: str) -> bool:
        """Whether a fault is carried out by that backend (`toxiproxy`, `process`)."""
        return any(fault.backend == name for fault in self.faults)
