"""Batches over real nodes behind real Toxiproxy, and against nodes that lie, stall or go away."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import gevent
import pytest
import requests

from client import (
    BreakerOpen,
    BreakerSettings,
    ClientError,
    ConnectionClosed,
    MemcacheClient,
    MemcacheClientError,
    OperationTimeout,
    ProtocolError,
    batch,
)
from client.multi import CHUNK_BYTES, CHUNK_KEYS

MakeClient = Callable[..., MemcacheClient]
Start = Callable[..., Any]

PATIENT_S = 20.0  # of an operation: a busy machine is no failure
DELAY_MS = 100
KEYS = [f"key{index}" for index in range(24)]
NEVER_OPENS = BreakerSettings(consecutive_failures=100_000, minimum_calls=100_000)
both = pytest.mark.parametrize("protocol", ["auto", "text"])


class Path:
    """One node behind a Toxiproxy."""

    def __init__(self, url: str, upstream: tuple[str, int]) -> None:
        name = f"node{upstream[1]}"
        upstream_at = f"{upstream[0]}:{upstream[1]}"
        body = {"name": name, "listen": "127.0.0.1:0", "upstream": upstream_at}
        made = requests.post(f"{url}/proxies", json=body, timeout=10)
        made.raise_for_status()
        self.address = ("127.0.0.1", int(made.json()["listen"].rsplit(":", 1)[1]))
        self._toxics = f"{url}/proxies/{name}/toxics"

    def poison(self, kind: str, **attributes: int) -> None:
        body = {"name": kind, "type": kind, "attributes": attributes}
        requests.post(self._toxics, json=body, timeout=10).raise_for_status()

    def delay(self) -> None:
        self.poison("latency", latency=DELAY_MS)

    def swallow(self) -> None:
        """Become a black hole: connections stay, nothing comes back."""
        self.poison("timeout", timeout=0)


@pytest.fixture
def paths(memcached: Start, toxiproxy: Any) -> list[Path]:
    return [Path(toxiproxy.url, memcached().address) for _ in range(3)]


def took(call: Callable[[], object]) -> float:
    started = time.monotonic()
    call()
    return time.monotonic() - started


def parse(label: str) -> tuple[str, int]:
    host, port = label.rsplit(":", 1)
    return host, int(port)


def in_use(cache: MemcacheClient) -> int:
    return sum(node["pool"]["in_use"] for node in cache.snapshot().values())


@both
def test_a_batch_takes_one_round_trip(paths: list[Path], client: MakeClient, protocol: str) -> None:
    """With 100 ms on every node a batch over three takes as long as a get from one."""
    cache = client(*(path.address for path in paths), op_timeout=PATIENT_S, protocol=protocol)
    values = {key: key.encode() for key in KEYS}
    assert cache.set_many(values) == []
    assert len({cache.node_for(key) for key in KEYS}) == 3
    for path in paths:
        path.delay()
    single = min(took(lambda: cache.get(KEYS[0])) for _ in range(3))
    calls: list[Callable[[], object]] = [
        lambda: cache.get_many(KEYS),
        lambda: cache.gets_many(KEYS),
        lambda: cache.set_many(values),
        lambda: cache.delete_many(KEYS),
    ]
    for call in calls:
        assert min(took(call) for _ in range(3)) < single * 1.8, "not one round trip but more"


@both
def test_connections_are_opened_at_the_same_time(
    paths: list[Path], client: MakeClient, protocol: str
) -> None:
    """A batch that finds no connection anywhere takes no longer than a get that finds none."""
    for path in paths:
        path.delay()
    addresses = [path.address for path in paths]

    def cold(batch: bool) -> float:
        cache = client(*addresses, op_timeout=PATIENT_S, protocol=protocol)
        return took(lambda: cache.get_many(KEYS) if batch else cache.get(KEYS[0]))

    single = min(cold(batch=False) for _ in range(3))
    assert min(cold(batch=True) for _ in range(3)) < single * 1.8


@both
def test_a_black_hole_costs_its_own_keys_and_then_no_time(
    paths: list[Path], client: MakeClient, protocol: str
) -> None:
    """The others' keys come back by the deadline, and at once when the breaker is open."""
    breaker = BreakerSettings(consecutive_failures=2, open_s=60.0, open_max_s=60.0)
    op_timeout = 1.5
    cache = client(
        *(path.address for path in paths),
        op_timeout=op_timeout,
        breaker=breaker,
        protocol=protocol,
    )
    label = f"127.0.0.1:{paths[0].address[1]}"
    values = {key: key.encode() for key in KEYS}
    assert cache.set_many(values) == []
    lost = {key for key in KEYS if cache.node_for(key) == label}
    healthy = {key: value for key, value in values.items() if key not in lost}
    assert lost
    paths[0].swallow()
    for _ in range(2):
        started = time.monotonic()
        found = cache.get_many(KEYS)
        assert time.monotonic() - started < op_timeout * 2
        assert found == healthy
        assert set(found.failed) == lost
        assert {type(error) for error in found.failed.values()} == {OperationTimeout}
    for call in (cache.get_many, cache.gets_many, cache.delete_many):
        started = time.monotonic()
        found = call(KEYS)
        assert time.monotonic() - started < op_timeout / 2, "waited for a node known to be dead"
        assert set(found) == set(healthy)
        assert set(found.failed) == lost
        assert {type(error) for error in found.failed.values()} == {BreakerOpen}
    assert in_use(cache) == 0


