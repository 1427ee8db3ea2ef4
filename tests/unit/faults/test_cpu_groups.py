"""Groups of processor time: where they are found, what is written, whose are left alone.

Plain folders stand for the kernel's; what only a kernel can show is in the integration tests.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from faults.backends.cgroup import (
    Group,
    Hierarchy,
    find_hierarchy,
    groups_of_the_dead,
    make_group,
)
from faults.errors import FaultError
from faults.guard_child import start_time, undo_cgroup

V1 = "cgroup /sys/fs/cgroup/cpu cgroup rw,nosuid,cpu,cpuacct 0 0\n"
V1_OTHER = "cgroup /sys/fs/cgroup/cpuset cgroup rw,cpuset 0 0\n"
V2 = "cgroup2 /sys/fs/cgroup cgroup2 rw,nsdelegate 0 0\n"
DISK = "/dev/vda / ext4 rw 0 0\n"


@pytest.mark.parametrize(
    ("mounts", "root", "version"),
    [
        pytest.param(DISK + V1_OTHER + V1, "/sys/fs/cgroup/cpu", 1, id="version 1"),
        pytest.param(DISK + V2, "/sys/fs/cgroup", 2, id="version 2"),
        pytest.param(V2 + V1, "/sys/fs/cgroup/cpu", 1, id="both: the one with the controller"),
        pytest.param(V1_OTHER + V2, "/sys/fs/cgroup", 2, id="version 1 without cpu"),
    ],
)
def test_the_hierarchy_is_read_from_the_mounts(
    tmp_path: Path, mounts: str, root: str, version: int
) -> None:
    """Whichever holds the cpu controller."""
    (tmp_path / "mounts").write_text(mounts)
    assert find_hierarchy(str(tmp_path / "mounts")) == Hierarchy(root=Path(root), version=version)


@pytest.mark.parametrize("mounts", [DISK, DISK + V1_OTHER, None])
def test_a_machine_without_is_told(tmp_path: Path, mounts: str | None) -> None:
    """No mount, or no such file at all, is no hierarchy."""
    if mounts is not None:
        (tmp_path / "mounts").write_text(mounts)
    assert find_hierarchy(str(tmp_path / "mounts")) is None


@pytest.mark.parametrize(
    ("version", "written"),
    [
        (1, {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "5000", "cgroup.procs": "42"}),
        (2, {"cpu.max": "5000 100000", "cgroup.procs": "42"}),
    ],
)
def test_a_share_is_written_and_read_back(
    tmp_path: Path, version: int, written: dict[str, str]
) -> None:
    """5 % are 5 ms of every 100, in the words of either version."""
    group = Group(hierarchy=Hierarchy(root=tmp_path, version=version), path=tmp_path, home=tmp_path)
    group.limit(42, 0.05)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == written
    assert group.share() == pytest.approx(0.05)
    assert group.holds(42)
    assert not group.holds(4)


def test_a_folder_that_limits_nothing_is_no_group(tmp_path: Path) -> None:
    """What was made to find that out is removed."""
    with pytest.raises(FaultError, match="no group of our own can be made"):
        make_group(Hierarchy(root=tmp_path, version=2), os.getpid(), "node1")
    assert list(tmp_path.iterdir()) == []


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-I", "-S", "-c", ""])
    process.wait(5)
    return process.pid


def test_only_groups_of_dead_runs_are_found(tmp_path: Path) -> None:
    """Those of the living, of other pid namespaces and of others are left alone."""
    own = os.getpid()
    folders = {
        f"a/memquake_{dead_pid()}_77_node1": "",
        f"memquake_{own}_77_node1": "",  # the number is ours now, the run was another
        f"memquake_{own}_{start_time(own)}_node1": "",
        f"memquake_{dead_pid()}_77_node2": "0\n",
        "memquake_x": "",
        "system.slice": "",
    }
    for name, procs in folders.items():
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "cgroup.procs").write_text(procs)
    found = {
        str(group.path.relative_to(tmp_path))
        for group in groups_of_the_dead(Hierarchy(root=tmp_path, version=1))
    }
    assert found == set(list(folders)[:2])


def test_the_guard_empties_no_group_of_others(tmp_path: Path) -> None:
    """A group without our prefix is refused, one that is gone is fine."""
    with pytest.raises(ValueError, match="no group of memquake"):
        undo_cgroup(str(tmp_path), str(tmp_path / "cgroup.procs"))
    undo_cgroup(str(tmp_path / "memquake_1_1_node1"), str(tmp_path / "cgroup.procs"))
