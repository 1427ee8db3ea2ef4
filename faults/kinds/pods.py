"""Kinds that act on the pods of nodes in Kubernetes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from faults.effect import Effect
from faults.kinds.base import FaultSpec


class PodKill(FaultSpec):
    """The node's pod is deleted; its controller starts another one, empty, as soon as it can."""

    backend = "pods"
    effects = frozenset({Effect.UNAVAILABLE, Effect.COLD})
    emulated_by = (
        "Kubernetes: the pod is deleted without grace, its controller starts it again, empty; the "
        "fault ends when the new pod is ready, at the end of its time at the earliest"
    )
    kind: Literal["pod_kill"]


KINDS: Mapping[str, type[FaultSpec]] = {"pod_kill": PodKill}
