"""`python -m bench.soak`: what a run of any length costs the master, by a simulated day.

Made-up seconds of a real mix go through the real timeline, its writer, the verdict and the report;
nothing waits for a clock. One line a quarter of the run says what the memory and the folder are;
the last ones, how long the verdict took and how large the report is.
"""

from __future__ import annotations

import argparse
import gc
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from client.operation import Outcome
from report.html import write_html
from report.json import write_json
from report.junit import write_junit
from telemetry.histogram import bucket_of
from telemetry.timeline import Timeline, TimelineWriter
from telemetry.window import Cell, MachineLoad, NodeState, Slice
from telemetry.wire import Wire, pack_cell, pack_slice, pack_state
from verdict.model import LedgerFacts, RunFacts, WorkerFacts
from verdict.verdict import judge

DAY_S = 86_400
RATE = 2_000
PATTERNS = 200  # different seconds; each node's part is drawn for itself
MIX = (
    *(("get", Outcome.HIT, 0.5), ("get", Outcome.MISS, 0.06), ("set", Outcome.STORED, 0.3)),
    *(("delete", Outcome.DELETED, 0.05), ("incr", Outcome.STORED, 0.05)),
    *(("gets", Outcome.HIT, 0.02), ("cas", Outcome.STORED, 0.02)),
)
MIB = 1 << 20


@dataclass(frozen=True)
class Measured:
    """What a simulated run cost. Sizes in bytes, times in seconds."""

    growth: float  # of the resident memory since the fifth minute, before the verdict
    folder: int
    report: int
    verdict_s: float
    verdict_cpu_s: float  # of it, what a busy machine does not lengthen
    ruling: str
    windows: int


