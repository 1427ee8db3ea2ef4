"""The kinds of fault a scenario may name: what each is called, takes and does to a node.

Data only, one class a kind, one module a backend. A kind says which backend carries it out, what
it does to a good client's world (effects), and in plain words what is really done (`emulated_by`),
because a Toxiproxy toxic is not a cable pulled out. How it is done is the backend's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Union

from pydantic import Field

from faults.kinds import cpu, doors, kernel, names, pods, process, proxy, server, workers
from faults.kinds.base import STRICT, FaultId, FaultSpec, Repeat, Target
from faults.kinds.proxy import Latency

__all__ = [
    "KINDS",
    "STRICT",
    "AnyFault",
    "FaultId",
    "FaultSpec",
    "Latency",
    "Repeat",
    "Target",
    "kind_of",
]

KINDS: Mapping[str, type[FaultSpec]] = {
    **proxy.KINDS,
    **process.KINDS,
    **kernel.KINDS,
    **server.KINDS,
    **cpu.KINDS,
    **workers.KINDS,
    **doors.KINDS,
    **names.KINDS,
    **pods.KINDS,
}

if TYPE_CHECKING:
    AnyFault = FaultSpec
else:
    AnyFault = Annotated[Union[tuple(KINDS.values())], Field(discriminator="kind")]  # noqa: UP007


def kind_of(spec: FaultSpec) -> str:
    """Give the name under which a fault's kind is known."""
    return next(name for name, kind in KINDS.items() if isinstance(spec, kind))