def test_a_node_that_takes_nothing_does_not_stop_writes_to_the_others(
    memcached: Start, byte_server: Start, client: MakeClient
) -> None:
    """Megabytes for a node that reads nothing wait beside; the others store theirs."""
    wedged = byte_server(lambda _: time.sleep(30))
    good = [memcached() for _ in range(2)]
    addresses = [wedged.address, *(server.address for server in good)]
    cache = client(*addresses, op_timeout=3.0, protocol="text", breaker=NEVER_OPENS)
    label = f"127.0.0.1:{wedged.address[1]}"
    values = {f"key{index}": bytes([index]) * 500_000 for index in range(90)}
    lost = {key for key in values if cache.node_for(key) == label}
    assert len(lost) > 15, "it would all fit into the socket's buffers"
    for _ in range(2):  # with new connections, then with idle ones
        failed = cache.set_many(values)
        assert set(failed) == set(failed.failed) == lost
    assert in_use(cache) == 0


@both
def test_ten_thousand_keys_need_little_more_than_their_values(
    memcached: Start, client: MakeClient, protocol: str
) -> None:
    """Requests and replies are made and read chunk by chunk, never all at once."""
    servers = [memcached() for _ in range(3)]
    cache = client(*(s.address for s in servers), op_timeout=PATIENT_S, protocol=protocol)
    values = {f"key{index}": b"%05d" % index * 400 for index in range(10_000)}  # 20 MB
    assert cache.get_many(values) == {}  # routes and connections are there from now on
    allowed = 6_000_000

    def peak_of(call: Callable[[], Any]) -> tuple[Any, int]:
        """Give the result and how much more than it (and all before) was held at any time."""
        tracemalloc.start()
        try:
            result = call()
            held, peak = tracemalloc.get_traced_memory()
            return result, peak - held
        finally:
            tracemalloc.stop()

    failed, extra = peak_of(lambda: cache.set_many(values))
    assert (failed, failed.failed) == ([], {})
    assert extra < allowed
    found, extra = peak_of(lambda: cache.get_many(key for key in values))
    assert found == values
    assert extra < allowed
    deleted, extra = peak_of(lambda: cache.delete_many(list(values)))
    assert deleted == dict.fromkeys(values, True)
    assert extra < allowed
    pools = [node["pool"] for node in cache.snapshot().values()]
    assert [(pool["in_use"], pool["created"]) for pool in pools] == [(0, 1)] * 3


def test_a_node_that_does_not_answer_is_not_sent_everything(
    byte_server: Start, client: MakeClient
) -> None:
    """Of a large batch two chunks are under way, whatever the socket would take."""
    received: list[int] = []

    def listen(connection: socket.socket) -> None:
        while data := connection.recv(65_536):
            received.append(len(data))

    cache = client(byte_server(listen).address, op_timeout=1.0, protocol="text")
    values = {f"key{index}": b"x" * 1_000 for index in range(10_000)}
    assert set(cache.set_many(values).failed) == set(values)
    assert CHUNK_BYTES < sum(received) < 2 * (CHUNK_BYTES + CHUNK_KEYS * 50)


class Liar:
    """A node that says it speaks meta and answers `mg` with what it is told to."""

    def __init__(self, answer: Callable[[bytes, bytes], bytes]) -> None:
        self._answer = answer

    def __call__(self, connection: socket.socket) -> None:
        while request := connection.recv(65_536):
            if request == b"mn\r\n":
                connection.sendall(b"MN\r\n")
                continue
            last = request.split(b"\r\n")[-2].split(b" ")
            connection.sendall(self._answer(last[1], last[-1]))


