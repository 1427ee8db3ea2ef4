"""What a run left whose harness and guard were killed is ended by the next one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from cluster.embedded import EmbeddedCluster
from cluster.orphans import MARK, end_orphans, mark
from memquake.paths import CHECKOUT

OWNER = """
import time
from cluster.embedded import EmbeddedCluster
cluster = EmbeddedCluster(2)
cluster.start()
print(*cluster.pids().values(), flush=True)
time.sleep(60)
"""


def is_running(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_servers_of_a_dead_owner_are_ended_and_others_left(bounded: Callable[..., Any]) -> None:
    """A halted one too; a server whose owner lives is nobody's orphan."""
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER],
        stdout=subprocess.PIPE,
        text=True,
        cwd=CHECKOUT,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )
    left: list[int] = []
    try:
        assert owner.stdout is not None
        left = [int(pid) for pid in owner.stdout.readline().split()]
        assert len(left) == 3
        with EmbeddedCluster(1) as living:
            end_orphans()
            assert all(is_running(pid) for pid in left), "their owner was alive"
            os.kill(left[0], signal.SIGSTOP)
            owner.kill()
            owner.wait(5)
            lines = end_orphans()
            assert {f"pid {pid}" for pid in left} <= {
                part for line in lines for part in _pids(line)
            }
            bounded(lambda: not any(is_running(pid) for pid in left), within_s=3.0)
            assert all(is_running(pid) for pid in living.pids().values())
    finally:
        owner.kill()
        owner.wait(5)
        assert owner.stdout is not None
        owner.stdout.close()
        for pid in left:
            if is_running(pid):
                os.kill(pid, signal.SIGKILL)


def _pids(line: str) -> list[str]:
    return [part.split(")")[0] for part in line.split("(")[1:]]


def test_a_server_of_another_process_namespace_is_left(
    memcached: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container's: its owner lives there under a number that is nobody's here."""
    _, start, namespace = mark()[MARK].split(":")
    dead = f"{2**22 + 1}:{start}"  # above any number the kernel gives
    monkeypatch.setenv(MARK, f"{dead}:{int(namespace) + 1}")
    contained = memcached()
    monkeypatch.setenv(MARK, f"{dead}:{namespace}")
    left = memcached()
    lines = end_orphans()
    assert any(f"(pid {left.pid})" in line for line in lines)
    assert is_running(contained.pid)


def test_an_owner_lives_on_when_the_wall_clock_is_set(
    memcached: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Psutil counts its times from a boot that moves with that clock."""
    monkeypatch.setenv(MARK, mark()[MARK])
    own = memcached()
    created = psutil.Process.create_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: created(self) + 60)
    end_orphans()
    assert is_running(own.pid)
