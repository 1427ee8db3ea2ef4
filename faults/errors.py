"""What can go wrong with faults, in one line each."""

from __future__ import annotations


class ScenarioError(Exception):
    """A scenario that cannot be run. `str()` is one line: place, problem, way out."""


class PlacedError(ValueError):
    """A value in a file that cannot be; `place` leads from where it is raised to the value.

    With `of_key` it is the key that cannot be.
    """

    def __init__(self, place: tuple[int | str, ...], problem: str, *, of_key: bool = False) -> None:
        super().__init__(problem)
        self.place = place
        self.of_key = of_key


class FaultError(Exception):
    """A fault could not be injected, seen or healed. `str()` is one line."""
