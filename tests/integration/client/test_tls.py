"""Encrypted connections to a real memcached with TLS, and to peers that do it wrong."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gevent
import pytest

from client import (
    CertificateNotTrusted,
    ClientSettings,
    ConnectRefused,
    ConnectTimeout,
    Happened,
    MemcacheClient,
    MemcacheClientError,
    OperationTimeout,
    TlsFailed,
)
from client.addresses import parse_address
from client.connector import Connector
from memquake.paths import CHECKOUT
from tests.papers import NAME, Papers, make_papers

Start = Callable[..., Any]
MakeClient = Callable[..., MemcacheClient]

PATIENT = {"op_timeout": 10.0, "connect_timeout": 10.0}  # where a test is not about time


@pytest.fixture(scope="module")
def papers(binary: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Papers:
    """Give papers made for this run: no key lies in the repository."""
    return make_papers(binary("openssl"), tmp_path_factory.mktemp("papers"))


@dataclass(frozen=True, kw_only=True)
class Encrypted:
    """A real memcached that speaks TLS."""

    address: tuple[str, int]
    process: subprocess.Popen[bytes]


@pytest.fixture
def encrypted(
    papers: Papers, memcached_with: Start, free_port: Callable[[], int]
) -> Callable[..., Encrypted]:
    """Give a function that starts a memcached with TLS."""

    def start() -> Encrypted:
        address = ("127.0.0.1", free_port())

        def is_ready() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(address) == 0

        process = memcached_with(
            is_ready, "-l", "127.0.0.1", "-p", str(address[1]), "-U", "0", "-Z",
            "-o", f"ssl_chain_cert={papers.chain},ssl_key={papers.key}",
        )  # fmt: skip
        return Encrypted(address=address, process=process)

    return start


def connect(address: tuple[str, int], **settings: Any) -> Any:
    made = ClientSettings(**PATIENT | {"tls_hostname": NAME} | settings)
    return Connector(parse_address(address), made).connect(time.monotonic() + 15)


@pytest.mark.parametrize(
    "version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"]
)
def test_everything_works_encrypted(
    encrypted: Start, papers: Papers, client: MakeClient, version: ssl.TLSVersion
) -> None:
    """Values of many records, batches, and callers side by side, over a small pool."""
    context = papers.context(maximum_version=version)
    cache = client(encrypted().address, tls=context, tls_hostname=NAME, pool_size=4, **PATIENT)
    large = os.urandom(1_000_000)
    assert cache.set("large", large)
    assert cache.get("large") == large
    values = {f"k{number}": os.urandom(number) for number in range(1000)}
    assert cache.set_many(values) == []
    assert cache.get_many(values) == values
    callers = [gevent.spawn(cache.get, "large") for _ in range(20)]
    gevent.joinall(callers, timeout=30, raise_error=True)
    assert all(caller.value == large for caller in callers)
    (node,) = cache.snapshot().values()
    assert node["pool"]["in_use"] == 0
    assert node["pool"]["created"] <= 4
    assert node["failures"] == {}


def test_records_of_the_peers_own_do_not_make_a_connection_stale(
    encrypted: Start, papers: Papers
) -> None:
    """TLS 1.3 sends tickets after the handshake: nothing for us has come. An end has."""
    node = encrypted()
    connection = connect(node.address, tls=papers.context())
    time.sleep(0.2)  # the tickets arrive
    assert not connection.is_stale
    assert connection.ask(b"version\r\n", time.monotonic() + 5).startswith(b"VERSION")
    connection.write(b"version\r\n", time.monotonic() + 5)
    deadline = time.monotonic() + 5
    while not connection.is_stale and time.monotonic() < deadline:
        time.sleep(0.01)
    assert connection.is_stale  # a reply that nobody waits for
    assert connection.read_before(time.monotonic() + 5).startswith(b"VERSION")
    assert not connection.is_stale
    node.process.kill()
    deadline = time.monotonic() + 5
    while not connection.is_stale and time.monotonic() < deadline:
        time.sleep(0.01)
    assert connection.is_stale
    connection.close()


def test_a_certificate_that_is_not_trusted(
    encrypted: Start, papers: Papers, client: MakeClient
) -> None:
    """It has a type and a reason of its own, and nothing was sent."""
    address = encrypted().address
    stranger = ssl.create_default_context()  # trusts the authorities of the system
    cases = {
        "issuer": ({"tls": stranger}, "issuer"),
        "other name": ({"tls": papers.context(), "tls_hostname": "db.test"}, "another host name"),
        "own address": ({"tls": papers.context(), "tls_hostname": None}, "another address"),
    }
    for settings, words in cases.values():
        with pytest.raises(CertificateNotTrusted, match=words) as refusal:
            connect(address, **settings)
        assert refusal.value.happened is Happened.NOT_SENT
        assert isinstance(refusal.value.__cause__, ssl.SSLCertVerificationError)
    cache = client(address, tls=stranger, tls_hostname=NAME, **PATIENT)
    with pytest.raises(CertificateNotTrusted) as refusal:
        cache.get("k")
    assert refusal.value.node == f"127.0.0.1:{address[1]}"


def test_a_peer_without_encryption(byte_server: Start, papers: Papers) -> None:
    """Plain bytes, or an end, in the middle of the handshake: typed, at once."""

    def plain(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(b"ERROR\r\n")
        connection.recv(1000)

    def end(connection: socket.socket) -> None:
        connection.recv(1000)

    with pytest.raises(TlsFailed, match="TLS handshake failed: wrong version number"):
        connect(byte_server(plain).address, tls=papers.context())
    with pytest.raises(ConnectRefused):
        connect(byte_server(end).address, tls=papers.context())


def test_a_client_without_encryption(encrypted: Start, client: MakeClient) -> None:
    """A node that wants TLS gets plain bytes: an error of ours, in time, nothing left open."""
    cache = client(encrypted().address, op_timeout=1.0)
    with pytest.raises(MemcacheClientError):
        cache.get("k")
    (node,) = cache.snapshot().values()
    assert node["pool"]["total"] == 0


@dataclass
class Dripping:
    """Passes bytes on both ways; towards the client one at a time, with a pause, once told to."""

    upstream: tuple[str, int]
    pause_s: float = 0.0
    flowing: threading.Event | None = None  # while unset, nothing is taken from the client

    def handle(self, downstream: socket.socket) -> None:
        with socket.create_connection(self.upstream) as upstream:
            threading.Thread(target=self._forth, args=(downstream, upstream), daemon=True).start()
            while data := upstream.recv(65_536):
                if not self.pause_s:
                    downstream.sendall(data)
                    continue
                for index in range(len(data)):
                    downstream.sendall(data[index : index + 1])
                    time.sleep(self.pause_s)

    def _forth(self, downstream: socket.socket, upstream: socket.socket) -> None:
        try:
            while data := downstream.recv(65_536):
                if self.flowing is not None:
                    self.flowing.wait(30)
                upstream.sendall(data)
            upstream.shutdown(socket.SHUT_WR)
        except OSError:
            return


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_what_the_socket_does_not_take_is_kept(
    encrypted: Start, byte_server: Start, papers: Papers
) -> None:
    """Sent without waiting, a large value gets stuck; the rest follows in order, and once."""
    flowing = threading.Event()
    flowing.set()
    stalling = Dripping(encrypted().address, flowing=flowing)
    connection = connect(byte_server(stalling.handle).address, tls=papers.context())
    flowing.clear()
    value = os.urandom(1_000_000)
    request = b"".join(b"set k%d 0 0 1000000\r\n%b\r\n" % (one, value) for one in range(30))
    request += b"get k0\r\n"
    begun = 0
    while count := connection.write_some(request[begun : begun + 300_000]):
        begun += count
    assert 0 < begun < len(request)
    assert not connection.is_stale
    flowing.set()
    until = time.monotonic() + 30
    connection.write(request[begun:], until)
    expected = b"STORED\r\n" * 30 + b"VALUE k0 0 1000000\r\n" + value + b"\r\nEND\r\n"
    reply = b""
    while len(reply) < len(expected):
        reply += connection.read_before(until)
    assert reply == expected
    connection.close()


@pytest.mark.parametrize("kind", ["silent", "dripping"])
def test_a_handshake_is_bounded(
    encrypted: Start, byte_server: Start, papers: Papers, kind: str
) -> None:
    """Silence, and a handshake byte by byte: over at the connect timeout."""
    if kind == "silent":
        address = byte_server(lambda connection: connection.recv(1) and time.sleep(5)).address
    else:
        address = byte_server(Dripping(encrypted().address, pause_s=0.01).handle).address
    started = time.monotonic()
    with pytest.raises(ConnectTimeout) as refusal:
        connect(address, tls=papers.context(), connect_timeout=0.4)
    assert 0.4 <= time.monotonic() - started < 3.0
    assert refusal.value.happened is Happened.NOT_SENT


def test_a_dripping_record_does_not_stretch_the_deadline(
    encrypted: Start, byte_server: Start, papers: Papers, client: MakeClient
) -> None:
    """No byte of a half-received record starts the time anew."""
    node = encrypted()
    dripping = Dripping(node.address)
    cache = client(
        byte_server(dripping.handle).address, tls=papers.context(), tls_hostname=NAME,
        op_timeout=1.0, connect_timeout=1.0,
    )  # fmt: skip
    assert cache.set("k", b"x" * 3000)
    assert cache.get("k") == b"x" * 3000
    dripping.pause_s = 0.005
    started = time.monotonic()
    with pytest.raises(OperationTimeout):
        cache.get("k")
    assert 0.9 <= time.monotonic() - started < 4.0
    (state,) = cache.snapshot().values()
    assert state["pool"]["total"] == 0


def test_a_killed_handshake_leaves_no_socket(byte_server: Start, papers: Papers) -> None:
    """A kill of the caller in any step of the handshake closes what was being opened."""
    gate = threading.Event()
    server = byte_server(lambda connection: gate.wait(20) and None)
    with gevent.Timeout(0.5, False):
        connect(server.address, tls=papers.context())
    before = descriptors()
    for index in range(20):
        caller = gevent.spawn(connect, server.address, tls=papers.context())
        gevent.sleep(0.001 * index)
        caller.kill()
    opened = len(server.accepted)  # the ends of the server are in this process too
    gate.set()
    deadline = time.monotonic() + 10
    while descriptors() > before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert opened > 1
    assert descriptors() <= before


def run_without_gevent(script: str, **names: object) -> str:
    """Run a script that finds these names set; give what it prints."""
    head = "\n".join(f"{name} = {value!r}" for name, value in names.items())
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", head + textwrap.dedent(script)], cwd=CHECKOUT,
        capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_plain_threads(encrypted: Start, papers: Papers, byte_server: Start) -> None:
    """The same without gevent: values, a refused certificate, and a dripping record."""
    node = encrypted()
    said = run_without_gevent(
        """
        import ssl, sys, threading, time
        from client import *

        trusted = ssl.create_default_context(cafile=authority)
        patient = dict(op_timeout=10.0, connect_timeout=10.0, tls_hostname=name)
        with MemcacheClient([node], ClientSettings(tls=trusted, pool_size=4, **patient)) as cache:
            value = bytes(range(256)) * 3000
            print(cache.set("k", value))
            right = []
            callers = [threading.Thread(target=lambda: right.append(cache.get("k") == value))
                       for _ in range(10)]
            [caller.start() for caller in callers]
            [caller.join(30) for caller in callers]
            print(right == [True] * 10)
        strange = ssl.create_default_context()
        with MemcacheClient([node], ClientSettings(tls=strange, **patient)) as cache:
            try:
                cache.get("k")
            except CertificateNotTrusted as error:
                print(error.happened)
        hasty = dict(op_timeout=0.5, connect_timeout=0.5, tls_hostname=name)
        with MemcacheClient([drip], ClientSettings(tls=trusted, **hasty)) as cache:
            started = time.monotonic()
            try:
                cache.get("k")
            except ConnectTimeout:
                print(time.monotonic() - started < 3)
        assert "gevent" not in sys.modules
        """,
        authority=papers.authority,
        name=NAME,
        node=node.address,
        drip=byte_server(Dripping(node.address, pause_s=0.01).handle).address,
    )
    assert said.split() == ["True", "True", "not_sent", "True"]
