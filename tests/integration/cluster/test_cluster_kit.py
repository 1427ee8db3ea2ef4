"""The cluster kit: what it breaks a client feels, what it mends is mended, and nothing stays."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from client import (
    BreakerSettings,
    ClientSettings,
    MemcacheClient,
    MemcacheClientError,
    OperationTimeout,
)
from cluster.errors import ClusterError
from cluster.kit import ClusterKit, ConsensusError
from cluster.probe import stats
from memquake.paths import CHECKOUT

pytest_plugins = ["cluster.testing"]

Start = Callable[..., ClusterKit]


def key_on(client: MemcacheClient, label: str) -> str:
    return next(key for i in range(1000) if client.node_for(key := f"k{i}") == label)


def test_each_way_of_breaking_is_felt_and_mended(cluster_kit: Start) -> None:
    """Killed, halted and cut-off nodes answer nobody; after `heal` all do. Again is fine."""
    kit = cluster_kit(3)
    assert kit.live() == {"node1", "node2", "node3"}
    kit.kill("node1")
    kit.pause("node2")
    kit.partition("node3")
    assert kit.live() == set()
    kit.partition("node3")
    kit.kill("node1")
    kit.heal()
    kit.wait_until_alive()
    kit.heal()
    assert kit.live() == {"node1", "node2", "node3"}


def test_a_one_way_partition_lets_requests_through(cluster_kit: Start) -> None:
    """`from`: the node does what it is asked, and nobody hears of it. `to`: it is never asked."""
    kit = cluster_kit(2)
    sets = {}
    for name, direction in (("node1", "from"), ("node2", "to")):
        kit.partition(name, direction=direction)  # type: ignore[arg-type]
        before = stats(kit.node(name).direct, 1)["cmd_set"]
        client = MemcacheClient([kit.node(name).address], ClientSettings(op_timeout=0.2))
        with pytest.raises(OperationTimeout):
            client.set("k", b"v")
        client.close()
        sets[name] = stats(kit.node(name).direct, 1)["cmd_set"] - before
    assert sets == {"node1": 1, "node2": 0}


def test_latency_is_replaced_and_healed(cluster_kit: Start) -> None:
    """The last latency counts; a reply is never earlier than it says."""
    kit = cluster_kit(1)
    kit.add_latency("node1", seconds=0.05)
    kit.add_latency("node1", seconds=0.2)
    began = time.monotonic()
    assert kit.is_alive("node1", within_s=5)
    assert time.monotonic() - began >= 0.2
    kit.heal("node1")
    assert kit.is_alive("node1")
    with pytest.raises(ClusterError, match="latency"):
        kit.add_latency("node1", seconds=-1)


def test_clients_come_to_agree_on_the_live_nodes(cluster_kit: Start) -> None:
    """Two clients see a partition by their own breakers, and its end; who lags is named."""
    kit = cluster_kit(3)
    breaker = BreakerSettings(consecutive_failures=2, open_s=0.2)
    settings = ClientSettings(op_timeout=0.1, breaker=breaker)
    clients = [MemcacheClient(kit.addresses, settings) for _ in range(2)]
    keys = {node.name: key_on(clients[0], node.label) for node in kit.nodes}

    def ask(client: MemcacheClient) -> None:
        for key in keys.values():
            with contextlib.suppress(MemcacheClientError):  # the breaker opens by it
                client.get(key)

    def view(client: MemcacheClient) -> Callable[[], Any]:
        seen = kit.view_of(client)

        def look() -> Any:
            ask(client)
            return seen()

        return look

    views = [view(client) for client in clients]
    kit.partition("node2")
    kit.wait_for_consensus(views, {"node1", "node3"}, within_s=10)
    with pytest.raises(ConsensusError, match="observer 0: node1, node3"):
        kit.wait_for_consensus(views, kit.names, within_s=0.1)
    kit.heal()
    kit.wait_for_consensus(views, kit.names, within_s=10)
    for client in clients:
        client.close()


def test_bad_names_are_refused_and_touch_nothing(cluster_kit: Start) -> None:
    """A misspelt name among good ones breaks none of them."""
    kit = cluster_kit(2)
    with pytest.raises(ClusterError, match="no node 'node9': there are node1, node2"):
        kit.kill("node1", "node9")
    assert kit.live() == {"node1", "node2"}
    with pytest.raises(ClusterError, match="not started"):
        ClusterKit(1).kill()


def test_kits_side_by_side_do_not_meet(cluster_kit: Start) -> None:
    """What one breaks the other does not feel, and its end ends nothing of the other."""
    one, other = cluster_kit(2), cluster_kit(2)
    one.kill("node1")
    one.partition("node2")
    assert other.live() == {"node1", "node2"}
    one.stop()
    one.stop()
    assert other.live() == {"node1", "node2"}


SCRIPT = """
import sys, time
from cluster.kit import ClusterKit
from faults.guard import Guard
guard = Guard()
guard.start()
kit = ClusterKit(3, keeper=guard)
kit.start()
kit.pause("node1")
kit.partition("node2")
print(*kit._cluster.pids().values(), guard.pid, flush=True)
time.sleep(60)
"""


def test_a_killed_owner_leaves_nothing(bounded: Callable[..., Any]) -> None:
    """With a guard as keeper even SIGKILL of the owner ends every process, halted ones too."""
    owner = subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        stdout=subprocess.PIPE,
        text=True,
        cwd=CHECKOUT,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )
    assert owner.stdout is not None
    pids = [int(pid) for pid in owner.stdout.readline().split()]
    owner.stdout.close()
    owner.send_signal(signal.SIGKILL)
    owner.wait(5)
    assert len(pids) == 5
    bounded(lambda: not any(psutil.pid_exists(pid) for pid in pids), within_s=5.0)
