"""Nodes behind a unix socket, and nodes that ask for a token, with real memcached."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

from client import (
    AuthenticationFailed,
    BreakerOpen,
    ClientSettings,
    ConnectRefused,
    ConnectTimeout,
    Happened,
    MemcacheClient,
    Unreachable,
)
from client.addresses import parse_address
from client.connector import Connector

Start = Callable[..., Any]
MakeClient = Callable[..., MemcacheClient]

PATIENT = {"op_timeout": 10.0, "connect_timeout": 10.0}  # these tests are not about time


def connector(address: object, **settings: Any) -> Connector:
    return Connector(parse_address(address), ClientSettings(**PATIENT | settings))


def accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


@pytest.fixture
def unix_node(tmp_path: Path, memcached_with: Start) -> Path:
    """Give the path of a real memcached's unix socket."""
    path = tmp_path / "m.sock"
    memcached_with(lambda: accepts(path), "-s", str(path))
    return path


@pytest.mark.parametrize("form", ["{}", "unix:{}"])
def test_a_node_behind_a_unix_socket(unix_node: Path, client: MakeClient, form: str) -> None:
    """Everything works as over TCP, large values and batches included."""
    given: Any = form.format(unix_node)
    cache = client(given, **PATIENT)
    label = f"unix:{unix_node}"
    assert cache.node_for("k") == label
    large = os.urandom(900_000)
    assert cache.set("k", large)
    assert cache.get("k") == large
    values = {f"k{number}": b"v" * number for number in range(500)}
    assert cache.set_many(values) == []
    assert cache.get_many(values) == values
    assert cache.snapshot()[label]["pool"]["in_use"] == 0
    connection = connector(given).connect(time.monotonic() + 10)
    assert connection.address == (socket.AF_UNIX, str(unix_node))
    connection.close()


def test_a_socket_that_is_not_there_or_not_listened_on(tmp_path: Path) -> None:
    """No file: unreachable. A file without a listener: refused. Both at once."""
    path = tmp_path / "m.sock"
    one = connector(str(path))
    with pytest.raises(Unreachable) as refusal:
        one.connect(time.monotonic() + 10)
    assert isinstance(refusal.value.__cause__, OSError)
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
        with pytest.raises(ConnectRefused):
            one.connect(time.monotonic() + 10)


@pytest.fixture
def full_queue(tmp_path: Path) -> Iterator[tuple[Path, socket.socket]]:
    """Give a unix socket whose queue of connections is full, and its listener."""
    path = tmp_path / "full.sock"
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as filler:
        listener.bind(str(path))
        listener.listen(0)
        filler.connect(str(path))
        yield path, listener


def test_a_full_queue_is_waited_for(full_queue: tuple[Path, socket.socket]) -> None:
    """The kernel says "again" at once; the connect waits its time, and succeeds with room."""
    path, listener = full_queue
    started = time.monotonic()
    with pytest.raises(ConnectTimeout):
        connector(str(path), connect_timeout=0.2).connect(started + 5.0)
    assert 0.2 <= time.monotonic() - started < 3.0
    waiting = gevent.spawn(connector(str(path)).connect, time.monotonic() + 10)
    gevent.sleep(0.05)
    accepted, _ = listener.accept()
    waiting.get(timeout=10).close()
    accepted.close()


TOKEN = "bob verysecret"


@pytest.fixture
def guarded(tmp_path: Path, memcached_with: Start, free_port: Callable[[], int]) -> tuple[str, int]:
    """Give the address of a real memcached that asks for a token."""
    users = tmp_path / "users"
    users.write_text(TOKEN.replace(" ", ":") + "\nalice:other\n")
    port = free_port()
    listen = ("-l", "127.0.0.1", "-p", str(port), "-U", "0")

    def is_ready() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    memcached_with(is_ready, *listen, "-Y", str(users))
    return ("127.0.0.1", port)


@pytest.mark.parametrize("protocol", ["auto", "text"])
def test_the_token_opens_the_door(
    guarded: tuple[str, int], client: MakeClient, protocol: str
) -> None:
    """Every connection of the pool says it first; the calls know nothing of it."""
    cache = client(guarded, auth_token=TOKEN, protocol=protocol, **PATIENT)
    assert cache.set("k", b"v")
    callers = [gevent.spawn(cache.get, "k") for _ in range(20)]
    gevent.joinall(callers, timeout=20, raise_error=True)
    assert {caller.value for caller in callers} == {b"v"}
    assert cache.get("memquake-token") is None


@pytest.mark.parametrize("token", ["bob wrongsecret", None], ids=["wrong", "none"])
def test_a_refused_token_is_a_type_of_its_own(
    guarded: tuple[str, int],
    client: MakeClient,
    caplog: pytest.LogCaptureFixture,
    token: str | None,
) -> None:
    """It says what it is, shows no token anywhere, and the breaker keeps the attempts few."""
    caplog.set_level(logging.DEBUG)
    cache = client(guarded, auth_token=token, **PATIENT)
    errors = []
    for _ in range(50):
        with pytest.raises((AuthenticationFailed, BreakerOpen)) as refusal:
            cache.set("k", b"v")
        errors.append(refusal.value)
        assert refusal.value.happened is Happened.NOT_SENT
    refused = [error for error in errors if isinstance(error, AuthenticationFailed)]
    assert isinstance(errors[0], AuthenticationFailed)
    assert 0 < len(refused) <= cache.settings.breaker.consecutive_failures + 2
    assert isinstance(errors[-1], BreakerOpen)
    (node,) = cache.snapshot().values()
    assert node["pool"]["total"] == 0
    shown = f"{errors!r} {cache!r} {cache.settings!r} {caplog.text}"
    assert "secret" not in shown


def test_a_token_nobody_asked_for_is_not_left_behind(memcached: Start, client: MakeClient) -> None:
    """A node without authentication stores what is sent; it is gone at once."""
    cache = client(memcached().address, auth_token=TOKEN, **PATIENT)
    assert cache.set("k", b"v")
    assert cache.get("memquake-token") is None
    assert cache.get("k") == b"v"


def test_a_silent_node_does_not_hold_the_token_for_ever(byte_server: Start) -> None:
    """The reply to the token is waited for within the connect timeout; the socket is closed."""
    heard: list[bytes] = []

    def swallow(connection: socket.socket) -> None:
        while data := connection.recv(1000):
            heard.append(data)
        heard.append(b"closed")

    server = byte_server(swallow)
    started = time.monotonic()
    with pytest.raises(ConnectTimeout):
        connector(server.address, connect_timeout=0.3, auth_token=TOKEN).connect(started + 10)
    assert 0.3 <= time.monotonic() - started < 3.0
    deadline = time.monotonic() + 5
    while heard[-1:] != [b"closed"] and time.monotonic() < deadline:
        time.sleep(0.01)
    assert heard[-1] == b"closed"
