"""Kinds that ask the node's own memcached: memory, connections, flush."""

from __future__ import annotations

from collections.abc import Mapping

from faults.kinds.base import FaultSpec

KINDS: Mapping[str, type[FaultSpec]] = {}
