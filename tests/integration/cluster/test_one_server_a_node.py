"""A node is one server, and each another one: whatever looks different is refused with a name."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from typing import Any

import pytest

from cluster.errors import ClusterError
from cluster.external import ExternalCluster
from cluster.identity import NAMES_EVERY_S, NameWatch, refuse_mistaken
from cluster.ports import free_port
from cluster.probe import ProbeError, stats, version
from tests.integration.cluster.balancer import balancer

NAME = "cache.memquake.test"
Start = Callable[..., Any]


@pytest.fixture
def port(memcached_with: Start) -> int:
    """Return a port on which two memcached listen, at 127.0.0.2 and 127.0.0.3."""
    chosen = free_port("127.0.0.1")
    for host in ("127.0.0.2", "127.0.0.3"):
        listen(memcached_with, host, chosen)
    return chosen


def listen(memcached_with: Start, host: str, port: int, *probe_at: str) -> None:
    """Start a memcached that listens on a host, and wait until it answers."""

    def answers() -> bool:
        try:
            return bool(version((next(iter(probe_at), host), port), 0.5))
        except ProbeError:
            return False

    memcached_with(answers, "-l", host, "-p", str(port), "-U", "0")


@pytest.fixture
def records(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the addresses of NAME, to be changed by the test."""
    hosts: list[str] = []
    ask = socket.getaddrinfo

    def resolve(host: Any, port: Any, *args: Any, **more: Any) -> Any:
        if host != NAME or more.get("flags"):
            return ask(host, port, *args, **more)
        return [entry for each in hosts for entry in ask(each, port, *args, **more)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return hosts


def test_a_name_of_two_servers_is_refused_with_their_addresses(
    port: int, records: list[str]
) -> None:
    """A headless service is as many nodes as it has addresses."""
    records += ["127.0.0.2", "127.0.0.3"]
    every = f"127.0.0.2:{port},127.0.0.3:{port}"
    with pytest.raises(ClusterError, match=f"{NAME}:{port} stands for several.*{every}$"):
        ExternalCluster([(NAME, port)]).start()


def test_a_name_of_one_server_with_two_addresses_is_one(
    memcached_with: Start, records: list[str]
) -> None:
    """A server that listens everywhere is one, and so is one whose other address is dead."""
    port = free_port("127.0.0.1")
    listen(memcached_with, "0.0.0.0", port, "127.0.0.1")
    records += ["127.0.0.2", "127.0.0.3", "::1"]
    with ExternalCluster([(NAME, port)]) as cluster:
        assert [node.direct for node in cluster.nodes] == [(NAME, port)]


def test_two_addresses_of_one_server_are_refused(memcached_with: Start) -> None:
    """It would be one node with twice the load, under numbers that no name connects."""
    port = free_port("127.0.0.1")
    listen(memcached_with, "0.0.0.0", port, "127.0.0.1")
    words = f"127.0.0.1:{port} and 127.0.0.4:{port} are the same server: leave one out"
    with pytest.raises(ClusterError, match=re.escape(words)):
        ExternalCluster([("127.0.0.1", port), ("127.0.0.4", port)]).start()


def test_several_servers_behind_one_address_are_refused(memcached: Start) -> None:
    """A load balancer gives connections to several servers, if only one in six to another."""
    one, two = memcached(), memcached()
    with (
        balancer([*[one.address] * 5, two.address]) as address,
        pytest.raises(ClusterError, match=f"{address[1]} is not one server"),
    ):
        ExternalCluster([address]).start()
    with balancer([one.address]) as address, ExternalCluster([address, two.address]) as cluster:
        assert len(cluster.nodes) == 2


def test_a_name_that_turns_is_noticed_in_the_run(port: int, records: list[str]) -> None:
    """Records that change are followed; records that become two servers are not."""
    records.append("127.0.0.2")
    times = [0.0]
    watch = NameWatch([(NAME, port)], clock=lambda: times[0])
    times[0] += NAMES_EVERY_S
    watch.look()
    records[:] = ["127.0.0.3"]  # the node has moved, and is one server still
    times[0] += NAMES_EVERY_S
    watch.look()
    records.append("127.0.0.2")
    watch.look()  # too soon to look
    times[0] += NAMES_EVERY_S
    with pytest.raises(ClusterError, match="stands for several servers"):
        watch.look()


def test_nothing_is_said_of_nodes_that_are_as_they_should_be(memcached: Start) -> None:
    """Three nodes are three servers."""
    refuse_mistaken([memcached().address for _ in range(3)])


def test_nothing_is_left_on_the_nodes(memcached: Start) -> None:
    """The marks are deleted again, also where something was refused."""
    node = memcached().address
    refuse_mistaken([node])
    with pytest.raises(ClusterError, match="are the same server"):
        refuse_mistaken([node, ("localhost", node[1])])
    assert stats(node, 5)["curr_items"] == 0
