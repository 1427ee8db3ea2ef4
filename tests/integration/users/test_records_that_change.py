"""A record that changes is seen by whoever asks again, however it asks."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import locust  # noqa: F401 - makes sockets and threads cooperative, as in the product
import pytest

from cluster.node import Door, Node
from users.records import Records

NODES = [
    Node(
        name=name,
        address=("127.0.0.1", port),
        direct=("127.0.0.1", 1),
        more_doors=(Door(address=("127.0.0.2", port)),),
    )
    for name, port in (("node1", 11001), ("node2", 11002))
]
WAYS: dict[str, Callable[[str], object]] = {
    "getaddrinfo": lambda host: socket.getaddrinfo(host, 1, 0, socket.SOCK_STREAM)[0][4][0],
    "gethostbyname": socket.gethostbyname,
    "gethostbyname_ex": lambda host: socket.gethostbyname_ex(host)[2][0],
    "capitals and a dot": lambda host: socket.gethostbyname(host.upper() + "."),
}


@pytest.fixture
def records() -> Iterator[Records]:
    found = Records(NODES)
    yield found
    found.close()


@pytest.mark.parametrize("way", WAYS)
def test_one_name_moves_and_the_others_stay(records: Records, way: str) -> None:
    """And it stays moved, however often it is said."""
    ask = WAYS[way]
    hosts = [node.client_address[0] for node in NODES]
    assert [ask(host) for host in hosts] == ["127.0.0.2"] * 2
    for _ in range(2):
        records.move(["node2"])
        assert [ask(host) for host in hosts] == ["127.0.0.2", "127.0.0.1"]


def test_a_process_that_comes_late_begins_with_what_has_changed() -> None:
    """It must not send its first users to an address that was given up."""
    records = Records(NODES, ["node1"])
    try:
        assert [records.look_up(node.name) for node in NODES] == ["127.0.0.1", "127.0.0.2"]
    finally:
        records.close()
    with pytest.raises(socket.gaierror):
        socket.gethostbyname(NODES[0].client_address[0])
