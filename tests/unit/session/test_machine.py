"""What the machine was doing is read from the kernel's counts, here written by hand."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from session.machine import Machine

TICKS = os.sysconf("SC_CLK_TCK")


class Proc:
    """A folder like /proc: processes with threads, children, and counts in s."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def busy(self, seconds: float) -> None:
        """Let all cores have been busy that long, a quarter of it taken by the hypervisor."""
        quarter = round(seconds * TICKS / 4)
        line = f"cpu {quarter} {quarter} {quarter} 999999 999 0 0 {quarter} 0 0\ncpu0 1 2 3\n"
        (self.folder / "stat").write_text(line, encoding="ascii")

    def thread(self, pid: int, tid: int, ran_s: float, waited_s: float) -> None:
        """Let a thread have run and waited that long."""
        task = self.folder / str(pid) / "task" / str(tid)
        task.mkdir(parents=True, exist_ok=True)
        (task / "schedstat").write_text(f"{ran_s * 1e9:.0f} {waited_s * 1e9:.0f} 7\n")

    def children(self, pid: int, *children: int) -> None:
        """Let a process have started others."""
        text = " ".join(map(str, children))
        (self.folder / str(pid) / "task" / str(pid) / "children").write_text(text)


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    """Give a root process 10 with two threads, a child 20 and its child 30; 99 is a stranger."""
    made = Proc(tmp_path)
    made.busy(100.0)
    for pid, tid in ((10, 10), (10, 11), (20, 20), (30, 30), (99, 99)):
        made.thread(pid, tid, 1.0, 0.5)
    made.children(10, 20)
    made.children(20, 30)
    return made


def test_the_first_look_has_nothing_to_compare_with(proc: Proc) -> None:
    """Counts since the machine started say nothing of this second."""
    assert Machine(10, proc.folder).look(5.0) is None


def test_a_second_is_divided_between_us_and_others(proc: Proc) -> None:
    """Threads of the whole tree are ours; what else kept the cores busy is others'."""
    machine = Machine(10, proc.folder)
    machine.look(5.0)
    proc.busy(103.0)
    proc.thread(10, 11, 1.25, 0.5)
    proc.thread(30, 30, 1.5, 1.5)
    proc.thread(99, 99, 9.0, 9.0)
    load = machine.look(7.0)
    assert load is not None
    assert load.own == pytest.approx(0.75 / 2)
    assert load.waited == pytest.approx(1.0 / 2)
    assert load.others == pytest.approx((3.0 - 0.75) / 2, abs=2 / TICKS)
    assert load.stolen == pytest.approx(0.75 / 2, abs=2 / TICKS)


def test_processes_that_come_and_go_take_nothing_back(proc: Proc) -> None:
    """A new thread counts from its second look on; an ended one never subtracts."""
    machine = Machine(10, proc.folder)
    machine.look(5.0)
    proc.children(20)  # 30 has ended
    proc.thread(20, 21, 8.0, 8.0)
    load = machine.look(6.0)
    assert load is not None
    assert (load.own, load.waited) == (0.0, 0.0)


def test_a_node_with_a_quota_of_ours_waits_for_us_alone(proc: Proc) -> None:
    """A fault of the processor's share is no other work on the machine."""
    machine = Machine(10, proc.folder)
    machine.look(5.0)
    proc.thread(20, 20, 1.25, 0.6)
    proc.thread(30, 30, 1.5, 9.5)
    (proc.folder / "30" / "cgroup").write_text("1:cpu:/memquake_ab12_node1\n")
    load = machine.look(6.0)
    assert load is not None
    assert load.own == pytest.approx(0.25)
    assert load.waited == pytest.approx(0.1)


def test_a_kernel_without_counts_says_nothing(tmp_path: Path) -> None:
    """Nothing is made up where there is nothing to read."""
    machine = Machine(10, tmp_path)
    assert [machine.look(second) for second in (1.0, 2.0)] == [None, None]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
def test_the_real_counts_of_this_process() -> None:
    """A stretch of arithmetic is this process's own CPU."""
    if not Path("/proc/self/schedstat").exists():
        pytest.skip("this kernel keeps no scheduler statistics")
    machine = Machine(os.getpid())
    begun = time.monotonic()
    machine.look(begun)
    until = time.process_time() + 0.2
    while time.process_time() < until:
        sum(range(1000))
    now = time.monotonic()
    load = machine.look(now)
    assert load is not None
    assert 0.15 <= load.own * (now - begun) <= 0.5
    assert load.waited >= 0.0
