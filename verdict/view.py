"""The facts of a run, indexed the way the checks ask for them.

Sums over cells and slices, computed once and kept. The rule: this module adds up, it never judges;
every limit and every comparison lives with its check.
"""

from __future__ import annotations

import bisect
import itertools
import statistics
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

from client.operation import FAILURES, Outcome
from telemetry.histogram import lowest_us, merged, percentile_us
from telemetry.window import (
    SLICES_A_SECOND,
    Cell,
    MachineLoad,
    NodeState,
    Slice,
    Window,
)
from verdict.budgets import limit_of
from verdict.model import RunFacts
from verdict.node_events import disturbed_seconds, recovery_s
from verdict.phases import WARM_UP_S, Phases, calendar
from verdict.sums import Sums, sum_cells

BATCHES = ""
"""The node of a call that asked several nodes at once."""

CPU_LIMIT = 0.90
"""Above this share of a core a load process measures itself."""

CPU_GROWTH = 0.25
"""What takes this much more of a core than before is late by its own doing."""

AFTERMATH_S = 2
"""A breaker stays open for 1.5 s at most by default, and then asks first."""

TIMEOUT_SHARE = 0.9
"""A failure that took this share of the op_timeout is a timeout by another name."""

STARVED = (3.0, 0.5)
"""Queueing for a core beyond this multiple of the baseline's, and this much of a core more: then
even a call's time limit may pass without anybody's fault but the machine's."""

STOLEN = 0.1
"""Cores that the hypervisor took in a second, from which on its p99 says little of the client: of
100 such seconds and quiet ones of one run after the other, it was two to four times as long."""

_ROUNDING = 1e-9  # tenths of a second are no binary fractions

TIMING = frozenset({Outcome.TIMEOUT, Outcome.POOL_TIMEOUT, Outcome.BREAKER_OPEN})
"""Failures that a late hub brings about by itself, and what follows from them."""


