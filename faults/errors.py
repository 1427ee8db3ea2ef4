"""What can go wrong with faults, in one line each."""

from __future__ import annotations


class ScenarioError(Exception):
    """A scenario that cannot be run. `str()` is one line: place, problem, way out."""


class FaultError(Exception):
    """A fault could not be injected, seen or healed. `str()` is one line."""
