"""Kinds that take processor time away from a node."""

from __future__ import annotations

from collections.abc import Mapping

from faults.kinds.base import FaultSpec

KINDS: Mapping[str, type[FaultSpec]] = {}
