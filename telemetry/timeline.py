"""The master's one picture of a run: what all load processes reported, in windows.

Its rule: every increment is added once (who delivers sees to that) and nothing is lost by age.
Memory stays bounded for a run of any length (telemetry.window_store): old seconds far from any
fault are folded. The full series is on disk (telemetry.writer). It judges nothing.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from client.operation import FAILURES, Outcome
from telemetry.buckets import Total
from telemetry.counts import ClientCounts
from telemetry.evidence import ERRORS_PER_TEXT, ErrorKinds, Evidence
from telemetry.gauges import Gauges
from telemetry.line import to_line
from telemetry.samples import Samples
from telemetry.window import SERVER_COUNTERS, MachineLoad, Window
from telemetry.window_store import WindowStore
from telemetry.wire import CellKey, Wire, add_counts, unpack_state
from telemetry.writer import TimelineWriter

__all__ = ["Timeline", "TimelineWriter"]

AHEAD_S = 5
"""A second further ahead than this comes from a broken clock; it is filed under now instead."""

IN_FLIGHT_S = 1
"""A report brings what has ended, filed under its start: a second needs this long to fill up."""

LATE_S = 5
"""A second counts as complete after this, whoever has not reported; later records still count."""


class Timeline:
    """Windows of one run. Seconds count from second 0, set by `start`.

    `clock` is the master's monotonic clock. Until `start` is called, second 0 is estimated from
    what the first reports say of their own time.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.operations: dict[str, int] = {}  # worker -> operations merged
        self.ignored: dict[str, int] = {}  # worker -> operations it saw before second 0
        self.cumulative: defaultdict[CellKey, Total] = defaultdict(Total)  # of the whole run
        self.client_counts: dict[str, dict[str, ClientCounts]] = {}  # worker -> node -> the newest
        self.wrong = Evidence()
        self.findings = Evidence()
        self._error_kinds = ErrorKinds()
        self.errors = Evidence(each=ERRORS_PER_TEXT)
        self.samples = Samples()
        self.latest = -1  # newest second that holds anything
        self._clock = clock
        self._epoch: float | None = None
        self._started = False
        self._until: dict[str, float] = {}
        self._store = WindowStore()
        self._settled = -1  # newest second when the store last closed and folded
        self._gauges = Gauges(self._at)

    # Time --------------------------------------------------------------------------------------

    def start(self, epoch: float) -> None:
        """Set second 0, in the clock of this timeline."""
        self._epoch, self._started = epoch, True

    @property
    def now_s(self) -> float:
        """Seconds since second 0 by the master's own clock; 0 before anything is known."""
        return 0.0 if self._epoch is None else max(0.0, self._clock() - self._epoch)

    def seconds_behind(self) -> dict[str, float]:
        """Give for each worker how long ago its newest report was taken."""
        now = self.now_s
        return {worker: max(0.0, now - until) for worker, until in self._until.items()}

    def is_complete(self, second: int, now_s: float | None = None) -> bool:
        """Whether all workers have reported the second, or have had the time to."""
        now = self.now_s if now_s is None else now_s
        if now >= second + 1 + LATE_S:
            return True
        wanted = second + 1 + IN_FLIGHT_S
        return bool(self._until) and all(until >= wanted for until in self._until.values())

    # Adding ------------------------------------------------------------------------------------

    def merge(self, worker_id: str, increment: Wire) -> None:
        """Add what a recorder's `take` gave. Must be called once for each."""
        until = float(increment.get("until", 0.0))
        if not self._started:
            estimate = self._clock() - until
            self._epoch = estimate if self._epoch is None else min(self._epoch, estimate)
        self._until[worker_id] = max(until, self._until.get(worker_id, 0.0))
        self.ignored[worker_id] = int(increment.get("ignored", 0))
        merged = 0
        for second in increment.get("seconds", ()):
            merged += self._merge_second(worker_id, second)
        self.operations[worker_id] = self.operations.get(worker_id, 0) + merged
        self._merge_evidence(worker_id, increment)
        if "client" in increment:
            self.client_counts[worker_id] = {
                node: ClientCounts.unpack(packed) for node, packed in increment["client"].items()
            }
        self._settle()

    def _merge_second(self, worker: str, packed: Wire) -> int:
        second = self._placed(int(packed["t"]))
        window = self._at(second)
        for call in packed.get("x", ()):
            call[3] = self._error_kinds.filed_under(call[3])
        add_counts(window, packed)
        merged = 0
        for cell in packed.get("c", ()):
            op, node, outcome, count, *_ = cell
            self.cumulative[op, node, outcome].add(cell)
            merged += count
        if merged:
            window.workers[worker] = window.workers.get(worker, 0) + merged
        if "g" in packed:
            window.cpu[worker] = max(packed["g"], window.cpu.get(worker, 0.0))
        if "u" in packed or "n" in packed:
            states = packed.get("n")
            nodes = states and {node: unpack_state(state) for node, state in states.items()}
            self._gauges.sample(worker, second, packed.get("u"), nodes)
        return merged

    def _merge_evidence(self, worker: str, increment: Wire) -> None:
        for packed, weight, detail in increment.get("samples", ()):
            kept = {**detail, "worker": worker}
            self.samples.add(tuple(packed), float(detail["at_s"]), kept, weight)
        left = {(what, kind): count for what, kind, count in increment.get("counts", ())}
        for what, kind, detail in increment.get("evidence", ()):
            self._evidence(what).add(kind, {**detail, "worker": worker})
            left[what, kind] = left.get((what, kind), 1) - 1
        for (what, kind), count in left.items():
            if count > 0:
                self._evidence(what).add(kind, None, count)

    def _evidence(self, what: str) -> Evidence:
        return {"wrong": self.wrong, "error": self.errors}.get(what, self.findings)

    def server(self, second: int, node: str, stats: Mapping[str, int]) -> None:
        """Note what the server itself counted, asked directly, in `second`."""
        if second >= 0:
            kept = {name: value for name, value in stats.items() if name in SERVER_COUNTERS}
            self._at(self._placed(second)).server[node] = kept
            self._settle()

    def machine(self, second: int, load: MachineLoad) -> None:
        """Note what the master's machine was doing in `second`."""
        if second >= 0:
            self._at(self._placed(second)).machine = load

    def _placed(self, second: int) -> int:
        if self._started:
            second = min(second, int(self.now_s) + AHEAD_S)
        return max(0, second)

    def _at(self, second: int) -> Window:
        """Give the window that holds the second, making it."""
        self.latest = max(self.latest, second)
        return self._store.at(second)

    def _settle(self) -> None:
        """Close and fold what is old enough, once a second however many reports come in it."""
        if self.latest != self._settled:
            self._settled = self.latest
            self._store.settle(self.latest)

    def protect(self, begin_s: float, end_s: float) -> None:
        """Keep the seconds between two moments one by one, however long the run becomes."""
        self._store.protect(begin_s, end_s)

    # Reading -----------------------------------------------------------------------------------

    def windows(self) -> list[Window]:
        """Return all windows from second 0 to the newest, in order and without gaps.

        A second in which nothing was reported is an empty window. Windows of a long run may span
        more than one second (`length_s`); each begins where the one before it ends. Read only.
        """
        return list(self._store.windows(self.latest))

    def window(self, second: int) -> Window:
        """Return the window that holds the second, an empty one when nothing is known of it."""
        return self._store.window(second)

    def is_folded(self, second: int) -> bool:
        """Return whether the second is known only as part of a coarser window."""
        return self._store.is_folded(second)

    def bytes_held(self) -> int:
        """Return the memory that the windows of closed seconds take, in bytes."""
        return self._store.bytes_held()

    def totals(self) -> dict[str, int]:
        """Give operations, keys, errors, wrong_values and verified_hits of the whole run."""
        totals = {"operations": 0, "keys": 0, "errors": 0, "wrong_values": 0, "verified_hits": 0}
        for (_, _, outcome), cell in self.cumulative.items():
            totals["operations"] += cell.count
            totals["keys"] += cell.keys
            totals["verified_hits"] += cell.hits
            if outcome in FAILURES:
                totals["errors"] += cell.count
            if outcome == Outcome.WRONG_VALUE:
                totals["wrong_values"] += cell.count
        totals["wrong_values"] = max(totals["wrong_values"], self.wrong.total)
        return totals

    @property
    def wrong_values(self) -> Sequence[Mapping[str, Any]]:
        """Evidence of wrong values, the first 20 of each kind."""
        return self.wrong.kept

    @staticmethod
    def to_line(window: Window) -> dict[str, Any]:
        """Give a window as the JSON types of timeline.jsonl."""
        return to_line(window)