LIES: dict[str, Callable[[bytes, bytes], bytes]] = {
    "another opaque": lambda key, opaque: b"EN k%b %b0\r\n" % (key, opaque),
    "no opaque": lambda key, _: b"EN k%b\r\n" % key,
    "a key nobody asked for": lambda key, opaque: (
        b"VA 1 kforeign\r\nx\r\nEN k%b %b\r\n" % (key, opaque)
    ),
    "a key twice": lambda key, opaque: (
        b"VA 1 ka\r\nx\r\nVA 1 ka\r\nx\r\nEN k%b %b\r\n" % (key, opaque)
    ),
    "a reply too many": lambda key, opaque: b"EN k%b %b\r\n" % (key, opaque) * 2,
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
def test_a_reply_of_another_request_is_never_given_out(
    byte_server: Start, client: MakeClient, lie: Callable[[bytes, bytes], bytes]
) -> None:
    """What does not prove that it belongs to this batch fails its keys and the connection."""
    cache = client(byte_server(Liar(lie)).address, op_timeout=5.0)
    found = cache.get_many(["a", "b"])
    assert found == {}
    assert {type(error) for error in found.failed.values()} == {ProtocolError}
    assert set(found.failed) == {"a", "b"}
    (node,) = cache.snapshot().values()
    assert node["pool"]["total"] == 0


def test_chunks_that_were_answered_are_kept_when_the_node_goes(
    byte_server: Start, client: MakeClient
) -> None:
    """A node that closes in the middle fails the keys it had not answered, and no others."""

    def close_early(connection: socket.socket) -> None:
        request = connection.recv(100_000)
        keys = request.split(b"\r\n")[0].split(b" ")[1:]
        items = b"".join(b"VALUE %b 0 1\r\nx\r\n" % key for key in keys)
        connection.sendall(items + b"END\r\nVALUE ")

    cache = client(byte_server(close_early).address, op_timeout=5.0, protocol="text")
    keys = [f"key{index}" for index in range(250)]
    found = cache.get_many(keys)
    assert found == dict.fromkeys(keys[:CHUNK_KEYS], b"x")
    assert list(found.failed) == keys[CHUNK_KEYS:]
    assert {type(error) for error in found.failed.values()} == {ConnectionClosed}


@pytest.mark.parametrize("protocol", ["auto", "text", "meta"])
def test_writes_are_told_apart_key_by_key(
    memcached: Start, client: MakeClient, protocol: str
) -> None:
    """Stored, refused, deleted and missing keys of one batch, over every protocol."""
    cache = client(memcached().address, protocol=protocol, op_timeout=PATIENT_S)
    failed = cache.set_many({"a": b"1", "big": b"x" * 2_000_000, b"c": b"3"}, 60)
    assert failed == ["big"]
    assert failed.failed["big"].happened == "server_reply"
    assert cache.get_many(["a", "big", b"c", "c"]) == {"a": b"1", b"c": b"3", "c": b"3"}
    assert cache.delete_many(["a", "gone", "c"]) == {"a": True, "gone": False, "c": True}
    (node,) = cache.snapshot().values()
    assert node["pool"]["created"] == 1


def test_meta_alone_where_there_is_none(byte_server: Start, client: MakeClient) -> None:
    """A node that was to speak meta and does not fails its keys, and is sent no values."""
    received: list[bytes] = []

    def classic(connection: socket.socket) -> None:
        while request := connection.recv(65_536):
            received.append(request)
            connection.sendall(b"ERROR\r\n")

    cache = client(byte_server(classic).address, protocol="meta", op_timeout=5.0)
    cases = [
        cache.get_many(["a", "b"]).failed,
        cache.set_many({"a": b"value", "b": b"value"}).failed,
        cache.delete_many(["a", "b"]).failed,
    ]
    for failed in cases:
        assert set(failed) == {"a", "b"}
        assert all(isinstance(error, MemcacheClientError) for error in failed.values())
    assert not any(b"value" in request for request in received)


@both
def test_kills_at_any_moment_leak_nothing(
    memcached: Start, relay: Start, client: MakeClient, protocol: str
) -> None:
    """Killed while it connects, waits in turn, sends or reads: places and permits come back."""
    servers = [relay(memcached().address, 0.002) for _ in range(3)]
    addresses = [server.address for server in servers]
    values = {f"key{index}": b"%d" % index * 2_000 for index in range(60)}
    for pool_size in (1, 20):  # with most waiting in turn, and with most connecting
        cache = client(*addresses, pool_size=pool_size, op_timeout=PATIENT_S, protocol=protocol)
        for index in range(120):
            batch = gevent.spawn(cache.get_many if index % 2 else cache.set_many, values)
            other = gevent.spawn(cache.get_many, values)
            gevent.sleep(0.000_5 * (index % 16))
            batch.kill(block=False)
            other.kill(block=index % 3 == 0)
        gevent.joinall([batch, other], timeout=PATIENT_S)
        for node in cache.snapshot().values():
            assert (node["pool"]["in_use"], node["pool"]["waiting"]) == (0, 0)
            assert node["breaker"] == "closed"
            assert node["failures"] == {}
        assert cache.set_many(values) == []
        assert cache.get_many(values) == values


def test_an_own_timeout_in_a_batch_is_the_callers(paths: list[Path], client: MakeClient) -> None:
    """A Timeout of the caller ends a batch at once, comes out unchanged, and blames no node."""
    cache = client(*(path.address for path in paths), op_timeout=PATIENT_S)
    values = {key: key.encode() for key in KEYS}
    assert cache.set_many(values) == []
    for path in paths:
        path.delay()
    for call in (lambda: cache.get_many(KEYS), lambda: cache.set_many(values)):
        mine = gevent.Timeout(DELAY_MS / 4_000)
        with pytest.raises(gevent.Timeout) as raised, mine:
            call()
        assert raised.value is mine
    assert cache.get_many(KEYS) == values
    for node in cache.snapshot().values():
        assert (node["pool"]["in_use"], node["breaker"], node["failures"]) == (0, "closed", {})


def test_a_usual_batch_starts_no_greenlet(
    memcached: Start, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an idle connection to each node, everything happens in the caller."""
    cache = client(*(memcached().address for _ in range(3)), op_timeout=PATIENT_S)
    values = {f"key{index}": b"%d" % index for index in range(500)}
    assert cache.set_many(values) == []

    def refuse(_: object) -> None:
        raise AssertionError("something was done beside the caller")

    monkeypatch.setattr(batch, "Aside", refuse)
    assert cache.get_many(values) == values
    assert cache.delete_many(values) == dict.fromkeys(values, True)
    cold = client(*map(parse, cache.snapshot()), op_timeout=PATIENT_S)
    with pytest.raises(AssertionError):  # so this test is not blind
        cold.get_many(values)
    assert in_use(cold) == 0


def test_a_decoder_that_fails_is_the_callers_error(memcached: Start, client: MakeClient) -> None:
    """A serde sees each value with its key and flags; what it raises costs no connection."""

    class Doubling:
        def serialize(self, _: object, value: int) -> tuple[bytes, int]:
            return b"%d" % value, 7

        def deserialize(self, _: object, data: bytes, flags: int) -> int:
            assert flags == 7
            return int(data) * 2

    cache = client(memcached().address, serde=Doubling(), op_timeout=PATIENT_S)
    assert cache.set_many({"a": 1, "b": 2}) == []
    assert cache.get_many(["a", "b", "c"]) == {"a": 2, "b": 4}
    ((value, token),) = cache.gets_many(["a"]).values()
    assert (value, cache.cas("a", 5, token)) == (2, True)
    plain = client(parse(cache.node_for("a")))
    assert plain.set("a", b"no number")
    with pytest.raises(MemcacheClientError) as raised:
        cache.get_many(["a", "b"])
    assert not isinstance(raised.value, ClientError)
    assert in_use(cache) == 0


THREADS = """
import sys, threading
from client import MemcacheClient, ClientSettings
assert "gevent" not in sys.modules
nodes = [("127.0.0.1", int(port)) for port in sys.argv[1:]]
client = MemcacheClient(nodes, ClientSettings(pool_size=2, op_timeout=30))
wrong = []
def work(me):
    values = {f"{me}:{i}": b"%d" % i * (i * 50) for i in range(300)}
    for _ in range(3):
        if client.set_many(values): wrong.append("set")
        if client.get_many(values) != values: wrong.append("get")
    if client.delete_many(values) != dict.fromkeys(values, True): wrong.append("delete")
threads = [threading.Thread(target=work, args=(me,)) for me in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
assert not wrong, wrong
for node in client.snapshot().values():
    pool = node["pool"]
    assert pool["in_use"] == pool["waiting"] == 0 and pool["total"] <= 2, pool
    assert node["failures"] == {}, node
client.close()
"""


def test_plain_threads(memcached: Start) -> None:
    """Without gevent, threads share a small pool: large batches, nothing lost, nothing mixed up."""
    ports = [str(memcached().port) for _ in range(3)]
    subprocess.run([sys.executable, "-W", "error", "-c", THREADS, *ports], check=True, timeout=120)


def test_a_silent_node_makes_the_others_look_slow_to_nobody(
    paths: list[Path], client: MakeClient
) -> None:
    """A batch ends with its slowest node; each node's own time is what its breaker counts."""
    settings = BreakerSettings(
        slow_call_s=0.3, minimum_calls=4, consecutive_failures=100_000, failure_rate=1.0
    )
    cache = client(*(path.address for path in paths), op_timeout=0.6, breaker=settings)
    callers = 8
    cache.warm_up(callers)  # a connection for each: a new one is waited for beside the others
    silent, *others = (f"{host}:{port}" for host, port in (path.address for path in paths))
    paths[0].swallow()
    batches = [gevent.spawn(cache.get_many, KEYS) for _ in range(callers)]
    assert all(batch.get(timeout=PATIENT_S).failed for batch in batches)
    nodes = cache.snapshot()
    assert nodes[silent]["failures"]
    assert [nodes[label]["opened"] for label in others] == [0, 0]
