"""What was really done to the cluster, when, and whether it was seen to work.

The plan says what should happen; the journal says what did. Times are seconds since the start of
the run in the master's monotonic clock. Each entry goes to journal.jsonl at once, so it survives a
crash. The verdict reads the records, never the plan.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from faults.effect import Effect

UNSEEN = "it was healed before its effect was seen"


@dataclass(slots=True)
class FaultRecord:
    """One fault as applied. A time is None until it happened."""

    id: str
    kind: str
    effects: frozenset[Effect]
    nodes: tuple[str, ...]
    emulated_by: str
    planned_at_s: float  # since the start of the run
    planned_end_s: float
    backend: str = ""  # what really does it; "" in journals of before this was kept
    adds_s: float = 0.0  # what it adds to every answer at the least; 0 for most kinds
    begun_at_s: float | None = None  # injection was called: it may have an effect from then on
    injected_at_s: float | None = None  # injection returned
    confirmed_at_s: float | None = None  # read back as applied and its effect seen by a probe
    heal_started_s: float | None = None
    unseen_at_s: float | None = None  # read back then, and healed before a probe saw its effect
    healed_at_s: float | None = None  # read back as gone and the node answers
    why_not: str = ""  # why it could not be confirmed or healed
    evidence: list[str] = field(default_factory=list)

    @property
    def confirmed(self) -> bool:
        """Whether the fault was read back and its effect was seen."""
        return self.confirmed_at_s is not None


@dataclass(slots=True)
class PhaseRecord:
    """One phase as it ran. Names: stabilization, testing, recovery."""

    name: str
    start_s: float
    end_s: float | None = None


class Journal:
    """Records of one run, and their file. Without a path it only keeps them.

    Entries made before the start of the run is known are held back and written, with negative
    times, as soon as it is. A file that cannot be written stops no healing: the first such error
    is kept in `file_error`. `on_fault` is called after
    each entry about a fault.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        clock: Callable[[], float] = time.monotonic,
        epoch: float | None = None,
        *,
        on_fault: Callable[[], None] = lambda: None,
    ) -> None:
        self.faults: list[FaultRecord] = []
        self.phases: list[PhaseRecord] = []
        self.epoch = epoch
        self.file_error = ""
        self._clock = clock
        self._on_fault = on_fault
        self._held: list[tuple[float, dict[str, Any]]] = []
        self._descriptor: int | None = None
        if path is not None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            self._descriptor = os.open(Path(path), flags, 0o644)

    def begin(self, epoch: float) -> None:
        """Set second 0, in the journal's clock, and write what was held back."""
        self.epoch = epoch
        held, self._held = self._held, []
        for at, entry in held:
            self._write(at, entry)

    def now_s(self) -> float:
        """Give seconds since the start of the run; before it is known, 0."""
        return 0.0 if self.epoch is None else self._clock() - self.epoch

    def since_start(self, moment: float) -> float:
        """Turn a moment of the journal's clock into seconds since the start of the run."""
        return 0.0 if self.epoch is None else moment - self.epoch

    def phase(self, name: str, at_s: float | None = None) -> None:
        """Begin a phase, which ends the one before it."""
        start_s = self.now_s() if at_s is None else at_s
        self._end_phase(start_s)
        self.phases.append(PhaseRecord(name=name, start_s=start_s))
        self.note("phase", name=name, start_s=_rounded(start_s))

    def phase_ended(self, at_s: float | None = None) -> None:
        """End the phase under way; fine when there is none."""
        end_s = self.now_s() if at_s is None else at_s
        if self._end_phase(end_s):
            self.note("phase_ended", name=self.phases[-1].name, end_s=_rounded(end_s))

    def fault(self, record: FaultRecord, event: str) -> None:
        """Write what became of a fault: planned, injected, confirmed, healed, ... and its record.

        The first call for a record takes it into `faults`.
        """
        if not any(record is known for known in self.faults):
            self.faults.append(record)
        self.note(event, fault=_plain(record))
        self._on_fault()

    @property
    def is_fault_on(self) -> bool:
        """Whether something is done to a node now, or may not have been undone."""
        return any(
            record.effects and record.begun_at_s is not None and record.healed_at_s is None
            for record in self.faults
        )

    def note(self, event: str, /, **detail: Any) -> None:
        """Write anything else worth keeping; `detail` in JSON types."""
        # The entry's own words come first in the line, and win over a detail of that name.
        entry = {"event": "", **detail} | {"event": event}
        if self.epoch is None:
            self._held.append((self._clock(), entry))
        else:
            self._write(self._clock(), entry)

    def close(self) -> None:
        """Write what is still held back, without times, and close the file."""
        held, self._held = self._held, []
        for _, entry in held:
            self._append({"t": None, **entry} | {"t": None})
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def _end_phase(self, at_s: float) -> bool:
        if not self.phases or self.phases[-1].end_s is not None:
            return False
        self.phases[-1].end_s = at_s
        return True

    def _write(self, at: float, entry: dict[str, Any]) -> None:
        assert self.epoch is not None
        self._append({"t": None, **entry} | {"t": _rounded(at - self.epoch)})

    def _append(self, line: dict[str, Any]) -> None:
        if self._descriptor is None:
            return
        text = json.dumps(line, ensure_ascii=False, default=str) + "\n"
        try:
            # One write of a file opened for appending: no line ever mixes with another.
            os.write(self._descriptor, text.encode("utf-8", "replace"))
        except OSError as why:
            self.file_error = self.file_error or str(why)


def _plain(record: FaultRecord) -> dict[str, Any]:
    fields = asdict(record)
    fields["effects"] = sorted(record.effects)
    fields["nodes"] = list(record.nodes)
    return {
        name: _rounded(value) if isinstance(value, float) else value
        for name, value in fields.items()
    }


def _rounded(seconds: float) -> float:
    return round(seconds, 6)
