"""Kinds that the kernel's packet filter carries out: real loss, partitions, resets."""

from __future__ import annotations

from collections.abc import Mapping

from faults.kinds.base import FaultSpec

KINDS: Mapping[str, type[FaultSpec]] = {}
