"""Kinds that shut a node to one group of users and leave it open to the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from faults.effect import Effect
from faults.kinds.base import FaultSpec

MOST_GROUPS = 8  # each is a client a process and a proxy a node; more is a typing error


class Split(FaultSpec):
    """The nodes are gone for one group of users."""

    backend = "doors"
    # Not `unavailable`: the other groups' calls succeed, so no rule about a dead node fits.
    effects = frozenset({Effect.DEGRADED})
    emulated_by = (
        "Toxiproxy: each group of users has proxies of its own; those of one group are disabled, "
        "their connections closed, new ones refused"
    )
    kind: Literal["split"]
    group: int = Field(ge=1, le=MOST_GROUPS, strict=True)

    def attributes(self) -> Mapping[str, float | str]:
        """Give the number of the group that loses the nodes, from 1."""
        return {"group": float(self.group)}


KINDS: Mapping[str, type[FaultSpec]] = {"split": Split}
