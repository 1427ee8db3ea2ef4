"""A real memcached without a place for one more connection: what it serves goes on being used."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from client import MemcacheClient, TooManyConnections
from tests.papers import NAME, make_papers

Start = Callable[..., Any]
MakeClient = Callable[..., MemcacheClient]

Address = tuple[str, int] | str

CALLERS = 12
FREE = 3  # places that are left to the client, fewer than its callers
REFUSAL = b"ERROR Too many open connections\r\n"
PATIENT = {"op_timeout": 10.0, "connect_timeout": 10.0}  # this is not about time


@dataclass(frozen=True)
class FullNode:
    """A memcached whose places are taken, and one of these connections, which sees its counts."""

    address: Address
    eyes: socket.socket
    taken_when_full: int

    def free(self) -> int:
        """Return how many places are free; memcached sees the end of a connection late."""
        return self.taken_when_full - connections(self.eyes)


def connections(sock: socket.socket) -> int:
    """Return how many connections a memcached counts."""
    sock.sendall(b"stats\r\n")
    said = b""
    while not said.endswith(b"END\r\n"):
        said += sock.recv(65536)
    return int(said.partition(b"STAT curr_connections ")[2].split()[0])


def connected(address: Address) -> socket.socket:
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    sock = socket.socket(family)
    sock.settimeout(5.0)
    try:
        sock.connect(address)
    except OSError:
        sock.close()
        raise
    return sock


def is_served(sock: socket.socket) -> bool:
    with suppress(BrokenPipeError):  # a unix socket's, where the peer has ended it already
        sock.sendall(b"version\r\n")
    return sock.recv(100) != REFUSAL


def fill(address: Address, held: ExitStack, *, free: int) -> FullNode:
    """Take every place of a memcached but some."""
    taken: list[socket.socket] = []
    while len(taken) < 200:
        sock = held.enter_context(connected(address))
        if not is_served(sock):
            break
        taken.append(sock)
    assert len(taken) > free, "the node has no limit"
    node = FullNode(address, taken[-1], connections(taken[-1]))
    for sock in taken[:free]:
        sock.close()
    return node


@pytest.fixture
def full_node(
    memcached_with: Start,
    free_port: Callable[[], int],
    bounded: Callable[..., object],
    tmp_path: Path,
) -> Iterator[Callable[..., FullNode]]:
    """Give a function that starts a node with `free` places left; they are given back last."""
    with ExitStack() as held:

        def start(*, free: int, family: str = "tcp") -> FullNode:
            port = free_port()
            address: Address = ("127.0.0.1", port)
            listen = ["-l", "127.0.0.1", "-p", str(port), "-U", "0"]
            if family == "unix":
                address = str(tmp_path / "node.sock")
                listen = ["-s", address]

            def listens() -> bool:
                with suppress(OSError), connected(address):
                    return True
                return False

            memcached_with(listens, "-c", "40", *listen)
            node = fill(address, held, free=free)
            bounded(lambda: node.free() == free, what=f"{free} free places")
            return node

        yield start


@pytest.mark.parametrize("family", ["tcp", "unix"])
@pytest.mark.parametrize("kind", ["get", "set", "get_many", "set_many"])
def test_callers_beyond_the_limit_take_turns(
    full_node: Callable[..., FullNode], client: MakeClient, kind: str, family: str
) -> None:
    """No call fails, nothing is blamed, and the dialect is the one that the node speaks."""
    address: Any = full_node(free=FREE, family=family).address
    cache = client(address, pool_size=CALLERS, **PATIENT)
    assert cache.set("k", b"v")
    calls: dict[str, Callable[[], Any]] = {
        "get": lambda: cache.get("k") == b"v",
        "set": lambda: cache.set("k", b"v"),
        "get_many": lambda: cache.get_many(["k"]) == {"k": b"v"},
        "set_many": lambda: cache.set_many({"k": b"v"}) == [],
    }

    def call(_: int) -> int:
        return sum(calls[kind]() for _ in range(50))

    with ThreadPoolExecutor(CALLERS) as callers:
        assert list(callers.map(call, range(CALLERS))) == [50] * CALLERS
    (state,) = cache.snapshot().values()
    assert state["opened"] == 0
    assert 1 <= state["pool"]["total"] <= FREE
    assert state["pool"]["closed"]["node_full"] > 0, "the limit was never met"
    assert cache.get_or_lease("k", 5).value == b"v", "the node speaks meta"


def test_without_any_place_the_call_says_so_and_the_next_connection_asks(
    full_node: Callable[..., FullNode],
    client: MakeClient,
    bounded: Callable[..., object],
) -> None:
    """The refusal is told in memcached's words; once there is a place, meta is spoken."""
    node = full_node(free=1)
    address: Any = node.address
    with connected(address) as last:
        assert is_served(last)
        cache = client(address, **PATIENT)
        with pytest.raises(TooManyConnections, match="Too many open connections"):
            cache.get("k")
    bounded(lambda: node.free() == 1, what="the place is free again")
    lease = cache.get_or_lease("k", 5)
    assert lease.won


def test_a_node_with_tls_says_it_in_the_clear(
    memcached_with: Start,
    free_port: Callable[[], int],
    client: MakeClient,
    tmp_path: Path,
    binary: Callable[[str], str],
) -> None:
    """The refusal comes before any handshake: it is no trouble with encryption."""
    papers = make_papers(binary("openssl"), tmp_path)
    address = ("127.0.0.1", free_port())

    def listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(address) == 0

    memcached_with(
        listens, "-l", address[0], "-p", str(address[1]), "-U", "0", "-c", "40",
        "-Z", "-o", f"ssl_chain_cert={papers.chain},ssl_key={papers.key}",
    )  # fmt: skip
    with ExitStack() as held:
        while True:
            sock = held.enter_context(socket.create_connection(address, timeout=5.0))
            sock.settimeout(0.03)
            try:
                if sock.recv(100) == REFUSAL:
                    break
            except TimeoutError:  # it waits for a handshake: served
                continue
        cache = client(address, tls=papers.context(), tls_hostname=NAME, **PATIENT)
        with pytest.raises(TooManyConnections):
            cache.get("k")
