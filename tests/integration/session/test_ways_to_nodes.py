"""A load process looks at its own ways to the nodes: what is missing is named with the way out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cluster.errors import ClusterError
from cluster.node import Door, Node
from session import ways


def test_ways_that_are_there_are_no_news(memcached: Callable[..., Any]) -> None:
    """Straight to the node or through a proxy, of one door or of several."""
    server = memcached()
    node = Node(name="node1", address=server.address, direct=server.address)
    door = Door(address=server.address, proxy="node1.group2")
    proxied = Node(
        name="node2",
        address=server.address,
        direct=server.address,
        proxy="node2",
        more_doors=(door,),
    )
    ways.look([node, proxied])


def test_a_node_out_of_reach_is_named(memcached: Callable[..., Any], free_port: Callable) -> None:
    """The master may reach it; a worker that does not says which one, where, and what it needs."""
    there, gone = memcached().address, ("127.0.0.1", free_port())
    nodes = [
        Node(name="node1", address=there, direct=there),
        Node(name="node2", address=gone, direct=gone),
    ]
    with pytest.raises(ClusterError, match=r"no way to node2 at .* every node") as error:
        ways.look(nodes)
    assert "\n" not in str(error.value)


def test_a_proxy_out_of_reach_says_what_to_set(
    memcached: Callable[..., Any], free_port: Callable
) -> None:
    """The node answers, its proxy does not: it listens or is advertised elsewhere."""
    there, gone = memcached().address, ("127.0.0.1", free_port())
    node = Node(name="node1", address=gone, direct=there, proxy="node1")
    with pytest.raises(ClusterError, match=r"proxy of node1 .*--proxy-bind.*--proxy-advertise"):
        ways.look([node])
