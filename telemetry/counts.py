"""What a client under test has counted of one node since it was made, in words of ours.

A client's `snapshot()` may say anything. Here it becomes numbers under names that are bounded: a
state, a failure or a wait that is none of ours cannot become a label of a metric. Running totals,
not increments: the newest say it all, and a process that is gone keeps its last. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from client.operation import FAILURES
from telemetry.wire import add_flat, flat

STATES = ("closed", "half_open", "open")
TRANSITIONS = frozenset((old, new) for old in STATES for new in STATES if old != new)
USUAL = (("closed", "open"), ("open", "half_open"), ("half_open", "closed"), ("half_open", "open"))
"""Changes that a breaker makes sooner or later, counted from 0 on."""

OTHER_FAILURE = "other"

LAST_WAIT = 40
"""The bucket of a wait of less than 2**40 us, twelve days; there is no longer one."""


@dataclass(slots=True)
class ClientCounts:
    """Running totals of one node. `waits` counts by b: a wait of less than 2**b microseconds."""

    requests: int = 0
    created: int = 0
    transitions: dict[tuple[str, str], int] = field(default_factory=dict)  # (from, to)
    failures: dict[str, int] = field(default_factory=dict)
    waits: dict[int, int] = field(default_factory=dict)

    def add(self, other: ClientCounts) -> None:
        """Add what another client counted of the same node."""
        self.requests += other.requests
        self.created += other.created
        for change, count in other.transitions.items():
            self.transitions[change] = self.transitions.get(change, 0) + count
        for failure, count in other.failures.items():
            self.failures[failure] = self.failures.get(failure, 0) + count
        for bucket, count in other.waits.items():
            self.waits[bucket] = self.waits.get(bucket, 0) + count

    def pack(self) -> list[Any]:
        """Give plain lists for a message."""
        return [
            self.requests,
            self.created,
            [[old, new, count] for (old, new), count in self.transitions.items()],
            dict(self.failures),
            flat(self.waits),
        ]

    @classmethod
    def unpack(cls, packed: Sequence[Any]) -> ClientCounts:
        """Rebuild from `pack`."""
        requests, created, transitions, failures, waits = packed
        counts = cls(requests=requests, created=created, failures=dict(failures))
        counts.transitions = {(old, new): count for old, new, count in transitions}
        add_flat(counts.waits, waits)
        return counts


def read_counts(said: Mapping[str, Any]) -> ClientCounts:
    """Read one node's part of a `snapshot()`; what is no count is left out, never an error."""
    pool = _mapping(said.get("pool"))
    counts = ClientCounts(
        requests=count_of(said.get("requests")), created=count_of(pool.get("created"))
    )
    changes = said.get("transitions")
    if isinstance(changes, Mapping):
        counts.transitions = dict.fromkeys(USUAL, 0)
    for change, count in _mapping(changes).items():
        old, _, new = str(change).partition(">")
        if (old, new) in TRANSITIONS:
            counts.transitions[old, new] = count_of(count)
    for failure, count in _mapping(said.get("failures")).items():
        name = str(failure) if str(failure) in FAILURES else OTHER_FAILURE
        counts.failures[name] = counts.failures.get(name, 0) + count_of(count)
    for upper_us, count in _mapping(pool.get("acquire_wait_us")).items():
        bucket = _bucket(upper_us)
        if bucket is not None:
            counts.waits[bucket] = counts.waits.get(bucket, 0) + count_of(count)
    return counts


def count_of(value: Any) -> int:
    """Read a count from a stranger's words; what is none is 0."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _mapping(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}


def _bucket(upper_us: Any) -> int | None:
    """Give b for an upper end of up to 2**b us; on its way here it may have become text."""
    try:
        upper = int(upper_us)
    except (TypeError, ValueError):
        return None
    return min(max(upper - 1, 0).bit_length(), LAST_WAIT)