class SteadyState:
    """Seconds of a steady run, one after the other, each a little different."""

    def __init__(self, nodes: Sequence[str], seed: int) -> None:
        self.nodes = nodes
        self._rng = random.Random(seed)
        self._patterns = [self._pattern() for _ in range(PATTERNS)]
        self._cells = [
            [[cell for cell in pattern["c"] if cell[1] == node] for pattern in self._patterns]
            for node in nodes
        ]

    def second(self, second: int) -> Wire:
        """Return what a load process reports of a second."""
        rng = self._rng
        cells = [cell for patterns in self._cells for cell in rng.choice(patterns)]
        body = rng.choice(self._patterns) | {"t": second, "c": cells}
        return {
            "until": second + 1.0,
            "seconds": [body],
            "operations": sum(cell[3] for cell in body["c"]),
            "ignored": 0,
        }

    def _pattern(self) -> Wire:
        rng, cells, slices = self._rng, [], []
        for node in self.nodes:
            for op, outcome, share in MIX:
                cell = Cell()
                for _ in range(round(RATE * share / len(self.nodes) * rng.uniform(0.9, 1.1))):
                    took = bucket_of(round(rng.lognormvariate(5.7, 0.5)))
                    late = bucket_of(round(rng.lognormvariate(6.5, 0.6)))
                    cell.count += 1
                    cell.keys += 1
                    cell.hits += outcome == Outcome.HIT
                    cell.service[took] = cell.service.get(took, 0) + 1
                    cell.response[late] = cell.response.get(late, 0) + 1
                cells.append(pack_cell((op, node, outcome), cell))
            for tenth in range(10):
                slices.append(pack_slice(tenth, node, Slice(calls=RATE // len(self.nodes) // 10)))
        lag = {bucket_of(round(rng.lognormvariate(6, 0.7))): 1 for _ in range(100)}
        state = NodeState(breaker={"closed": 1}, idle=8, in_use=1, created_total=9)
        return {
            "c": cells,
            "s": slices,
            "p": [RATE, RATE, 0, 0, 0],
            "l": [number for pair in lag.items() for number in pair],
            "u": 40,
            "g": rng.uniform(0.3, 0.5),
            "n": {node: pack_state(state) for node in self.nodes},
        }

    def server(self, second: int) -> dict[str, int]:
        """Return a server's own counts at the begin of a second."""
        each = RATE // len(self.nodes)
        wobble = self._rng.randrange(each // 10 + 1)
        return {
            **{"pid": 7, "time": 1_700_000_000 + second, "uptime": 100 + second, "threads": 4},
            **{"curr_connections": 12, "total_connections": 14, "own_connections": 2},
            **{"max_connections": 1024, "rejected_connections": 0, "listen_disabled_num": 0},
            **{"cmd_get": each * 6 // 10 * second + wobble, "cmd_flush": 0, "evictions": 0},
            **{"cmd_set": each * 4 // 10 * second + wobble, "cmd_touch": 0, "cmd_meta": 0},
            **{"get_hits": each // 2 * second + wobble, "get_misses": each // 10 * second},
            **{"curr_items": 41_000 + wobble, "total_items": each * 4 // 10 * second},
            **{"bytes": 9_000_000 + wobble * 100, "limit_maxbytes": 64 * MIB},
        }


def measure(nodes: int, seconds: int, folder: Path, *, tell: bool = True) -> Measured:
    """Simulate a steady run of so many seconds on so many nodes."""
    names = [f"node{n + 1}" for n in range(nodes)]
    steady = SteadyState(names, seed=1)
    clock = _Clock()
    timeline = Timeline(clock)
    timeline.start(0.0)
    writer = TimelineWriter(folder / "timeline.jsonl", timeline)
    after_start = 0.0
    for second in range(seconds):
        for name in names:
            timeline.server(second, name, steady.server(second))
        timeline.machine(second, MachineLoad(own=0.8, others=0.1, waited=0.05))
        clock.now = second + 1.2
        timeline.merge("local", steady.second(second))
        writer.write_complete(clock.now)
        if second == 300:
            after_start = _resident()
        if tell and second and second % max(1, seconds // 4) == 0:
            _tell(second, timeline, folder)
    growth = _resident() - after_start
    writer.close()
    begun, cpu = time.perf_counter(), time.process_time()
    facts = _facts(timeline, names, seconds)
    verdict = judge(facts)
    took, cpu = time.perf_counter() - begun, time.process_time() - cpu
    write_json(verdict, facts, folder / "verdict.json")
    write_junit(verdict, facts, folder / "junit.xml")
    write_html(verdict, facts, folder / "report.html")
    return Measured(
        growth=growth,
        folder=_size(folder),
        report=(folder / "report.html").stat().st_size,
        verdict_s=took,
        verdict_cpu_s=cpu,
        ruling=str(verdict.ruling),
        windows=len(facts.windows),
    )


def _tell(second: int, timeline: Timeline, folder: Path) -> None:
    line = f"{second:>8,} s  memory {_resident() / MIB:6.1f} MiB"
    line += f"  windows {timeline.bytes_held() / MIB:5.2f} MiB"
    print(f"{line}  folder {_size(folder) / MIB:6.1f} MiB", flush=True)


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def _facts(timeline: Timeline, nodes: list[str], seconds: int) -> RunFacts:
    operations = timeline.totals()["operations"]
    held = {"fds": 20.0, "greenlets": 10.0}
    ledger = LedgerFacts(writes=10**6, updates=10**6, reads=10**6)
    worker = WorkerFacts(
        id="local",
        operations=operations,
        before=held,
        after=held,
        rss_baseline=1e8,
        rss_end=1e8,
        slots_in_use=0,
        ledger=ledger,
        keys_placed={node: 41_000 // len(nodes) for node in nodes},
    )
    return RunFacts(
        scenario="none",
        seed=1,
        client="memquake",
        nodes=nodes,
        users=40,
        target_rate=RATE,
        op_timeout_s=0.5,
        pool_size=10,
        started="2026-01-01T00:00:00Z",
        duration_s=float(seconds),
        phases=[],
        faults=[],
        windows=timeline.windows(),
        workers=[worker],
        budgets={},
        half_open_probes=1,
        wrong_values=[],
        findings=[],
        leftovers=[],
        server_connections=dict.fromkeys(nodes, (3, 3)),
    )


def _resident() -> float:
    gc.collect()
    return float(psutil.Process().memory_info().rss)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=DAY_S)
    options: Any = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="memquake-soak-") as folder:
        found = measure(options.nodes, options.seconds, Path(folder))
    print(
        f"{options.seconds:,} s on {options.nodes} nodes: memory {found.growth / MIB:+.1f} MiB, "
        f"folder {found.folder / MIB:.1f} MiB, report {found.report / MIB:.2f} MiB, verdict "
        f"{found.ruling} in {found.verdict_s:.1f} s ({found.verdict_cpu_s:.1f} s of it processor "
        f"time) from {found.windows:,} windows"
    )


if __name__ == "__main__":
    main()
