"""Processor quotas of the kernel, cgroup version 1 and 2, in groups of our own only.

A group is made below the one its process is in, or below one of that group's parents, wherever
the system lets us: in version 2 a group that holds processes may have no limited children. Names
carry the pid and the start of the run that made them, so a later run knows the groups of the
dead. Whether it works on a machine is found out by doing it once, for a moment.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from faults.errors import FaultError
from faults.guard_child import start_time, undo_cgroup

PREFIX = "memquake_"
PERIOD_US = 100_000  # the kernel's own default
MOST_FOLDERS = 2_000  # of a hierarchy that are looked at for groups of dead runs
PROCS = "cgroup.procs"


@dataclass(frozen=True, kw_only=True)
class Hierarchy:
    """Where groups that limit the processor live."""

    root: Path
    version: int

    @property
    def quota_file(self) -> str:
        """Name of the file that holds the limit."""
        return "cpu.cfs_quota_us" if self.version == 1 else "cpu.max"

    def home(self, pid: int) -> Path:
        """Give the group a process is in; FaultError where the system does not tell."""
        try:
            lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
        except OSError as why:
            raise FaultError(f"the group of process {pid} is not known: {why.strerror}") from None
        for line in lines:
            _, controllers, path = line.split(":", 2)
            is_ours = "cpu" in controllers.split(",") if self.version == 1 else not controllers
            if is_ours:
                return self.root / path.lstrip("/")
        raise FaultError(f"process {pid} is in no group for processor time")


def find_hierarchy(mounts: str = "/proc/mounts") -> Hierarchy | None:
    """Give the mounted hierarchy with the cpu controller; version 1 where both are there."""
    found = None
    try:
        lines = Path(mounts).read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        _, where, kind, options, *_ = line.split()
        if kind == "cgroup" and "cpu" in options.split(","):
            return Hierarchy(root=Path(where), version=1)
        if kind == "cgroup2":
            found = Hierarchy(root=Path(where), version=2)
    return found


@dataclass(frozen=True, kw_only=True)
class Group:
    """A group of our own for one process."""

    hierarchy: Hierarchy
    path: Path
    home: Path  # the group the process came from

    def limit(self, pid: int, share: float) -> None:
        """Set the quota, then move the process in."""
        quota_us = round(share * PERIOD_US)
        if self.hierarchy.version == 1:
            _write(self.path / "cpu.cfs_period_us", str(PERIOD_US))
            _write(self.path / "cpu.cfs_quota_us", str(quota_us))
        else:
            _write(self.path / "cpu.max", f"{quota_us} {PERIOD_US}")
        _write(self.path / PROCS, str(pid))

    def share(self) -> float:
        """Read the quota back as a share of one processor."""
        if self.hierarchy.version == 1:
            quota = _read(self.path / "cpu.cfs_quota_us")
            period = _read(self.path / "cpu.cfs_period_us")
        else:
            quota, period = _read(self.path / "cpu.max").split()
        return int(quota) / int(period) if quota.isdigit() else 1.0

    def holds(self, pid: int) -> bool:
        """Tell whether a process is in it."""
        return str(pid) in _read(self.path / PROCS).split()

    def throttled(self) -> int:
        """Give in how many periods its process was held back."""
        for line in _read(self.path / "cpu.stat").splitlines():
            name, _, value = line.partition(" ")
            if name == "nr_throttled":
                return int(value)
        raise FaultError(f"{self.path} does not count how often it throttles")

    def undo(self) -> dict[str, str]:
        """Give the undo for the guard."""
        return {"kind": "cgroup", "group": str(self.path), "home": str(self.home / PROCS)}

    def remove(self) -> None:
        """Move whatever is in it back and remove it; again is fine."""
        try:
            undo_cgroup(str(self.path), str(self.home / PROCS))
        except OSError as why:
            raise FaultError(f"{self.path} cannot be removed: {why.strerror or why}") from None


def make_group(hierarchy: Hierarchy, pid: int, node: str) -> Group:
    """Make an empty group for a process; FaultError where nothing lets us."""
    home = hierarchy.home(pid)
    own = os.getpid()
    name = f"{PREFIX}{own}_{start_time(own)}_{node}"
    trouble = "no folder for it"
    for parent in _upwards(home, hierarchy.root):
        path = parent / name
        try:
            path.mkdir(exist_ok=True)
        except OSError as why:
            trouble = f"{parent}: {(why.strerror or str(why)).lower()}"
            continue
        if os.access(path / hierarchy.quota_file, os.W_OK):
            return Group(hierarchy=hierarchy, path=path, home=home)
        trouble = f"{parent} does not let its groups limit the processor"
        path.rmdir()
    raise FaultError(f"no group of our own can be made ({trouble})")


def obstacle(hierarchy: Hierarchy, pid: int) -> str:
    """Say what keeps a group for a process from being made, as far as a look shows, or ""."""
    try:
        home = hierarchy.home(pid)
    except FaultError as why:
        return str(why)
    for parent in _upwards(home, hierarchy.root):
        if os.access(parent, os.W_OK | os.X_OK) and _passes_limits_on(hierarchy, parent):
            return ""
    return f"no group of our own can be made below {hierarchy.root}"


def _passes_limits_on(hierarchy: Hierarchy, parent: Path) -> bool:
    if hierarchy.version == 1:
        return True
    try:
        return "cpu" in _read(parent / "cgroup.subtree_control").split()
    except FaultError:
        return False


def try_out(hierarchy: Hierarchy, pid: int, node: str, share: float) -> str:
    """Limit a process for a moment; give what hinders it, or ""."""
    try:
        group = make_group(hierarchy, pid, node)
    except FaultError as why:
        return str(why)
    try:
        group.limit(pid, share)
    except FaultError as why:
        return str(why)
    finally:
        group.remove()
    return ""


def groups_of_the_dead(hierarchy: Hierarchy) -> Iterator[Group]:
    """Find the groups of runs that are no more; those of living runs are left alone."""
    looked = 0
    for folder, below, _ in os.walk(hierarchy.root):
        looked += 1
        if looked > MOST_FOLDERS:
            return
        for name in [name for name in below if name.startswith(PREFIX)]:
            below.remove(name)
            pid, _, rest = name.removeprefix(PREFIX).partition("_")
            if not pid.isdigit() or start_time(int(pid)) == rest.partition("_")[0]:
                continue
            path = Path(folder) / name
            try:
                # Process 0 is one of another pid namespace, whose runs cannot be seen from here.
                if "0" not in _read(path / PROCS).split():
                    yield Group(hierarchy=hierarchy, path=path, home=Path(folder))
            except FaultError:
                continue


def _upwards(path: Path, root: Path) -> Iterator[Path]:
    while path != root and root in path.parents:
        yield path
        path = path.parent
    yield root


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError as why:
        raise FaultError(f"{path} cannot be read: {why.strerror}") from None


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as why:
        raise FaultError(f"{path} does not take {text}: {why.strerror}") from None
