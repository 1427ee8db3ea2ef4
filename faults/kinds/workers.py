"""Kinds that the load processes carry out on themselves: aborted calls, clocks, names."""

from __future__ import annotations

from collections.abc import Mapping

from faults.kinds.base import FaultSpec

KINDS: Mapping[str, type[FaultSpec]] = {}
