"""Connections to names with good and bad addresses, under gevent and under plain threads."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

from client import (
    ClientSettings,
    ConnectRefused,
    ConnectTimeout,
    MemcacheClientError,
    PoolExhausted,
    Unreachable,
)
from client.addresses import parse_address
from client.connector import Connector
from client.dialing import Dialer, _is_own_echo
from memquake.paths import CHECKOUT

Start = Callable[..., Any]
Address = tuple[int, Any]

CONNECT_TIMEOUT_S = 0.4
LATE_S = 1.5  # what a busy machine may add


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def tcp(address: tuple[str, int]) -> Address:
    return (socket.AF_INET, address)


def connector(*addresses: Address, **settings: Any) -> Connector:
    """Give a connector to a name that stands for these addresses."""
    return Connector(
        parse_address("cache.test:1"),
        ClientSettings(connect_timeout=CONNECT_TIMEOUT_S, **settings),
        look_up=lambda host, port: list(addresses),
    )


def connect(one: Connector, within_s: float = 5.0) -> Any:
    return one.connect(time.monotonic() + within_s)


@pytest.fixture
def hole() -> Iterator[Callable[[], tuple[str, int]]]:
    """Give a function that makes an address which never answers: its queue is full."""
    made: list[socket.socket] = []

    def make() -> tuple[str, int]:
        listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        address: tuple[str, int] = listener.getsockname()
        made.append(listener)
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(address)
            made.append(filler)
        time.sleep(0.01)  # the first of them is taken into the queue
        return address

    yield make
    for one in made:
        one.close()


@pytest.fixture
def refusing() -> Iterator[tuple[str, int]]:
    """Give an address that is taken, so nobody else listens there, and refuses."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()


@pytest.mark.parametrize("holes", [1, 7])
def test_a_black_hole_hides_no_address_behind_it(
    memcached: Start, hole: Callable[[], tuple[str, int]], holes: int
) -> None:
    """However many never answer, the one that does is reached in time; then it goes first."""
    good = tcp(memcached().address)
    bad = [tcp(hole()) for _ in range(holes)]
    one = connector(*bad, good)
    started = time.monotonic()
    first = connect(one)
    assert time.monotonic() - started < CONNECT_TIMEOUT_S + LATE_S
    assert first.address == good
    again = connect(one)
    assert again.address == good
    assert one._dialer._failed_at.keys() == set(bad)
    assert one.current_addresses() == (*bad, good)
    for connection in (first, again):
        assert b"VERSION" in connection.ask(b"version\r\n", time.monotonic() + 5)
        connection.close()
    before = descriptors()
    connect(connector(*bad, good)).close()
    assert descriptors() == before


def test_a_refusing_address_hands_over_at_once(
    memcached: Start, hole: Callable[[], tuple[str, int]], refusing: tuple[str, int]
) -> None:
    """It costs the next address none of its time, IPv6 that is not there included."""
    good = tcp(memcached().address)
    nowhere = (socket.AF_INET6, ("::1", refusing[1], 0, 0))
    one = Dialer(time.monotonic)
    until = time.monotonic() + 30.0
    sock, address = one.dial([nowhere, tcp(refusing), good, tcp(hole())], until)
    sock.close()
    assert address == good
    assert until - time.monotonic() > 20.0  # an equal share would have been 7.5 s


@pytest.mark.parametrize(
    ("kinds", "error"),
    [
        (("refusing",), ConnectRefused),
        (("hole",), ConnectTimeout),
        (("refusing", "hole", "refusing"), ConnectTimeout),
        (("nowhere", "refusing"), ConnectRefused),
    ],
    ids=["refusing", "hole", "a hole between", "nowhere"],
)
def test_the_most_telling_failure_is_raised(
    hole: Callable[[], tuple[str, int]],
    refusing: tuple[str, int],
    kinds: tuple[str, ...],
    error: type[MemcacheClientError],
) -> None:
    """A silent address outranks one that refused, which outranks one without a route; in time."""
    made = {
        "refusing": lambda: tcp(refusing),
        "hole": lambda: tcp(hole()),
        "nowhere": lambda: (socket.AF_UNIX, "/nowhere/m.sock"),
    }
    one = connector(*[made[kind]() for kind in kinds])
    before = 0
    for _ in range(2):
        started = time.monotonic()
        with pytest.raises(error) as refusal:
            connect(one)
        assert time.monotonic() - started < CONNECT_TIMEOUT_S + LATE_S
        assert type(refusal.value) is error
        assert refusal.value.blames_node
        assert before in (0, descriptors())
        before = descriptors()


def test_too_little_time_blames_nobody(hole: Callable[[], tuple[str, int]]) -> None:
    """With most of the time gone before, silence says nothing about the node."""
    with pytest.raises(PoolExhausted) as refusal:
        connect(connector(tcp(hole())), within_s=CONNECT_TIMEOUT_S / 4)
    assert isinstance(refusal.value.__cause__, ConnectTimeout)


def test_a_changed_record_is_followed(memcached: Start) -> None:
    """After dns_keep_s new connections go to the new address; old ones are told apart by theirs."""
    old, new = tcp(memcached().address), tcp(memcached().address)
    record = [old]
    one = Connector(
        parse_address("cache.test:1"),
        ClientSettings(dns_keep_s=0.05),
        look_up=lambda host, port: list(record),
    )
    first = connect(one)
    record[:] = [new]
    deadline = time.monotonic() + 5.0
    while first.address in one.current_addresses() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert one.current_addresses() == (new,)
    second = connect(one)
    assert (first.address, second.address) == (old, new)
    first.close()
    second.close()


