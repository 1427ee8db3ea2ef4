"""Made-up runs: seconds of steady load that a test disturbs, then hands to the verdict.

A `MadeUpRun` counts calls by tenth of a second, node and fate; `facts()` turns the counts into
windows. Times are seconds since the epoch, as everywhere in a run.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from typing import Any

from client.operation import Outcome
from faults.effect import Effect
from faults.journal import FaultRecord, PhaseRecord
from telemetry.histogram import bucket_of
from telemetry.window import SLICE_BUCKET_SHIFT, Cell, NodeState, Pacing, Slice, Window
from verdict.model import EarlierRun, LedgerFacts, RunFacts, WorkerFacts

MS = 1000
CALLS_A_TENTH = 20
TIMEOUT_US = 500 * MS
Fate = tuple[str, int]  # (outcome, service time in us)

OK: Fate = (Outcome.HIT, 200)
SLOW: Fate = (Outcome.HIT, 1500)
MISSED: Fate = (Outcome.MISS, 200)
TIMED_OUT: Fate = (Outcome.TIMEOUT, TIMEOUT_US)
REJECTED: Fate = (Outcome.BREAKER_OPEN, 3)
UNATTEMPTED = (Outcome.BREAKER_OPEN, Outcome.POOL_TIMEOUT)
HARMLESS = (Outcome.HIT, Outcome.MISS, Outcome.STORED, Outcome.ABORTED)


class MadeUpRun:
    """Steady load on three nodes; every method disturbs it and returns the run."""

    def __init__(self, seconds: int = 40, *, calls: int = CALLS_A_TENTH, paced: bool = True):
        self.seconds = seconds
        self.names = ("node1", "node2", "node3")
        steady = Counter({OK: calls - 2, SLOW: 1, MISSED: 1})
        self.tenths: dict[tuple[int, str], Counter[Fate]] = {
            (tenth, node): Counter(steady) for tenth in range(seconds * 10) for node in self.names
        }
        self.batches: dict[int, Counter[Fate]] = {}
        self.batch_failed: dict[int, dict[str, int]] = {}
        self.states: dict[tuple[int, str], NodeState] = {}
        self.pokes: list[Callable[[dict[int, Window]], None]] = []
        self.commands: dict[tuple[int, str], int] = {}
        rate = float(calls * 10 * len(self.names)) if paced else 0.0
        self.changes: dict[str, Any] = {"target_rate": rate}
        self.faults: list[FaultRecord] = []
        self.phases: list[PhaseRecord] = []

    def fault(
        self,
        *nodes: str,
        at: float = 10.0,
        to: float = 20.0,
        effects: tuple[str, ...] = ("unavailable",),
        **changes: Any,
    ) -> MadeUpRun:
        """Journal a fault, confirmed 0.2 s after its injection and healed in 0.1 s."""
        record = FaultRecord(
            id=f"hole{len(self.faults) + 1}",
            kind="timeout",
            effects=frozenset(map(Effect, effects)),
            nodes=nodes,
            emulated_by="Toxiproxy timeout toxic",
            backend="toxiproxy",
            planned_at_s=at,
            planned_end_s=to,
            injected_at_s=at,
            confirmed_at_s=at + 0.2,
            heal_started_s=to,
            healed_at_s=to + 0.1,
        )
        for field, value in changes.items():
            setattr(record, field, value)
        self.faults.append(record)
        return self

    def all_calls(self, node: str, begin: float, end: float, fate: Fate) -> MadeUpRun:
        """Let every call sent to a node in a span meet one fate."""
        for tenth in range(round(begin * 10), round(end * 10)):
            if (tenth, node) in self.tenths:
                sent = sum(self.tenths[tenth, node].values())
                self.tenths[tenth, node] = Counter({fate: sent})
        return self

    def some_calls(self, node: str, at: float, fate: Fate, count: int) -> MadeUpRun:
        """Let some of the calls of one tenth meet another fate than most of them do."""
        found = self.tenths[round(at * 10), node]
        found[max(found, key=found.__getitem__)] -= count
        found[fate] += count
        return self

    def no_calls(self, node: str, begin: float, end: float) -> MadeUpRun:
        """Send nothing to a node in a span."""
        for tenth in range(round(begin * 10), round(end * 10)):
            self.tenths[tenth, node] = Counter()
        return self

    def outage(
        self, node: str, begin: float = 10.0, end: float = 20.0, *, opens: float = 0.6
    ) -> MadeUpRun:
        """Let a client with a breaker live through a node that never answers."""
        self.all_calls(node, begin, begin + opens, TIMED_OUT)
        self.all_calls(node, begin + opens, end + 0.8, REJECTED)
        probe = begin + opens + 1.5
        while probe < end:
            self.some_calls(node, probe, TIMED_OUT, 1)
            probe += 1.5
        return self

    def batch(self, second: int, fate: Fate, count: int = 1) -> MadeUpRun:
        """Send batches over several nodes."""
        self.batches.setdefault(second, Counter())[fate] += count
        return self

    def batches_all_along(self, fate: Fate, a_second: int = 30) -> MadeUpRun:
        """Send batches over several nodes in every second."""
        for second in range(self.seconds):
            self.batch(second, fate, a_second)
        return self

    def tell(self, node: str, begin: int, end: int, **state: Any) -> MadeUpRun:
        """Let the clients tell a state of a node in the windows of a span."""
        for second in range(begin, end):
            self.states[second, node] = NodeState(**state)
        return self

    def poke(self, change: Callable[[dict[int, Window]], None]) -> MadeUpRun:
        """Change the finished windows."""
        self.pokes.append(change)
        return self

    def but(self, **changes: Any) -> MadeUpRun:
        """Change fields of the facts."""
        self.changes.update(changes)
        return self

    def facts(self) -> RunFacts:
        """Build the facts of the run."""
        windows = {second: self._window(second) for second in range(self.seconds)}
        for change in self.pokes:
            change(windows)
        operations = sum(cell.count for w in windows.values() for cell in w.cells.values())
        phases = self.phases or self._usual_phases()
        facts = RunFacts(
            scenario="made-up",
            seed=7,
            client="memquake",
            nodes=self.names,
            users=40,
            target_rate=0.0,
            op_timeout_s=0.5,
            pool_size=10,
            started="2026-01-02T03:04:05Z",
            duration_s=float(self.seconds),
            phases=phases,
            faults=self.faults,
            windows=list(windows.values()),
            workers=[self.worker(operations)],
            budgets={},
            server_connections=dict.fromkeys(self.names, (2, 2)),
        )
        return dataclasses.replace(facts, **self.changes)

    def worker(self, operations: int = 0, **changes: Any) -> WorkerFacts:
        """Give a tidy load process."""
        usual = WorkerFacts(
            id="w1",
            operations=operations,
            before={"fds": 20, "greenlets": 10},
            after={"fds": 21, "greenlets": 9},
            rss_baseline=100e6,
            rss_end=105e6,
            slots_in_use=0,
            ledger=LedgerFacts(writes=1_000, updates=1_000, reads=10_000, expired=100),
            stalls={"watched": True, "client": 0, "others": 0, "kept": []},
            keys_placed=dict.fromkeys(self.names, 1_000),
        )
        return dataclasses.replace(usual, **changes)

    def _usual_phases(self) -> list[PhaseRecord]:
        end = float(self.seconds)
        if not self.faults:
            return [PhaseRecord(name="testing", start_s=0.0, end_s=end)]
        heal = max(record.planned_end_s for record in self.faults)
        return [
            PhaseRecord(name="stabilization", start_s=0.0, end_s=10.0),
            PhaseRecord(name="testing", start_s=10.0, end_s=heal),
            PhaseRecord(name="recovery", start_s=heal, end_s=end),
        ]

    def _window(self, second: int) -> Window:
        window = Window(second=second, users=40)
        window.lag = {bucket_of(1 * MS): 100}
        window.cpu = {"w1": 0.4}
        for node in self.names:
            for tenth in range(10):
                fates = self.tenths[second * 10 + tenth, node]
                window.slices[tenth, node] = _slice(fates)
                for fate, count in fates.items():
                    _add(window, "get", node, fate, count)
            if (second, node) in self.states:
                window.nodes[node] = self.states[second, node]
            window.server[node] = self._server(second, node, window)
        for fate, count in self.batches.get(second, {}).items():
            _add(window, "get_many", "", fate, count, keys=24)
        window.batch_failed = dict(self.batch_failed.get(second, {}))
        sent = sum(cell.count for cell in window.cells.values())
        window.pacing = Pacing(planned=sent, sent=sent)
        return window

    def _server(self, second: int, node: str, window: Window) -> dict[str, int]:
        """Count as the server would: what was answered reached it."""
        answered = sum(
            cell.count
            for (_, owner, outcome), cell in window.cells.items()
            if owner == node and outcome in HARMLESS
        )
        self.commands[second, node] = self.commands.get((second - 1, node), 0) + answered
        told = {"cmd_get": self.commands[second, node], "cmd_set": 0}
        return told | {"pid": 7, "total_connections": 40, "curr_connections": 12}


def _slice(fates: Counter[Fate]) -> Slice:
    part = Slice()
    for (outcome, lasted_us), count in fates.items():
        if not count:
            continue
        part.calls += count
        failed = outcome not in HARMLESS
        part.failed += count if failed else 0
        part.unattempted += count if outcome in UNATTEMPTED else 0
        if lasted_us >= 5 * MS:
            coarse = bucket_of(lasted_us) >> SLICE_BUCKET_SHIFT
            part.waiting[coarse] = part.waiting.get(coarse, 0) + count
            if failed:
                part.waiting_failed[coarse] = part.waiting_failed.get(coarse, 0) + count
    return part


def _add(window: Window, op: str, node: str, fate: Fate, count: int, *, keys: int = 1) -> None:
    if not count:
        return
    outcome, lasted_us = fate
    cell = window.cells.setdefault((op, node, outcome), Cell())
    hits = count * keys if outcome == Outcome.HIT else 0
    bucket = bucket_of(lasted_us)
    cell.add(
        Cell(
            count=count,
            keys=count * keys,
            hits=hits,
            service={bucket: count},
            response={bucket: count},
        )
    )


def run_with_outage(
    seconds: int = 40, *, effects: tuple[str, ...] = ("unavailable",), **changes: Any
) -> MadeUpRun:
    """Give a run in which node2 is cut off from 10 s to 20 s, with a client that copes."""
    return MadeUpRun(seconds, **changes).fault("node2", effects=effects).outage("node2")


def earlier(**figures: float | None) -> EarlierRun:
    """Give an earlier run with the figures of a made-up one; None leaves one out."""
    usual: dict[str, float | None] = {
        "users": 40.0,
        "target_rate": 600.0,
        "steady_p50": 0.2,
        "steady_p99": 1.5,
        "steady_throughput": 600.0,
        "hit_ratio_baseline": 0.95,
        "steady_hub_lag": 1.0,
        "steady_cpu": 0.4,
    }
    kept = {name: value for name, value in (usual | figures).items() if value is not None}
    return EarlierRun(scenario="made-up", client="memquake", name="then", figures=kept)
