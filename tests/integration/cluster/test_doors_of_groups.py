"""Each group of users has a way of its own to every node; one can be shut and the others stay."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cluster.embedded import EmbeddedCluster
from cluster.errors import ClusterError
from cluster.external import ExternalCluster
from cluster.node import Node
from cluster.probe import RefusedError, version
from cluster.toxiproxy import Toxiproxy
from faults.driver import FaultDriver, build_backends
from faults.journal import Journal
from faults.plan import Plan, make_plan
from faults.scenario import ScenarioError, scenario_from_text

ANSWER_S = 5.0  # of a server of our own on a busy machine
SPLIT = """
name: x
groups: 2
faults:
  - {id: left, at: 0s, duration: 30s, kind: split, group: 1, target: {nodes: [node1]}}
  - {id: right, at: 0s, duration: 30s, kind: split, group: 2, target: {nodes: [node2]}}
"""


def plan() -> Plan:
    return make_plan(
        scenario_from_text(SPLIT),
        seed=1,
        nodes=("node1", "node2"),
        time_scale=1,
        recovers_within_s=10,
    )


@pytest.fixture
def cluster() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(2) as running:
        yield running


def answers(node: Node) -> list[bool]:
    """Say, group by group, whether a node answers."""
    found = []
    for door in node.doors:
        try:
            version(door.address, ANSWER_S)
        except RefusedError:
            found.append(False)
        else:
            found.append(True)
    return found


def test_doors_are_made_once_and_kept(cluster: EmbeddedCluster) -> None:
    """Every node gets the doors it lacks; asking again, or for fewer, changes nothing."""
    first = [node.address for node in cluster.nodes]
    cluster.open_doors(3)
    nodes = list(cluster.nodes)
    cluster.open_doors(2)
    assert cluster.nodes == nodes
    assert [node.address for node in nodes] == first
    assert [node.seen_by(1).client_address for node in nodes] == first
    assert nodes[0].client_address == ("node1.memquake.test", first[0][1])
    assert [answers(node) for node in nodes] == [[True] * 3] * 2
    assert len({door.address for node in nodes for door in node.doors}) == 6
    assert [len({door.address[1] for door in node.doors}) for node in nodes] == [1, 1]
    assert [Node.from_wire(node.to_wire()).doors for node in nodes] == [n.doors for n in nodes]


def test_a_split_shuts_a_node_to_one_group_and_is_healed(cluster: EmbeddedCluster) -> None:
    """Both halves are proved and journalled; at the end every door is open again."""
    cluster.open_doors(2)
    seen: list[list[bool]] = []

    def sleep(seconds: float) -> None:
        time.sleep(seconds)
        if not seen and all(record.confirmed for record in driver.journal.faults):
            seen.extend(answers(node) for node in cluster.nodes)
            driver.abort()

    driver = FaultDriver(
        plan(), build_backends(cluster), Journal(epoch=time.monotonic()), sleep=sleep
    )
    driver.run_testing(time.monotonic())
    assert seen == [[False, True], [True, False]]
    for record in driver.journal.faults:
        assert record.confirmed, record.why_not
        assert record.healed_at_s is not None, record.why_not
        assert "alone" in record.evidence[0]
    assert [answers(node) for node in cluster.nodes] == [[True, True]] * 2
    assert driver.leftovers() == []


def test_a_door_left_shut_is_a_leftover_and_is_opened(cluster: EmbeddedCluster) -> None:
    """Whoever shut it: a run begins and ends with every door open."""
    cluster.open_doors(2)
    door = cluster.nodes[1].doors[1]
    assert cluster.toxiproxy_url is not None
    api = Toxiproxy(cluster.toxiproxy_url)
    api.set_enabled(str(door.proxy), False)
    api.close()
    driver = FaultDriver(plan(), build_backends(cluster))
    assert driver.leftovers() == [f"proxy {door.proxy} of node2 is disabled"]
    assert driver.heal_all("test") == []
    assert answers(cluster.nodes[1]) == [True, True]


def test_without_doors_a_split_is_refused_before_it_starts(cluster: EmbeddedCluster) -> None:
    """A split that would cut off nobody, or everybody, is none."""
    with pytest.raises(ScenarioError, match="node1 has no proxies for 2 groups"):
        FaultDriver(plan(), build_backends(cluster))


def test_nodes_of_others_get_doors_of_a_server_of_our_own(memcached: Callable[..., Any]) -> None:
    """Whoever runs the nodes: the doors are ours, on loopback, and gone at the end."""
    servers = [memcached() for _ in range(2)]
    with ExternalCluster([server.address for server in servers], with_proxies=True) as cluster:
        cluster.open_doors(2)
        assert [answers(node) for node in cluster.nodes] == [[True, True]] * 2
        nodes = list(cluster.nodes)
    assert [answers(node) for node in nodes] == [[False, False]] * 2


def test_a_toxiproxy_of_others_is_not_given_doors(
    memcached: Callable[..., Any], toxiproxy: Any
) -> None:
    """Nobody knows where it listens, and clients need the same port on another address."""
    with (
        ExternalCluster(
            [memcached().address], toxiproxy_url=toxiproxy.url, with_proxies=True
        ) as cluster,
        pytest.raises(ClusterError, match="leave --toxiproxy-url out"),
    ):
        cluster.open_doors(2)


def test_groups_without_proxies_are_refused(memcached: Callable[..., Any]) -> None:
    """There is no door to shut where load goes straight to the nodes."""
    with (
        ExternalCluster([memcached().address]) as cluster,
        pytest.raises(ClusterError, match="groups of users, and names that change, need proxies"),
    ):
        cluster.open_doors(2)