class View:
    """One run as the checks see it."""

    def __init__(self, facts: RunFacts) -> None:
        self.facts = facts
        self.phases: Phases = calendar(
            facts.phases,
            facts.faults,
            facts.duration_s,
            disturbed=disturbed_seconds(facts),
            folded=_seconds_of(window for window in facts.windows if window.length_s > 1),
            unsampled=_seconds_of(window for window in facts.windows if not window.is_sample),
        )
        self.windows: dict[int, Window] = {window.second: window for window in facts.windows}
        self._sums: dict[tuple[int, tuple[str, ...] | None], Sums] = {}
        self._slices: dict[str, list[tuple[float, Slice]]] = {}

    def limit(self, name: str) -> float:
        """Give the limit of a check in this run."""
        return limit_of(self.facts, name)

    @property
    def is_paced(self) -> bool:
        """Whether intended starts were planned, so that unsent load is a finding."""
        return self.facts.target_rate > 0

    @property
    def processes(self) -> int:
        """How many clients there were: one in each process, for each group of users."""
        return max(1, len(self.facts.workers)) * self.facts.groups

    @property
    def recovery_s(self) -> float:
        """Give the time after a heal in which a node's errors are part of its fault."""
        return recovery_s(self.facts)

    def sums(self, second: int, *nodes: str) -> Sums:
        """Add up one window: of the named nodes, or of everything, batches included."""
        key = (second, nodes or None)
        if key not in self._sums:
            window = self.windows.get(second)
            self._sums[key] = Sums() if window is None else sum_cells(window, nodes or None)
        return self._sums[key]

    def p99s_ms(self, seconds: Iterable[int], *nodes: str) -> list[float]:
        """Give the p99 of each window that has operations."""
        values = (self.sums(second, *nodes).p99_ms() for second in seconds)
        return [value for value in values if value is not None]

    def median_p99_ms(self, seconds: Iterable[int], *nodes: str) -> float | None:
        """Give the median over windows of the window's p99."""
        values = self.p99s_ms(seconds, *nodes)
        return statistics.median(values) if values else None

    @cached_property
    def counted(self) -> tuple[int, ...]:
        """Windows whose failures count: after the first 2 s, untouched by an edge, full or not.

        Nor does one count of whose seconds only some decide nothing: without what was asked in
        them, it would stand beside what the servers counted in all of them.
        """
        touched = self.phases.touched
        return tuple(
            second
            for second, window in self.windows.items()
            if second >= WARM_UP_S and touched.isdisjoint(range(second, window.end))
        )

    @cached_property
    def row(self) -> tuple[int, ...]:
        """Windows of the load in order, folded ones by their first second; what sums are made of.

        Where nothing was folded these are the full seconds.
        """
        return tuple(s for s in self.counted if self.windows[s].end <= self.phases.load_end)

    def ends(self, second: int) -> int:
        """Return the first second after the window that begins with `second`."""
        window = self.windows.get(second)
        return second + 1 if window is None else window.end

    def covering(self, seconds: Sequence[int]) -> tuple[int, ...]:
        """Return the given seconds with all windows between them that stand for folded ones."""
        if not seconds:
            return ()
        inside = {s for s in self.row if seconds[0] <= s <= seconds[-1]} - self._alone
        return tuple(sorted(inside.union(seconds)))

    @cached_property
    def _alone(self) -> frozenset[int]:
        return frozenset(self.phases.sampled)

    def single_key_p99s_ms(self, seconds: Iterable[int]) -> list[float]:
        """Give the p99 over the single-key calls of each window that has some."""
        return self.p99s_ms(seconds, *self.facts.nodes)

    def slices(self, node: str, begin: float, end: float) -> Iterator[tuple[float, Slice]]:
        """Give (start, slice) of the slices of a node that lie wholly between two moments."""
        if node not in self._slices:
            unsorted = [
                (window.second + tenth / SLICES_A_SECOND, part)
                for window in self.facts.windows
                for (tenth, owner), part in window.slices.items()
                if owner == node
            ]
            self._slices[node] = sorted(unsorted, key=lambda pair: pair[0])
        found = self._slices[node]
        first = bisect.bisect_left(found, begin - _ROUNDING, key=lambda pair: pair[0])
        for start, part in itertools.islice(found, first, None):
            if start + 1 / SLICES_A_SECOND > end + _ROUNDING:
                return
            yield start, part

    def state(self, second: int, node: str) -> NodeState | None:
        """Give what the clients said of a node at the end of a window."""
        window = self._window_with(second)
        return None if window is None else window.nodes.get(node)

    def _window_with(self, second: int) -> Window | None:
        """Return the window that holds a second, itself or folded with others."""
        found = self.windows.get(second)
        if found is None and second in self.phases.folded:
            index = bisect.bisect_right(self.facts.windows, second, key=lambda w: w.second) - 1
            return self.facts.windows[index] if index >= 0 else None
        return found

    def growth(self, node: str, counter: str, seconds: Iterable[int]) -> int:
        """Add up how much a counter of the clients grew in the given windows.

        A worker that is lost takes its share of the sum along, so only rises count.
        """
        grown = 0
        for second in seconds:
            now, before = self.state(second, node), self.state(second - 1, node)
            if now is not None:
                was = 0 if before is None else int(getattr(before, counter))
                grown += max(0, int(getattr(now, counter)) - was)
        return grown

    def server_commands(self, node: str, seconds: Iterable[int]) -> tuple[int, int] | None:
        """Give (commands, seconds) by which the server's own counters grew between windows.

        Without what the harness itself asked, to a second's worth of it.
        None without two samples. A restart sets the counters back: only rises count.
        """
        samples = [
            (second, stats["cmd_get"] + stats["cmd_set"])
            for second in sorted(seconds)
            if (window := self.windows.get(second)) is not None
            and (stats := window.server.get(node)) is not None
            and "cmd_get" in stats
            and "cmd_set" in stats
        ]
        if len(samples) < 2:
            return None
        pairs = itertools.pairwise(samples)
        grown = sum(max(0, later - earlier) for (_, earlier), (_, later) in pairs)
        first, last = samples[0][0], samples[-1][0]
        own = sum(
            self.windows[second].own_commands.get(node, 0)
            for second in range(first, last + 1)
            if second in self.windows
        )
        return max(0, grown - own), last - first

    @cached_property
    def saturated(self) -> frozenset[int]:
        """Windows of a paced run in which the generator itself was the slow part.

        One in which the hub did not tick at all, between others in which it did, is among them.
        """
        if not self.is_paced:
            return frozenset()
        ticked = [window.second for window in self.facts.windows if window.lag]
        alive = range(min(ticked), max(ticked)) if ticked else range(0)
        limit_us = self.limit("generator_not_saturated") * 1e6
        return frozenset(
            window.second
            for window in self.facts.windows
            if (percentile_us(window.lag, 0.99) or 0) > limit_us
            or (window.second in alive and not window.lag)
            or max(window.cpu.values(), default=0.0) > CPU_LIMIT
        )

    def machine(self, second: int) -> MachineLoad | None:
        """Give what the master's machine was doing in a window, None where nobody knows."""
        window = self.windows.get(second)
        return None if window is None else window.machine

    def crowded(self, factor: float, beside: float) -> frozenset[int]:
        """Windows in which the run's processes queued for a core as they did not in the baseline.

        That is longer than `factor` times the baseline's median and `beside` cores more, without
        having taken more of the CPU themselves: other work on the machine was in their way. A
        client that keeps the machine busy by itself takes more, and has no such excuse.
        """
        loads = {second: window.machine for second, window in self.windows.items()}
        usual = [load for second in self.phases.baseline if (load := loads.get(second))]
        if not usual:
            return frozenset()
        own = statistics.median(load.own for load in usual) + CPU_GROWTH
        most = factor * statistics.median(load.waited for load in usual) + beside
        return frozenset(
            second
            for second, load in loads.items()
            if load is not None and load.waited > most and load.own <= own
        )

    @cached_property
    def robbed(self) -> frozenset[int]:
        """Windows in which the hypervisor took a good part of a core, by its own count."""
        return frozenset(
            second
            for second, window in self.windows.items()
            if window.machine is not None and window.machine.stolen >= STOLEN
        )

    def unrobbed(self, seconds: Sequence[int], needed: int) -> Sequence[int]:
        """Leave out the robbed windows; where fewer than `needed` would be left, give them all."""
        kept = [second for second in seconds if second not in self.robbed]
        return kept if len(kept) >= needed else seconds

    @cached_property
    def disturbed(self) -> frozenset[int]:
        """Windows whose calls lived in a saturated or starved second: that one, the one before."""
        bad = self.saturated | self.crowded(*STARVED)
        return bad | {second - 1 for second in bad}

    @cached_property
    def aftermath(self) -> frozenset[int]:
        """Windows in which a breaker that opened in a disturbed second may still refuse calls."""
        return frozenset(
            second + later for second in self.disturbed for later in range(AFTERMATH_S + 1)
        )

    def excusable(self, second: int, *nodes: str) -> int:
        """Count the failures of a window that a saturated generator may have brought about."""
        window = self.windows.get(second)
        if window is None or second not in self.aftermath:
            return 0
        count = 0
        for (_, node, outcome), cell in window.cells.items():
            if nodes and node not in nodes:
                continue
            if outcome == Outcome.BREAKER_OPEN or (outcome in TIMING and second in self.disturbed):
                count += cell.count
            elif outcome in FAILURES and second in self.disturbed:
                count += self.as_long_as_a_timeout(cell)
        return count

    def as_long_as_a_timeout(self, cell: Cell) -> int:
        """Count the failures that took the time of a timeout, whatever the client called them."""
        least_us = TIMEOUT_SHARE * self.facts.op_timeout_s * 1e6
        return sum(count for bucket, count in cell.service.items() if lowest_us(bucket) >= least_us)

    def lag_p99s_ms(self, seconds: Iterable[int]) -> list[float]:
        """Give the p99 of the hub's lag in every window that knows it, in ms."""
        return [
            value / 1000
            for second in seconds
            if (window := self.windows.get(second)) is not None
            and (value := percentile_us(window.lag, 0.99)) is not None
        ]

    def median_cpu(self, seconds: Iterable[int]) -> float:
        """Give the busiest worker's share of a core in the median window."""
        tops = [
            max(window.cpu.values())
            for second in seconds
            if (window := self.windows.get(second)) is not None and window.cpu
        ]
        return statistics.median(tops) if tops else 0.0

    def unaffected(self, second: int) -> list[str]:
        """Name the nodes that no fault, and no recovery from one, touches in a window."""
        return [
            node
            for node in self.facts.nodes
            if not self.phases.is_affected(node, second, second + 1, self.recovery_s)
        ]

    def total(self, seconds: Iterable[int], *nodes: str) -> Sums:
        """Add up several windows."""
        parts = [self.sums(second, *nodes) for second in seconds]
        return Sums(
            operations=sum(part.operations for part in parts),
            keys=sum(part.keys for part in parts),
            failed=sum(part.failed for part in parts),
            unattempted=sum(part.unattempted for part in parts),
            aborted=sum(part.aborted for part in parts),
            read_keys=sum(part.read_keys for part in parts),
            read_hits=sum(part.read_hits for part in parts),
            service=merged(part.service for part in parts),
        )

    def outcome_count(self, *outcomes: str) -> int:
        """Count the operations of the whole run with one of the outcomes."""
        return sum(
            cell.count
            for window in self.facts.windows
            for (_, _, outcome), cell in window.cells.items()
            if outcome in outcomes
        )

    def because(self, reason: str) -> str:
        """Give the reason why something cannot be judged, with the early stop if there was one."""
        early = self.facts.stopped_early
        return f"{reason}; the run stopped early: {early}" if early else reason


def _seconds_of(windows: Iterable[Window]) -> frozenset[int]:
    return frozenset(second for window in windows for second in range(window.second, window.end))
