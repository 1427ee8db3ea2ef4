"""What is connected when the load is over: the servers' own counts, and ways past the proxies."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest

from cluster.direct import dial
from cluster.node import Door, Node
from session.quiesce import connections, open_connections, past_proxies

Place = tuple[str, int]


@pytest.fixture
def listener() -> Iterator[Place]:
    """Return the place of a node that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[:2]


@pytest.fixture
def node(listener: Place) -> Node:
    """Return a node whose clients know a proxy of it alone."""
    return Node(name="node1", address=("127.0.0.1", 1), direct=listener)


def test_connections_past_the_proxy_are_the_clients_alone(node: Node) -> None:
    """What the harness opened itself is not among them, whatever became of it."""
    assert past_proxies([node]) == {}
    with (
        dial(node.direct, 1.0) as own,
        socket.create_connection(node.direct) as first,
        socket.create_connection(node.direct) as second,
    ):
        assert past_proxies([node]) == {"node1": 2}
        first.close()
        assert past_proxies([node]) == {"node1": 1}
        own.close()
        assert past_proxies([node]) == {"node1": 1}
        second.close()
    assert past_proxies([node]) == {}


def test_names_are_looked_up(node: Node) -> None:
    """A node that is known by a name is found by its addresses."""
    named = replace(node, direct=("localhost", node.direct[1]))
    with socket.create_connection(node.direct):
        assert past_proxies([named]) == {"node1": 1}


def test_a_node_without_a_proxy_has_no_way_past_it(node: Node) -> None:
    """Where load goes straight to a node, nothing goes past anything."""
    straight = replace(node, address=node.direct)
    with socket.create_connection(node.direct):
        assert past_proxies([straight]) == {}


def test_what_the_client_holds_is_counted_by_any_way(node: Node, listener: Place) -> None:
    """Straight to the node, through a proxy, through a group's own: all of the client's."""
    with (
        socket.create_server(("127.0.0.1", 0)) as proxy,
        socket.create_server(("127.0.0.2", 0)) as other,
    ):
        ways = [each.getsockname()[:2] for each in (proxy, other)]
        proxied = replace(node, address=ways[0], more_doors=(Door(address=ways[1]),))
        far = Node(name="node2", address=("unix:/nowhere", 0), direct=("unix:/nowhere", 0))
        assert connections([proxied, far]) == {}
        with (
            dial(listener, 1.0),
            socket.create_connection(listener),
            socket.create_connection(ways[0]),
            socket.create_connection(ways[1]) as last,
        ):
            assert connections([proxied, far]) == {"node1": 3}
            last.close()
            assert connections([proxied, far]) == {"node1": 2}


def test_a_server_that_does_not_answer_is_left_out(node: Node) -> None:
    """The end of a run waits for nobody."""
    assert open_connections([node]) == {}
