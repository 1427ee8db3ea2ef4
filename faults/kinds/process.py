"""Kinds that act on a node's own process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from faults.effect import Effect
from faults.kinds.base import FaultSpec


class Crash(FaultSpec):
    """The process dies; it comes back empty."""

    backend = "process"
    effects = frozenset({Effect.UNAVAILABLE, Effect.COLD})
    emulated_by = "SIGKILL to memcached, started again empty on the same port"
    kind: Literal["crash"]


class Hang(FaultSpec):
    """The process stands still: the kernel takes connections, nobody answers."""

    backend = "process"
    effects = frozenset({Effect.UNAVAILABLE})
    emulated_by = "SIGSTOP to memcached, SIGCONT to heal; requests sent meanwhile are answered late"
    kind: Literal["hang"]


KINDS: Mapping[str, type[FaultSpec]] = {"crash": Crash, "hang": Hang}
