"""The client against peers that drip, hang, vanish and come back, and callers that are killed."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import gevent
import pytest

from client import (
    BreakerOpen,
    BreakerSettings,
    ClientSettings,
    ConnectionClosed,
    ConnectRefused,
    MemcacheClient,
    MemcacheClientError,
    OperationTimeout,
    PoolExhausted,
    ProtocolError,
)
from cluster.kit import ClusterKit

MakeClient = Callable[..., MemcacheClient]
Start = Callable[..., Any]

NEVER_OPENS = BreakerSettings(consecutive_failures=100_000, minimum_calls=100_000)


def only(cache: MemcacheClient) -> dict[str, Any]:
    (node,) = cache.snapshot().values()
    return node


def took(call: Callable[[], object]) -> tuple[float, BaseException | None]:
    started = time.monotonic()
    try:
        call()
    except MemcacheClientError as error:
        return time.monotonic() - started, error
    return time.monotonic() - started, None


REPLIES = {
    "a value": b"VALUE k 0 300\r\n" + b"x" * 300 + b"\r\nEND\r\n",
    "a line": b"SERVER_ERROR " + b"x" * 300,
}


@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES.keys())
@pytest.mark.parametrize("batch", [False, True], ids=["get", "get_many"])
def test_dripping_bytes_do_not_stretch_the_deadline(
    byte_server: Start, client: MakeClient, reply: bytes, batch: bool
) -> None:
    """A byte every 10 ms resets nothing: the call ends at op_timeout."""

    def drip(connection: socket.socket) -> None:
        connection.recv(100)
        for index in range(len(reply)):
            connection.sendall(reply[index : index + 1])
            time.sleep(0.01)

    cache = client(byte_server(drip).address, op_timeout=0.3)
    if batch:
        started = time.monotonic()
        error: Any = cache.get_many(["k"]).failed["k"]
        elapsed = time.monotonic() - started
    else:
        elapsed, error = took(lambda: cache.get("k"))
    assert isinstance(error, OperationTimeout)
    assert 0.25 < elapsed < 1.5
    assert only(cache)["pool"]["total"] == 0


def test_dripping_bytes_do_not_stretch_the_deadline_of_a_busy_hub(client: MakeClient) -> None:
    """Where a little more has come by each turn of the hub, a late batch takes what is there.

    It once waited a turn for each of up to 64 more pieces: 4 s at turns of 60 ms instead of 0.3.
    """

    def hog() -> None:
        while True:
            until = time.perf_counter() + 0.06
            while time.perf_counter() < until:
                pass
            gevent.sleep(0.0001)

    keys = [f"k{number}" for number in range(100)]
    with ClusterKit(1) as kit:
        cache = client(*kit.addresses, op_timeout=0.3, breaker=NEVER_OPENS)
        for key in keys:  # one by one, over the one connection that is given up below
            assert cache.set(key, b"x" * 2000)
        kit.dribble("node1", pause=0.005)
        hogging = gevent.spawn(hog)
        try:
            took(lambda: cache.get("k1"))  # gives the connection up: the batch needs a new one
            elapsed, _ = took(lambda: cache.get_many(keys))
        finally:
            hogging.kill()
    assert elapsed < 2.0, f"{elapsed:.1f} s"


def test_a_request_nobody_reads_does_not_stretch_the_deadline(
    byte_server: Start, client: MakeClient
) -> None:
    """A large value to a server that reads nothing ends at op_timeout too."""
    done = threading.Event()
    cache = client(byte_server(lambda _: done.wait(5) and None).address, op_timeout=0.3)
    elapsed, error = took(lambda: cache.set("k", b"x" * 30_000_000))
    done.set()
    assert isinstance(error, OperationTimeout)
    assert elapsed < 1.5


def test_black_hole_opens_the_breaker_and_then_fails_fast(
    byte_server: Start, client: MakeClient
) -> None:
    """20 callers on a node that never answers: it opens after op_timeout, then refuses at once."""

    def swallow(connection: socket.socket) -> None:
        while connection.recv(100):
            pass

    probes = 2
    cache = client(
        byte_server(swallow).address,
        op_timeout=0.3,
        breaker=BreakerSettings(open_s=0.2, open_max_s=0.3, half_open_probes=probes),
    )
    slow: list[float] = []
    kinds: Counter[str] = Counter()
    until = time.monotonic() + 2.0

    def user() -> None:
        while time.monotonic() < until:
            elapsed, error = took(lambda: cache.get("k"))
            kinds[type(error).__name__] += 1
            if elapsed > 0.1:
                slow.append(elapsed)
            time.sleep(0.005)

    gevent.joinall([gevent.spawn(user) for _ in range(20)], raise_error=True)
    node = only(cache)
    assert set(kinds) == {"OperationTimeout", "BreakerOpen"}
    # Besides the first call of each and the probes: the four who may call again before the fifth
    # failure opens it.
    assert kinds["OperationTimeout"] <= 20 + node["probes"] + 4
    assert len(slow) == kinds["OperationTimeout"], "a refused call waited"
    assert node["probes"] <= probes * node["opened"]
    assert node["pool"]["in_use"] == 0
    assert node["failures"]["breaker_open"] == kinds["BreakerOpen"]


def test_probes_are_never_more_than_allowed_at_once(byte_server: Start, client: MakeClient) -> None:
    """Seen from the server: after the breaker has opened, at most N requests are in flight."""
    now: Counter[str] = Counter()

    def slow_then_close(connection: socket.socket) -> None:
        while connection.recv(100):
            now["in flight"] += 1
            if now["opened"]:
                now["most"] = max(now["most"], now["in flight"])
            time.sleep(0.05)
            now["in flight"] -= 1
            return  # closes: a failure of the node

    cache = client(
        byte_server(slow_then_close).address,
        breaker=BreakerSettings(open_s=0.1, open_max_s=0.1, half_open_probes=2),
    )

    def user() -> None:
        for _ in range(60):
            error = took(lambda: cache.get("k"))[1]
            assert isinstance(error, BreakerOpen | ConnectionClosed)
            if isinstance(error, BreakerOpen) and not now["in flight"]:
                now["opened"] = 1
            time.sleep(0.01)

    gevent.joinall([gevent.spawn(user) for _ in range(20)], raise_error=True)
    assert only(cache)["probes"] > 4
    assert 1 <= now["most"] <= 2


def test_a_healed_node_is_back_within_two_seconds(memcached: Start, client: MakeClient) -> None:
    """With the default settings a node that listens again serves everybody soon after."""
    server = memcached()
    cache = client(server.address)
    cache.set("k", b"v")
    server.stop()
    kinds = {type(took(lambda: cache.get("k"))[1]) for _ in range(30)}
    assert kinds <= {ConnectRefused, ConnectionClosed, BreakerOpen}
    assert only(cache)["breaker"] == "open"
    time.sleep(2.0)  # some rounds of failed probes, so the open time has grown
    took(lambda: cache.get("k"))
    memcached(port=server.port)
    healed = time.monotonic()
    while only(cache)["breaker"] != "closed":
        took(lambda: cache.get("k"))
        assert time.monotonic() < healed + 2.5
        time.sleep(0.01)
    assert cache.set("k", b"v") is True


def test_restart_leaves_no_stale_connections(memcached: Start, client: MakeClient) -> None:
    """Pooled connections that the server closed while idle are dropped before use, silently."""
    server = memcached()
    cache = client(server.address)
    gevent.joinall([gevent.spawn(cache.set, f"k{i}", b"v") for i in range(20)], raise_error=True)
    idle = only(cache)["pool"]["idle"]
    assert idle > 1
    server.stop()
    memcached(port=server.port)
    for index in range(100):
        assert cache.get(f"k{index}") is None
    node = only(cache)
    assert node["failures"] == {}
    assert node["pool"]["closed"] == {"stale": idle}
    assert node["pool"]["total"] == 1


def test_aborts_in_mid_read_leak_nothing_and_mix_up_nothing(
    memcached: Start, relay: Start, client: MakeClient
) -> None:
    """200 callers cut off with the reply on its way take no slot along and mix up no reply."""
    cache = client(relay(memcached().address, 0.002).address, pool_size=4, op_timeout=5.0)
    keys = [f"key{index}" for index in range(20)]
    for key in keys:
        cache.set(key, key)
    raised: Counter[str] = Counter()

    def abort(key: str) -> None:
        mine = gevent.Timeout(0.001)
        mine.start()
        try:
            cache.get(key)
        except gevent.Timeout as caught:
            raised["mine" if caught is mine else "not mine"] += 1
        finally:
            mine.close()

    for index in range(200):
        abort(keys[index % len(keys)])
    assert raised["mine"] > 150
    assert raised["not mine"] == 0
    pool = only(cache)["pool"]
    assert pool["in_use"] == pool["waiting"] == 0
    assert pool["closed"].get("aborted", 0) > 0
    for index in range(500):
        key = keys[index % len(keys)]
        assert cache.get(key) == key.encode()
    assert only(cache)["breaker"] == "closed"
    assert only(cache)["failures"] == {}


def test_kills_in_a_crowd_leak_nothing(memcached: Start, relay: Start, client: MakeClient) -> None:
    """Killed anywhere, connecting, waiting, reading or in a batch, a caller takes nothing along."""
    servers = [relay(memcached().address, 0.002) for _ in range(2)]
    cache = client(*(s.address for s in servers), pool_size=3, op_timeout=5.0)
    keys = [f"key{index}" for index in range(40)]
    cache.set_many({key: key for key in keys})

    def work(me: int) -> None:
        for index in range(1_000):
            key = keys[(me + index) % len(keys)]
            if index % 3 == 0:
                found = cache.get_many(keys)
                assert found == {k: k.encode() for k in keys}
            else:
                assert cache.get(key) == key.encode()

    crowd = [gevent.spawn(work, me) for me in range(24)]
    for index, one in enumerate(crowd):
        gevent.sleep(0.003 * (index % 5))
        one.kill(block=False)
    gevent.joinall(crowd, timeout=10)
    assert all(isinstance(one.value, gevent.GreenletExit) for one in crowd), "a wrong value"
    for node in cache.snapshot().values():
        assert node["pool"]["in_use"] == node["pool"]["waiting"] == 0
        assert node["pool"]["total"] <= 3
        assert node["breaker"] == "closed"
    assert cache.get_many(keys) == {key: key.encode() for key in keys}


def test_pool_waits_in_turn_and_a_full_pool_is_not_the_nodes_fault(
    memcached: Start, relay: Start, client: MakeClient
) -> None:
    """Callers wait for a connection first come, first served; too long a wait says so."""
    server = relay(memcached().address, 0.02)
    cache = client(server.address, pool_size=1, op_timeout=5.0, breaker=NEVER_OPENS)
    order: list[int] = []

    def call(me: int) -> None:
        cache.get("k")
        order.append(me)

    gevent.joinall([gevent.spawn(call, me) for me in range(10)], raise_error=True)
    assert order == list(range(10))

    server.delay_s = 0.25
    hurried = client(server.address, pool_size=1, op_timeout=0.4)
    errors = [
        one.get()
        for one in [gevent.spawn(lambda: took(lambda: hurried.get("k"))[1]) for _ in range(10)]
    ]
    assert Counter(type(error) for error in errors)[PoolExhausted] >= 8
    node = only(hurried)
    assert (node["breaker"], node["pool"]["waiting"], node["pool"]["in_use"]) == ("closed", 0, 0)


@pytest.mark.parametrize("dead", ["refused", "black hole"])
def test_a_batch_with_a_dead_node_has_the_others_keys(
    memcached: Start,
    byte_server: Start,
    client: MakeClient,
    free_port: Callable[[], int],
    dead: str,
) -> None:
    """The dead node's keys are in `.failed` with its error; the others' are answered."""
    if dead == "refused":
        address = ("127.0.0.1", free_port())
    else:
        address = byte_server(lambda _: time.sleep(5)).address
    good = [memcached().address for _ in range(2)]
    cache = client(address, *good, op_timeout=0.3)
    label = f"127.0.0.1:{address[1]}"
    keys = [f"key{index}" for index in range(300)]
    lost = {key for key in keys if cache.node_for(key) == label}
    values = {key: key.encode() for key in keys}

    failed = cache.set_many(values)
    assert set(failed) == set(failed.failed) == lost
    started = time.monotonic()
    found = cache.get_many(keys)
    assert time.monotonic() - started < 1.0
    assert set(found.failed) == lost
    assert found == {key: value for key, value in values.items() if key not in lost}
    assert {error.node for error in found.failed.values()} == {label}
    assert set(cache.delete_many(keys).failed) == lost
    for name, node in cache.snapshot().items():
        assert node["pool"]["in_use"] == 0
        assert node["opened"] == 0 or name == label


def test_a_dead_node_costs_a_large_batch_nothing_of_the_others(
    memcached: Start, byte_server: Start, client: MakeClient
) -> None:
    """Replies of many chunks and megabytes are read while the dead node is waited for."""
    hole = byte_server(lambda _: time.sleep(5)).address
    cache = client(hole, *(memcached().address for _ in range(2)), op_timeout=1.5)
    label = f"127.0.0.1:{hole[1]}"
    values = {f"key{index}": b"%d" % index * 2_000 for index in range(1_500)}
    healthy = {key: value for key, value in values.items() if cache.node_for(key) != label}
    assert cache.set_many(healthy) == []
    for _ in range(2):
        found = cache.get_many(values)
        assert found == healthy
        assert set(found.failed) == set(values) - set(healthy)
    for name, node in cache.snapshot().items():
        assert node["pool"]["in_use"] == 0
        assert name == label or node["failures"] == {}


def test_a_timeout_after_a_long_wait_for_the_pool_blames_nobody(
    memcached: Start, relay: Start, client: MakeClient
) -> None:
    """Who got a connection late has too little time left to call the node dead."""
    cache = client(relay(memcached().address, 0.15).address, pool_size=1, op_timeout=0.4)
    gevent.joinall([gevent.spawn(lambda: took(lambda: cache.get("k"))) for _ in range(40)])
    node = only(cache)
    assert node["failures"]["pool_timeout"] > 10
    assert (node["breaker"], node["opened"], node["consecutive_failures"]) == ("closed", 0, 0)


def test_batches_and_small_pools_do_not_lock_up(memcached: Start, client: MakeClient) -> None:
    """Many batches over the same nodes with a connection each all come through."""
    cache = client(*(memcached().address for _ in range(3)), pool_size=1, op_timeout=10.0)
    keys = [f"key{index}" for index in range(60)]
    cache.set_many({key: key for key in keys})

    def read() -> None:
        for _ in range(20):
            found = cache.get_many(keys)
            assert len(found) == len(keys), found.failed

    started = time.monotonic()
    gevent.joinall([gevent.spawn(read) for _ in range(12)], raise_error=True)
    assert time.monotonic() - started < 9.0, "a batch waited for its deadline"


def test_a_foreign_reply_is_caught_and_never_given_out(
    byte_server: Start, client: MakeClient
) -> None:
    """A value of another key, or a reply too many, ends the connection, not in a wrong value."""

    def confuse(connection: socket.socket) -> None:
        connection.recv(100)
        connection.sendall(b"VALUE other 0 1\r\nx\r\nEND\r\n")
        connection.recv(100)

    cache = client(byte_server(confuse).address)
    with pytest.raises(ProtocolError):
        cache.get("k")
    assert only(cache)["pool"] == {
        **only(cache)["pool"],
        "total": 0,
        "closed": {"protocol_error": 1},
    }


def test_replies_that_arrived_in_time_survive_a_stall(memcached: Start, client: MakeClient) -> None:
    """When this process stalls past the deadline, a reply that is already here still counts."""
    cache = client(memcached().address, op_timeout=0.2)
    gevent.joinall([gevent.spawn(cache.set, "k", b"v") for _ in range(8)], raise_error=True)
    results = [gevent.spawn(cache.get, "k") for _ in range(8)]
    gevent.sleep(0)  # all have sent and wait
    stalled_until = time.monotonic() + 0.4
    while time.monotonic() < stalled_until:
        pass  # the whole process is busy elsewhere
    assert [one.get() for one in results] == [b"v"] * 8
    assert only(cache)["breaker"] == "closed"


def test_a_client_with_a_clock_of_its_own_keeps_its_deadlines(
    byte_server: Start, client: MakeClient, memcached: Start
) -> None:
    """Clients on one hub may go by clocks that are far apart: each wait ends by its own."""

    def be_silent(connection: socket.socket) -> None:
        while connection.recv(4096):
            pass

    assert client(memcached().address).set("k", b"v")  # waits by the usual clock
    ahead = MemcacheClient(
        [byte_server(be_silent).address],
        ClientSettings(op_timeout=0.2, protocol="text"),
        clock=lambda: time.monotonic() + 1e9,
    )
    with ahead, gevent.Timeout(10):
        seconds, error = took(lambda: ahead.get("k"))
    assert isinstance(error, OperationTimeout)
    assert seconds < 2.0
