"""When each fault of a scenario begins, counted from the start of the testing phase. Pure.

`after` means after the end of that fault, its last repetition included. Times are unscaled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from faults.kinds import FaultSpec
from memquake.nearest import nearest


class ScheduleError(ValueError):
    """The faults cannot be put in order; `index` is the place of the culprit among them."""

    def __init__(self, index: int, key: str, problem: str) -> None:
        super().__init__(problem)
        self.index = index
        self.key = key


@dataclass(frozen=True, kw_only=True)
class Slot:
    """One occurrence of a fault."""

    id: str
    spec: FaultSpec
    at_s: float

    @property
    def end_s(self) -> float:
        """Second at which it is to be healed."""
        return self.at_s + self.spec.duration


def lay_out(faults: Sequence[FaultSpec]) -> list[Slot]:
    """Give every occurrence in the order of the file; ScheduleError for what cannot be."""
    places = _places(faults)
    starts = _starts(faults, places)
    slots = []
    for fault in faults:
        times = fault.repeat.times if fault.repeat else 1
        every = fault.repeat.every if fault.repeat else 0.0
        for turn in range(times):
            own = fault.id if fault.repeat is None else f"{fault.id}-{turn + 1}"
            slots.append(Slot(id=own, spec=fault, at_s=starts[fault.id] + turn * every))
    seen: set[str] = set()
    for slot in slots:
        if slot.id in seen:
            index = places[slot.spec.id]
            raise ScheduleError(index, "id", f"a repetition has the id {slot.id} of another fault")
        seen.add(slot.id)
    return slots


def _places(faults: Sequence[FaultSpec]) -> dict[str, int]:
    places: dict[str, int] = {}
    for index, fault in enumerate(faults):
        if fault.id in places:
            raise ScheduleError(index, "id", f"two faults have the id {fault.id}: rename one")
        places[fault.id] = index
    return places


def _starts(faults: Sequence[FaultSpec], places: Mapping[str, int]) -> dict[str, float]:
    starts: dict[str, float] = {}
    for fault in faults:
        # Walk up to a fault whose start is known, then come back down.
        chain: list[FaultSpec] = []
        here = fault
        while here.id not in starts and here.after is not None:
            chain.append(here)
            if here.after not in places:
                known = nearest(here.after, set(places) - {here.id} or {"none"})
                raise ScheduleError(
                    places[here.id], "after", f"after names no fault: {here.after!r} ({known})"
                )
            here = faults[places[here.after]]
            if here in chain:
                names = " -> ".join([one.id for one in chain] + [here.id])
                raise ScheduleError(
                    places[fault.id], "after", f"after goes in a circle: {names}; give one an `at`"
                )
        if here.id not in starts:
            starts[here.id] = here.at or 0.0
        for waiting in reversed(chain):
            starts[waiting.id] = _end(here, starts[here.id])
            here = waiting
    return starts


def _end(fault: FaultSpec, start_s: float) -> float:
    turns = (fault.repeat.times - 1) * fault.repeat.every if fault.repeat else 0.0
    return start_s + turns + fault.duration
