"""A failed call's connection is found in what the client still holds when its error comes out."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from users.samples import connection_of


@pytest.fixture
def silent() -> Iterator[tuple[str, int]]:
    """Return the address of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()


class _Slotted:
    """A connection that keeps its socket where no `__dict__` shows it."""

    __slots__ = ("sock",)

    def __init__(self, address: tuple[str, int]) -> None:
        self.sock = socket.create_connection(address, timeout=0.05)

    def get(self, key: str) -> bytes:
        self.sock.sendall(f"get {key}\r\n".encode())
        return self.sock.recv(10)


class _Plain(_Slotted):
    """One with attributes like any other object."""

    def close(self) -> None:
        self.sock.close()


@pytest.mark.parametrize("kind", [_Slotted, _Plain])
def test_the_ends_of_a_connection_are_told(kind: type[_Slotted], silent: tuple[str, int]) -> None:
    """Local port and peer, to be found in a capture of packets."""
    connection = kind(silent)
    with pytest.raises(TimeoutError) as caught:
        connection.get("k")
    mine = connection.sock.getsockname()
    assert connection_of(caught.value) == f"127.0.0.1:{mine[1]} to 127.0.0.1:{silent[1]}"
    connection.sock.close()


def test_a_closed_connection_has_none_to_tell(silent: tuple[str, int]) -> None:
    """A client that closes at once leaves nothing, and nothing is made up."""

    class Closing(_Plain):
        def get(self, key: str) -> bytes:
            try:
                return super().get(key)
            finally:
                self.close()

    with pytest.raises(TimeoutError) as caught:
        Closing(silent).get("k")
    assert connection_of(caught.value) == ""
