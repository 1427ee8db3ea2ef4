"""An embedded cluster is real servers that answer, end with it, and touch nobody else's."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator

import psutil
import pytest

from cluster.embedded import EmbeddedCluster
from cluster.errors import ClusterError
from cluster.probe import RefusedError, SilentError, stats, version
from cluster.toxiproxy import Toxiproxy

Bounded = Callable[..., object]


class Keeper:
    """Notes the children like a guard."""

    def __init__(self) -> None:
        self.pids: set[int] = set()
        self.ever: set[int] = set()

    def child(self, pid: int) -> None:
        self.pids.add(pid)
        self.ever.add(pid)

    def forget_child(self, pid: int) -> None:
        self.pids.discard(pid)


@pytest.fixture
def keeper() -> Keeper:
    return Keeper()


@pytest.fixture
def cluster(keeper: Keeper) -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(3, guard=keeper) as running:
        yield running


def test_every_node_answers_directly_and_through_its_proxy(cluster: EmbeddedCluster) -> None:
    """Ready means that each node answers `version` both ways, on ports of its own."""
    assert [node.name for node in cluster.nodes] == ["node1", "node2", "node3"]
    for node in cluster.nodes:
        assert version(node.address, 1) == version(node.direct, 1)
        assert stats(node.direct, 1)["pid"] == cluster.pids()[node.name]
    assert len({node.direct for node in cluster.nodes} | {n.address for n in cluster.nodes}) == 6


def test_all_children_are_known_while_they_live(cluster: EmbeddedCluster, keeper: Keeper) -> None:
    """The keeper hears of each child and of its end; after stop() none lives, twice is fine."""
    assert keeper.pids == set(cluster.pids().values())
    cluster.stop()
    cluster.stop()
    assert keeper.pids == set()
    assert not [pid for pid in keeper.ever if psutil.pid_exists(pid)]


def test_two_clusters_do_not_disturb_each_other(cluster: EmbeddedCluster) -> None:
    """The end of one leaves the other alone."""
    with EmbeddedCluster(2) as other:
        mine = {node.address for node in cluster.nodes} | {node.direct for node in cluster.nodes}
        assert not mine & {node.address for node in other.nodes}
    cluster.check()
    for node in cluster.nodes:
        version(node.address, 1)


def test_a_killed_node_comes_back_empty_on_its_port(cluster: EmbeddedCluster) -> None:
    """A crash: refused at once, then another process on the same port."""
    node = cluster.nodes[1]
    before = cluster.pids()["node2"]
    cluster.kill_node("node2")
    assert not cluster.is_alive("node2")
    with pytest.raises(RefusedError):
        version(node.direct, 1)
    cluster.check()  # dead on purpose is no finding
    cluster.restart_node("node2")
    assert stats(node.direct, 1)["pid"] == cluster.pids()["node2"] != before
    version(node.address, 1)


def test_a_paused_node_takes_connections_and_is_silent(cluster: EmbeddedCluster) -> None:
    """A hang, and its end."""
    node = cluster.nodes[0]
    cluster.pause_node("node1")
    with pytest.raises(SilentError):
        version(node.direct, 0.2)
    assert cluster.is_alive("node1")
    assert cluster.is_paused("node1")
    cluster.resume_node("node1")
    version(node.direct, 2)
    assert not cluster.is_paused("node1")


def test_a_node_is_not_restarted_once_the_cluster_was_stopped(
    cluster: EmbeddedCluster, keeper: Keeper
) -> None:
    """A heal that comes too late leaves no process behind."""
    cluster.stop()
    with pytest.raises(ClusterError, match="the cluster was stopped"):
        cluster.restart_node("node1")
    assert not [pid for pid in keeper.ever if psutil.pid_exists(pid)]


def test_a_paused_node_is_stopped_too(cluster: EmbeddedCluster, keeper: Keeper) -> None:
    """A halted process does not outlive its cluster."""
    cluster.pause_node("node1")
    cluster.stop()
    assert not [pid for pid in keeper.ever if psutil.pid_exists(pid)]


@pytest.mark.parametrize("name", ["node3", "toxiproxy"])
def test_a_child_that_dies_by_itself_is_noticed(
    cluster: EmbeddedCluster, name: str, bounded: Bounded
) -> None:
    """check() names it."""
    pid = cluster.pids()[name]
    os.kill(pid, signal.SIGKILL)

    def finding() -> str:
        try:
            cluster.check()
        except ClusterError as why:
            return str(why)
        return ""

    assert re.search(f"{name}.* died by itself", str(bounded(finding)))


def test_without_proxies_clients_see_the_nodes_themselves() -> None:
    """No Toxiproxy is started where none is needed."""
    with EmbeddedCluster(2, with_proxies=False) as bare:
        assert [node.address for node in bare.nodes] == [node.direct for node in bare.nodes]
        assert bare.toxiproxy_url is None
        assert set(bare.pids()) == {"node1", "node2"}


def test_a_program_that_is_no_memcached_ends_in_one_line(keeper: Keeper) -> None:
    """And nothing is left running."""
    with pytest.raises(ClusterError, match="memcached does not start") as caught:
        EmbeddedCluster(1, memcached="/bin/false", guard=keeper).start()
    assert "\n" not in str(caught.value)
    assert keeper.pids == set()


def test_a_toxiproxy_that_does_not_start_leaves_no_memcached(keeper: Keeper) -> None:
    """What was started before the failure is ended."""
    with pytest.raises(ClusterError, match="toxiproxy-server does not start"):
        EmbeddedCluster(2, toxiproxy="/bin/false", guard=keeper).start()
    assert keeper.pids == set()
    assert not [pid for pid in keeper.ever if psutil.pid_exists(pid)]


def test_the_proxies_carry_our_prefix(cluster: EmbeddedCluster) -> None:
    """One proxy a node, all of them ours."""
    assert cluster.toxiproxy_url is not None
    api = Toxiproxy(cluster.toxiproxy_url)
    assert set(api.proxies()) == {"memquake-node1", "memquake-node2", "memquake-node3"}
    api.close()
