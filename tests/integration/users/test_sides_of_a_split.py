"""One name, an address a group: whoever asks gets the door of the group that it belongs to."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import gevent.event
import locust  # noqa: F401 - makes sockets and threads cooperative, as in the product
import pytest

from users.clients import ClientOptions, construct, resolve
from users.sides import SidedNames, belong

HOST = "node1.memquake.test"
DOORS = ["127.0.0.1", "127.0.0.2"]
OPTIONS = ClientOptions(pool_size=4, op_timeout=5.0, connect_timeout=5.0)


@pytest.fixture
def names() -> Iterator[SidedNames]:
    found = SidedNames({HOST: DOORS})
    yield found
    found.close()


def as_group(group: int, work: Callable[[], Any]) -> Any:
    """Do something as a user of a group does it."""

    def run() -> Any:
        belong(group)
        return work()

    return gevent.spawn(run).get(timeout=20)


def ask() -> str:
    return str(socket.getaddrinfo(HOST, 1, 0, socket.SOCK_STREAM)[0][4][0])


def in_a_thread() -> str:
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(ask()))
    thread.start()
    thread.join(20)
    return found[0]


WAYS: dict[str, Callable[[], Any]] = {
    "getaddrinfo": ask,
    "gethostbyname": lambda: socket.gethostbyname(HOST),
    "capitals and a dot": lambda: socket.gethostbyname(HOST.upper() + "."),
    "from a thread": in_a_thread,
    "from a greenlet of a greenlet": lambda: gevent.spawn(
        lambda: gevent.spawn(ask).get(timeout=20)
    ).get(timeout=20),
}


@pytest.mark.parametrize("way", WAYS)
def test_each_group_finds_its_own_door(names: SidedNames, way: str) -> None:
    """However it asks, and whoever asks for it."""
    assert [as_group(group, WAYS[way]) for group in (0, 1)] == DOORS
    assert names.strays == 0


def test_who_belongs_to_nobody_is_counted(names: SidedNames) -> None:
    """It gets an address, and what it reached proves nothing."""
    found: list[str] = []
    done = gevent.event.Event()

    def run() -> None:
        found.append(ask())
        done.set()

    gevent.spawn_raw(run)
    assert done.wait(20)
    assert found == [DOORS[0]]
    assert names.strays == 1


def test_other_names_and_later_times_are_the_systems(names: SidedNames) -> None:
    """Nothing of it is left once it is closed."""
    before = gevent.get_hub().resolver
    assert as_group(1, lambda: socket.gethostbyname("127.0.0.1")) == "127.0.0.1"
    names.close()
    names.close()
    assert gevent.get_hub().resolver is not before
    with pytest.raises(socket.gaierror):
        ask()


class Server:
    """Counts connections on one address."""

    def __init__(self, host: str, port: int) -> None:
        self.listener = socket.create_server((host, port))
        self.port = self.listener.getsockname()[1]
        self.taken = 0
        self.accepting = gevent.spawn(self._accept)

    def _accept(self) -> None:
        while True:
            connection, _ = self.listener.accept()
            self.taken += 1
            gevent.spawn(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            while connection.recv(4096):
                connection.sendall(b"END\r\n")

    def stop(self) -> None:
        self.accepting.kill()
        self.listener.close()


@pytest.mark.parametrize("client", ["pymemcache-hash", "pymemcache-pooled"])
def test_clients_given_the_same_name_reach_different_doors(names: SidedNames, client: str) -> None:
    """Both are given the same address, so both put a key on the same node."""
    first = Server(DOORS[0], 0)
    second = Server(DOORS[1], first.port)
    address = (HOST, first.port)
    for group, (mine, other) in enumerate(((first, second), (second, first))):
        mine.taken = other.taken = 0
        made = construct(names.of_group(group, resolve(client)), [address], OPTIONS)
        assert as_group(group, lambda made=made: made.get("k")) is None
        made.close()
        assert (mine.taken, other.taken) == (1, 0)
    assert names.strays == 0
    first.stop()
    second.stop()
