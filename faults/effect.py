"""What a fault does to the world of a good client: the words that checks apply by."""

from __future__ import annotations

from enum import StrEnum


class Effect(StrEnum):
    """One thing that a fault does; it may do several, or none to any node."""

    UNAVAILABLE = "unavailable"  # a good client must stop waiting for this node
    DEGRADED = "degraded"  # it must cope
    COLD = "cold"  # empty but healthy
    PRESSURE = "pressure"  # short of memory, connections or processor
    INTERRUPTED = "interrupted"  # calls are cut off by their own callers; no node is touched


EXCUSING = frozenset({Effect.UNAVAILABLE, Effect.DEGRADED, Effect.COLD, Effect.PRESSURE})
"""A fault with one of these excuses its nodes. Any other touches no node, so all that a good client
shows of it is what the harness did itself."""
