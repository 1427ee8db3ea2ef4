"""What one load process saw, second by second, until the next report takes it.

Its rule is speed without loss: `record` runs once per operation, never yields, and only adds
integers, so whatever is taken adds up to what was recorded, to the operation. An operation belongs
to the second in which it was actually sent. Times come in the local clock and are placed by the
epoch, the local time of second 0. This module knows nothing of messages or of other processes.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from client.operation import Outcome
from telemetry.counts import ClientCounts
from telemetry.evidence import ERRORS_PER_TEXT, ErrorKinds, Evidence, plain
from telemetry.histogram import bucket_of, merge_into
from telemetry.samples import Kind, Samples
from telemetry.seconds import DONE, FAILED, NOT_ATTEMPTED, Second, Tally, add_notable, kind_of
from telemetry.window import (
    SLICES_A_SECOND,
    WAITING_FROM_US,
    NodeState,
    Pacing,
    Slice,
)
from telemetry.wire import CellKey, Wire

_TABLE_SIZE = 65_536
# Buckets up to 65 ms are looked up: half the cost of computing them, and nearly every operation.
_BUCKETS = tuple(bucket_of(value) for value in range(_TABLE_SIZE))


MOST_SUBSETS = 64
"""Sets of nodes told apart a second among batches that gave nothing; six nodes have no more."""

TOTALS = ("operations", "keys", "errors", "wrong_values", "verified_hits")


class Recorder:
    """Collects what the users of this process did. One per process and run.

    `paced` says whether operations have an intended start of their own; only then are response
    times kept. `ignored` counts operations sent before second 0, which belong to no run.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.paced = False
        self.ignored = 0
        self.epoch = math.inf  # before `start` everything lies before second 0
        self.findings = Evidence()
        self.wrong = Evidence()
        self.errors = Evidence(each=ERRORS_PER_TEXT)  # by class and text
        self.samples = Samples()
        self._clock = clock
        self._operations = 0  # counted on its own, so that a loss in the cells would show
        self._taken = dict.fromkeys(TOTALS, 0)
        self._fresh: list[tuple[str, str, dict[str, Any]]] = []
        self._fresh_counts: dict[tuple[str, str], int] = {}
        self._client_counts: Mapping[str, ClientCounts] = {}
        self._kinds = ErrorKinds()
        self._forget_seconds()

    def _forget_seconds(self) -> None:
        self._seconds: dict[int, Second] = {}
        self._cells: dict[CellKey, Tally] = {}
        self._slices: dict[str, Slice] = {}
        self._from = self._to = -1.0

    def start(self, epoch_local: float) -> None:
        """Set second 0, in the local clock. From now on operations count."""
        self.epoch = epoch_local

    def rebase(self, epoch_local: float) -> None:
        """Move second 0 for what is recorded from now on (the clocks were compared again)."""
        if self.epoch != math.inf:
            self.epoch = epoch_local

    # The hot path ------------------------------------------------------------------------------

    def record(  # noqa: PLR0917 - positional arguments are the cheapest call there is
        self,
        op: str,
        node: str,
        outcome: str,
        intended: float,
        started: float,
        ended: float,
        keys: int = 1,
        hits: int = 0,
    ) -> bool:
        """Count one finished operation; times in seconds of the local clock.

        `node` is "" for a batch over several nodes. Never yields. Return whether it may be worth
        a sample: it took 5 ms or longer, or was no plain success.
        """
        offset = started - self.epoch
        if not self._from <= offset < self._to and not self._seek(offset):
            return False
        self._operations += 1
        try:
            cell = self._cells[op, node, outcome]
        except KeyError:
            cell = self._new_cell(op, node, outcome)
        cell.count += 1
        cell.keys += keys
        cell.hits += hits
        us = int((ended - started) * 1e6)
        bucket = _BUCKETS[us] if 0 <= us < _TABLE_SIZE else bucket_of(us)
        cell.service[bucket] += 1
        if self.paced:
            late_us = int((ended - intended) * 1e6)
            cell.response[
                _BUCKETS[late_us] if 0 <= late_us < _TABLE_SIZE else bucket_of(late_us)
            ] += 1
        if node and keys == 1:
            try:
                part = self._slices[node]
            except KeyError:
                part = self._slices[node] = Slice()
            kind = cell.kind
            if kind == DONE and us < WAITING_FROM_US:
                part.calls += 1
                return False
            add_notable(part, kind, us, bucket)
            return True
        return us >= WAITING_FROM_US or cell.kind != DONE

    def _seek(self, offset: float) -> bool:
        """Make the tenth of a second at `offset` current. False before second 0."""
        if offset < 0:
            self.ignored += 1
            return False
        second = int(offset)
        tenth = min(SLICES_A_SECOND - 1, int((offset - second) * SLICES_A_SECOND))
        data = self._second(second)
        self._cells = data.cells
        self._slices = data.slices[tenth]
        # The ends of a second are exact, so a cached tenth never takes from another second.
        self._from = second + tenth / SLICES_A_SECOND
        self._to = second + (tenth + 1) / SLICES_A_SECOND
        return True

    def _second(self, second: int) -> Second:
        data = self._seconds.get(second)
        if data is None:
            data = self._seconds[second] = Second()
        return data

    def _new_cell(self, op: str, node: str, outcome: str) -> Tally:
        cell = Tally(service=defaultdict(int), response=defaultdict(int), kind=kind_of(outcome))
        self._cells[op, node, outcome] = cell
        return cell

    # Everything else ---------------------------------------------------------------------------

    def _at(self, at: float) -> Second | None:
        offset = at - self.epoch
        return self._second(int(offset)) if offset >= 0 else None

    def batch_failed(self, node: str, started: float, keys: int) -> None:
        """Count keys that a batch sent at `started` named as failed because of `node`."""
        data = self._at(started)
        if data is not None:
            data.batch_failed[node] = data.batch_failed.get(node, 0) + keys

    def batch_asked(self, nodes: Sequence[str], started: float) -> None:
        """Count a batch sent at `started`: `nodes` are those of its keys, "" for unknown."""
        data = self._at(started)
        if data is not None:
            counts = data.batch_keys
            for node in nodes:
                counts[node] = counts.get(node, 0) + 1
            asked = set(nodes)
            for node in asked:
                data.batch_calls[node] = data.batch_calls.get(node, 0) + 1
            if len(asked) == 1:
                data.batch_alone[nodes[0]] = data.batch_alone.get(nodes[0], 0) + 1

    def batch_gave_nothing(self, how: str, nodes: Iterable[str], started: float) -> None:
        """Count a batch sent at `started` that gave nothing: RAISED or EMPTY, and its keys' nodes.

        Of many nodes there are many subsets: MOST_SUBSETS are kept a second, the rest together
        under none.
        """
        data = self._at(started)
        if data is None:
            return
        counts = data.batch_nothing
        key = (how, tuple(sorted(set(nodes))))
        if key not in counts and len(counts) >= MOST_SUBSETS:
            key = (how, ())
        counts[key] = counts.get(key, 0) + 1

    def raised(self, op: str, node: str, outcome: str, kind: str, started: float) -> str:
        """Count a failed call by the class of its error; give the name it is counted under."""
        kind = self._kinds.filed_under(kind)
        data = self._at(started)
        if data is not None:
            key = (op, node, outcome, kind)
            data.raised[key] = data.raised.get(key, 0) + 1
        return kind

    def own_traffic(
        self, at: float, node: str, connections: int, commands: int, misses: int = 0
    ) -> None:
        """Count what this process asked of a node directly, past the client under test."""
        data = self._at(at)
        if data is not None:
            sums = data.own.setdefault(node, [0, 0, 0])
            sums[0] += connections
            sums[1] += commands
            sums[2] += misses

    def pacing(  # noqa: PLR0917 - the counts of one sample, usually given by name
        self,
        at: float,
        planned: int = 0,
        sent: int = 0,
        dropped: int = 0,
        busy: int = 0,
        late: int = 0,
    ) -> None:
        """Count planned, sent and dropped starts and samples of the backlog at `at`."""
        data = self._at(at)
        if data is None:
            return
        if data.pacing is None:
            data.pacing = Pacing()
        data.pacing.planned += planned
        data.pacing.sent += sent
        data.pacing.dropped += dropped
        data.pacing.busy_samples += busy
        data.pacing.late_samples += late

    def lag(self, at: float, seconds: float) -> None:
        """Note how late the event loop was at `at`."""
        data = self._at(at)
        if data is not None:
            merge_into(data.lag, {bucket_of(int(seconds * 1e6)): 1})

    def cpu(self, at: float, share: float) -> None:
        """Note the share of one core (0-1) this process used; the last of a second stays."""
        data = self._at(at)
        if data is not None:
            data.cpu = float(share)

    def node_states(self, at: float, states: Mapping[str, NodeState]) -> None:
        """Note what this process's clients say of the nodes; the last of a second stays."""
        data = self._at(at)
        if data is not None:
            data.nodes = dict(states)

    def client_counts(self, counts: Mapping[str, ClientCounts]) -> None:
        """Note what this process's clients have counted of the nodes so far; the newest stays."""
        self._client_counts = dict(counts)

    def users(self, at: float, n: int) -> None:
        """Note how many users run in this process; the last of a second stays."""
        data = self._at(at)
        if data is not None:
            data.users = n

    def origin(self, at: float, calls: int, peak: int) -> None:
        """Count calls to the origin, and their highest concurrency so far in the second."""
        data = self._at(at)
        if data is not None:
            data.origin_calls += calls
            data.origin_peak = max(data.origin_peak, peak)

    def wants_sample(self, kind: Kind, started: float, took_s: float) -> bool:
        """Whether a call sent at `started` would be kept as an example of its kind."""
        offset = started - self.epoch
        return offset >= 0 and self.samples.wants(kind, offset, took_s)

    def sample(self, kind: Kind, started: float, took_s: float, detail: Mapping[str, Any]) -> None:
        """Keep a call sent at `started` as an example of its kind."""
        at_s = round(started - self.epoch, 6)
        took_ms = round(took_s * 1000, 3)
        kept = {"at_s": at_s, "took_ms": took_ms, **plain(detail)}
        self.samples.add(kind, at_s, kept, took_s)

    def wrong_value(self, evidence: Mapping[str, Any]) -> None:
        """Count one hit that failed verification; its `kind`, if any, groups the evidence."""
        self._note("wrong", self.wrong, str(evidence.get("kind", "wrong_value")), lambda: evidence)

    def finding(self, kind: str, detail: Mapping[str, Any]) -> None:
        """Count one broken contract or programming error of the client."""
        self._note("finding", self.findings, kind, lambda: detail)

    def error(self, kind: str, detail: Callable[[], Mapping[str, Any]]) -> None:
        """Count a failed call by class and text of its error; `detail` is asked of those kept."""
        if self._clock() >= self.epoch:
            self._note("error", self.errors, kind, detail)

    def _note(
        self, what: str, where: Evidence, kind: str, detail: Callable[[], Mapping[str, Any]]
    ) -> None:
        kind = where.filed_under(kind)
        kept: dict[str, Any] | None = None
        at_s = None if self.epoch == math.inf else round(self._clock() - self.epoch, 6)
        if where.has_room(kind, at_s):
            kept = {"kind": kind, "at_s": at_s, **plain(detail())}
            self._fresh.append((what, kind, kept))
        where.add(kind, kept)
        key = (what, kind)
        self._fresh_counts[key] = self._fresh_counts.get(key, 0) + 1

    def _count_cells(self) -> dict[str, int]:
        counts = dict.fromkeys(TOTALS, 0)
        for data in self._seconds.values():
            for (_, _, outcome), cell in data.cells.items():
                counts["operations"] += cell.count
                counts["keys"] += cell.keys
                counts["verified_hits"] += cell.hits
                if cell.kind in (FAILED, NOT_ATTEMPTED):
                    counts["errors"] += cell.count
                if outcome == Outcome.WRONG_VALUE:
                    counts["wrong_values"] += cell.count
        return counts

    def totals(self) -> dict[str, int]:
        """Give the running totals of this process since the start, taken or not.

        `wrong_values` is the larger of the operations that ended so and the evidence given, since
        one batch may hold several.
        """
        pending = self._count_cells()
        totals = {name: self._taken[name] + pending[name] for name in TOTALS}
        totals["operations"] = self._operations
        totals["wrong_values"] = max(totals["wrong_values"], self.wrong.total)
        return totals

    def take(self) -> Wire:
        """Give what was recorded since the last take, as plain types, and forget it.

        Keys: `until` seconds since second 0 up to which everything finished is in, `seconds`
        (telemetry.wire), `operations`, `samples` as [kind, weight, detail], `evidence` as
        [what, kind, detail] with `what` of `wrong`, `finding` and `error`, `counts` of it as
        [what, kind, count], `ignored` in total, `client` the clients' own running totals by node,
        if new.
        """
        counts = self._count_cells()
        for name in TOTALS:
            self._taken[name] += counts[name]
        seconds = [data.pack(second) for second, data in sorted(self._seconds.items())]
        until = self._clock() - self.epoch
        increment: Wire = {
            "until": max(0.0, until),
            "seconds": seconds,
            "operations": counts["operations"],
            "ignored": self.ignored,
        }
        if self._fresh:
            increment["evidence"] = [list(item) for item in self._fresh]
        if samples := self.samples.take():
            increment["samples"] = [[list(kind), weight, kept] for kind, weight, kept in samples]
        if self._fresh_counts:
            increment["counts"] = [[*key, n] for key, n in self._fresh_counts.items()]
        if self._client_counts:
            increment["client"] = {name: c.pack() for name, c in self._client_counts.items()}
        self._fresh, self._fresh_counts, self._client_counts = [], {}, {}
        self._forget_seconds()
        return increment