def test_a_storm_of_connects_asks_once(memcached: Start) -> None:
    """200 greenlets share one look-up, and the hub turns while it hangs."""
    good = tcp(memcached().address)
    asked: list[float] = []

    def slow(host: str, port: int) -> list[Address]:
        asked.append(time.monotonic())
        time.sleep(0.2)
        return [good]

    one = Connector(
        parse_address("cache.test:1"), ClientSettings(connect_timeout=20.0), look_up=slow
    )
    ticks: list[float] = []

    def tick() -> None:
        while True:
            ticks.append(time.monotonic())
            time.sleep(0.005)

    ticker = gevent.spawn(tick)
    callers = [gevent.spawn(connect, one, 30.0) for _ in range(200)]
    gevent.joinall(callers, timeout=30, raise_error=True)
    ticker.kill()
    assert [caller.value.address for caller in callers] == [good] * 200
    assert len(asked) == 1
    assert len([tick for tick in ticks if asked[0] < tick < asked[0] + 0.2]) >= 5
    for caller in callers:
        caller.value.close()


def test_a_killed_connect_leaves_no_socket(hole: Callable[[], tuple[str, int]]) -> None:
    """A kill or a timeout of the caller's at any moment closes what was being opened."""
    one = connector(tcp(hole()), tcp(hole()))
    with pytest.raises(ConnectTimeout):
        connect(one)  # what is made once is made
    before = descriptors()
    for index in range(40):
        caller = gevent.spawn(connect, one)
        gevent.sleep(0.002 * (index % 10))
        caller.kill()
        with gevent.Timeout(0.001 * (index % 10 + 1), False):
            connect(one)
    assert descriptors() <= before


def test_a_socket_connected_to_itself_is_found_out() -> None:
    """TCP connects a socket to itself when it finds its own port: that is no server."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.connect(sock.getsockname())
        sock.sendall(b"get k\r\n")
        assert sock.recv(100) == b"get k\r\n"
        assert _is_own_echo(sock)


def test_a_name_that_does_not_exist() -> None:
    """It is asked of the real resolver; `.invalid` never exists."""
    one = Connector(parse_address("cache.invalid:1"), ClientSettings(connect_timeout=20.0))
    with pytest.raises(Unreachable, match="does not resolve"):
        connect(one, within_s=30.0)


def test_localhost_is_looked_up(memcached: Start) -> None:
    """The real resolver, a real name."""
    server = memcached()
    one = Connector(parse_address(("localhost", server.port)), ClientSettings(connect_timeout=10.0))
    connection = connect(one, within_s=20.0)
    assert connection.address == tcp(server.address)
    assert connection.address in one.current_addresses()
    connection.close()


def plain(script: str) -> str:
    """Run a script in a process without gevent; give what it prints."""
    head = """
        import os, resource, socket, sys, threading, time
        from client import *
        from client.addresses import parse_address
        from client.connector import Connector

        def took(connector, within_s=5.0):
            started = time.monotonic()
            try:
                connector.connect(started + within_s).close()
                kind = "connected"
            except MemcacheClientError as error:
                kind = type(error).__name__
            return kind, time.monotonic() - started
    """
    tail = 'assert "gevent" not in sys.modules'
    text = "\n".join(map(textwrap.dedent, (head, script, tail)))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", text], cwd=CHECKOUT, capture_output=True, text=True,
        timeout=60, check=False, env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_plain_threads_are_bounded_by_the_deadline_too() -> None:
    """A look-up that hangs costs each thread its timeout, and the process one thread in all."""
    said = plain("""
        gate = threading.Event()
        hang = lambda host, port: gate.wait(30) and []
        connector = Connector(
            parse_address("cache.test:1"), ClientSettings(connect_timeout=0.3), look_up=hang
        )
        before = len(os.listdir("/proc/self/task"))
        results = []
        callers = [
            threading.Thread(target=lambda: results.append(took(connector))) for _ in range(20)
        ]
        [caller.start() for caller in callers]
        [caller.join(20) for caller in callers]
        print(sorted({kind for kind, _ in results}), len(results))
        print(max(elapsed for _, elapsed in results) < 5)
        print(1 <= len(os.listdir("/proc/self/task")) - before <= 5)
        gate.set()
    """)
    assert said.split("\n")[:3] == ["['ConnectTimeout'] 20", "True", "True"]


def test_no_descriptors_left_is_not_the_nodes_fault(memcached: Start) -> None:
    """By number and by name: OutOfResources, and in service again once there are some."""
    said = plain(f"""
        port = {memcached().port}
        settings = ClientSettings(connect_timeout=10.0)
        both = [Connector(parse_address((host, port)), settings) for host in ("127.0.0.1",
                "localhost")]
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        kept = []
        try:
            while True:
                kept.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            pass
        print([took(one)[0] for one in both])
        [os.close(one) for one in kept]
        time.sleep(0.3)
        print([took(one)[0] for one in both])
    """)
    assert said.split("\n")[:2] == [
        "['OutOfResources', 'OutOfResources']",
        "['connected', 'connected']",
    ]
