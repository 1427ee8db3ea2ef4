"""What else the machine was doing: CPU of strangers, and how long this run's processes queued.

A proxy or a node that gets no core makes calls slow while the load process's own hub is on time,
so the hub's lag alone cannot tell a slow client from a busy machine. The kernel can: its scheduler
counts for every thread how long it ran and how long it waited for a core (`schedstat`, see
Documentation/scheduler/sched-stats.rst of Linux), and `/proc/stat` how busy all cores were. What
is ours is this process and everything it started. Where the kernel does not say, nothing is noted.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import gevent

from faults.backends.cgroup import PREFIX
from telemetry.window import MachineLoad

if TYPE_CHECKING:
    from session.run import MasterRun

EVERY_S = 1.0
PROC = Path("/proc")
BUSY = (0, 1, 2, 5, 6, 7)  # user, nice, system, irq, softirq, steal of /proc/stat's first line
STOLEN = 7  # of the same line: what the hypervisor gave to other machines
DEEPEST = 6  # levels of children; a harness has three


@dataclass
class Machine:
    """Reads what the kernel counted since the last look; the tree of process `root` is ours."""

    root: int
    proc: Path = PROC
    _threads: dict[str, tuple[int, int]] = field(default_factory=dict)  # path -> ran, waited (ns)
    _counted: tuple[float, float] = (0.0, 0.0)  # s busy, s stolen of it
    _at: float = 0.0

    def look(self, now: float) -> MachineLoad | None:
        """Give the load since the last look (a second or so), None at the first or without counts.

        `now` is monotonic, s. It lets other greenlets run between two processes.
        """
        counted = self._busy()
        threads = {}
        for pid in self._tree():
            if not self._has_a_quota(pid):
                threads.update(self._schedstats(pid))
            gevent.sleep(0)
        known = [
            (was, counts)
            for path, counts in threads.items()
            if (was := self._threads.get(path)) is not None
        ]
        before, passed_s = self._counted, now - self._at
        is_first = not self._threads
        self._threads, self._counted, self._at = threads, counted or (0.0, 0.0), now
        if is_first or not known or counted is None or passed_s <= 0:
            return None
        busy_s, stolen_s = (
            max(0.0, later - earlier) for later, earlier in zip(counted, before, strict=True)
        )
        ran_s = sum(max(0, later[0] - earlier[0]) for earlier, later in known) / 1e9
        waited_s = sum(max(0, later[1] - earlier[1]) for earlier, later in known) / 1e9
        return MachineLoad(
            own=ran_s / passed_s,
            others=max(0.0, busy_s - ran_s) / passed_s,
            waited=waited_s / passed_s,
            stolen=stolen_s / passed_s,
        )

    def _busy(self) -> tuple[float, float] | None:
        """Give the CPU time of all cores since the machine started, and what was stolen, s."""
        try:
            line = (self.proc / "stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
            tick_s = 1 / os.sysconf("SC_CLK_TCK")
            return sum(int(line[place]) for place in BUSY) * tick_s, int(line[STOLEN]) * tick_s
        except (OSError, ValueError, IndexError):
            return None

    def _tree(self) -> Iterator[int]:
        """Give the root and all that descends from it."""
        level = [self.root]
        for _ in range(DEEPEST):
            yield from level
            level = [child for pid in level for child in self._children(pid)]
            if not level:
                return

    def _children(self, pid: int) -> list[int]:
        try:
            text = (self.proc / f"{pid}/task/{pid}/children").read_text(encoding="ascii")
            return [int(word) for word in text.split()]
        except (OSError, ValueError):
            return []

    def _has_a_quota(self, pid: int) -> bool:
        """Tell whether a fault of ours keeps a process waiting: that is no other work's doing."""
        try:
            return PREFIX in (self.proc / f"{pid}/cgroup").read_text(encoding="utf-8")
        except (OSError, ValueError):
            return False

    def _schedstats(self, pid: int) -> dict[str, tuple[int, int]]:
        """Give (ran, waited) in ns of each thread of a process, by path."""
        found = {}
        folder = f"{self.proc}/{pid}/task"
        try:
            for thread in os.listdir(folder):
                path = f"{folder}/{thread}/schedstat"
                with open(path, encoding="ascii") as file:
                    ran, waited = file.read().split()[:2]
                found[path] = (int(ran), int(waited))
        except (OSError, ValueError):
            pass  # it ended meanwhile, or this kernel does not count
        return found


def watch_machine(run: MasterRun) -> None:
    """Note once a second of the run what the machine was doing."""
    machine = Machine(os.getpid())
    while True:
        load = machine.look(time.monotonic())
        if load is not None:
            run.timeline.machine(int(run.now_s - EVERY_S / 2), load)
        gevent.sleep(max(0.05, int(run.now_s) + EVERY_S - run.now_s))
