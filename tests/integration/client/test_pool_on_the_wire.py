"""The pool against real servers: restarts, kills, moves, and care that ends with its client."""

from __future__ import annotations

import gc
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import gevent
import pytest

from client import BreakerSettings, ClientClosed, ClientSettings, MemcacheClient
from client import maintenance as worker_of
from client.errors import MemcacheClientError

MakeClient = Callable[..., MemcacheClient]
Start = Callable[..., Any]

NEVER_OPENS = BreakerSettings(consecutive_failures=100_000, minimum_calls=100_000)
PATIENT_S = 10.0  # for operations that nothing disturbs: a busy machine is not the pool's fault


def pool_of(cache: MemcacheClient) -> dict[str, Any]:
    (node,) = cache.snapshot().values()
    pool: dict[str, Any] = node["pool"]
    assert pool["total"] == pool["idle"] + pool["in_use"]
    return pool


def connections_of(port: int) -> int:
    """Ask memcached how many connections it has, not counting the one that asks."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENT_S) as asking:
        asking.sendall(b"stats\r\n")
        answer = b""
        while not answer.endswith(b"END\r\n"):
            answer += asking.recv(65_536)
    (line,) = (row for row in answer.split(b"\r\n") if row.startswith(b"STAT curr_connections "))
    return int(line.split()[2]) - 1


def workers() -> int:
    """Count the greenlets that care for some client's connections."""
    # By type alone: an object may say anything when it is asked for its class.
    found = [thing for thing in gc.get_objects() if issubclass(type(thing), gevent.Greenlet)]
    return sum(not one.dead and one._run is worker_of._work for one in found)


def fill(cache: MemcacheClient, count: int) -> None:
    """Make `count` connections idle."""
    assert [told.error for told in cache.warm_up(count).values()] == [None]
    assert pool_of(cache)["idle"] == count


@pytest.mark.parametrize("has_care", [False, True], ids=["checkout alone", "background care"])
def test_a_restart_costs_no_call_an_error(
    memcached: Start, client: MakeClient, bounded: Start, has_care: bool
) -> None:
    """Connections that died while idle are seen before a request is sent on one of them."""
    server = memcached()
    alone = connections_of(server.port)  # memcached counts its listener too
    cache = client(
        server.address,
        op_timeout=PATIENT_S,
        connect_timeout=PATIENT_S,
        maintenance_s=0.05 if has_care else 3600.0,
        breaker=NEVER_OPENS,
    )
    fill(cache, 5)
    server.stop()
    server = memcached(port=server.port)
    if has_care:
        bounded(lambda: pool_of(cache)["total"] == 0, what="the care closing what is dead")
    assert [cache.get("k") for _ in range(6)] == [None] * 6
    assert pool_of(cache)["idle"] == 1
    if has_care:
        assert pool_of(cache)["closed"] == {"stale": 5}
    bounded(lambda: connections_of(server.port) == alone + 1, what="one connection")


def test_the_minimum_is_kept_through_a_restart(
    memcached: Start, client: MakeClient, bounded: Start
) -> None:
    """Nobody calls; yet after a restart the minimum stands again, and the server says so."""
    server = memcached()
    alone = connections_of(server.port)
    cache = client(
        server.address, pool_minimum=3, maintenance_s=0.05, connect_timeout=PATIENT_S,
        op_timeout=PATIENT_S, breaker=NEVER_OPENS,
    )  # fmt: skip
    fill(cache, 3)
    assert connections_of(server.port) == alone + 3
    server.stop()
    bounded(lambda: pool_of(cache)["total"] == 0, what="the dead being closed")
    server = memcached(port=server.port)
    bounded(lambda: connections_of(server.port) == alone + 3, what="the minimum")
    bounded(lambda: pool_of(cache)["idle"] == 3, what="the minimum in the books")
    assert pool_of(cache)["in_use"] == 0


def test_random_kills_lose_no_connection(
    memcached: Start, relay: Start, client: MakeClient, bounded: Start
) -> None:
    """200 greenlets on 5 connections, killed at any point: after that the books are the server's.

    Replies take 2 ms, so kills meet callers that wait for the pool, connect, and read.
    """
    server = memcached()
    alone = connections_of(server.port)
    slow = relay(server.address, 0.002)
    cache = client(
        slow.address,
        pool_size=5, op_timeout=PATIENT_S, connect_timeout=PATIENT_S,
        maintenance_s=0.02, idle_check_s=0.01, pool_minimum=2, breaker=NEVER_OPENS,
    )  # fmt: skip
    chance = random.Random(11)
    wrong: list[object] = []
    ended = {"whole": 0, "killed": 0}

    def user(me: int) -> None:
        try:
            for turn in range(10):
                value = b"%d:%d" % (me, turn)
                cache.set(f"k{me}", value)
                if cache.get(f"k{me}") != value:
                    wrong.append((me, turn))
        except MemcacheClientError as error:
            wrong.append(error)
        else:
            ended["whole"] += 1

    users: list[gevent.Greenlet] = []
    for round_ in range(3):
        users = [gevent.spawn(user, 200 * round_ + index) for index in range(200)]
        for victim in chance.sample(users, 100):
            gevent.sleep(chance.random() * 0.006)
            if not victim.dead:
                victim.kill(block=False)
                ended["killed"] += 1
        gevent.joinall(users, timeout=60)
        assert all(one.dead for one in users)
    assert not wrong
    assert ended["killed"] > 50
    assert ended["whole"] + ended["killed"] >= 600
    pool = pool_of(cache)
    assert (pool["in_use"], pool["waiting"]) == (0, 0)
    assert pool["closed"]["aborted"] > 0, "no kill met a call under way: the test shows nothing"
    bounded(
        lambda: connections_of(server.port) == alone + pool_of(cache)["idle"],
        what="the server counting as many connections as are idle",
    )
    assert (
        pool_of(cache)["created"]
        == sum(pool_of(cache)["closed"].values()) + (pool_of(cache)["total"])
    )
    cache.close()
    bounded(lambda: connections_of(server.port) == alone, what="all connections closed")


def test_a_moved_name_takes_idle_connections_along(
    memcached: Start, client: MakeClient, bounded: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Idle connections to an address the name has left are closed, with nobody calling."""
    server = memcached("-l", "127.0.0.2")  # and 127.0.0.1
    now_at = ["127.0.0.1"]
    real = socket.getaddrinfo

    def moved(host: Any, *rest: Any, **more: Any) -> Any:
        return real(now_at[0] if host == "cache.test" else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", moved)
    cache = client(
        ("cache.test", server.port), pool_minimum=2, maintenance_s=0.05, dns_keep_s=0.05,
        op_timeout=PATIENT_S, connect_timeout=PATIENT_S,
    )  # fmt: skip
    fill(cache, 2)
    (node,) = cache._nodes.values()
    assert {c.address[1][0] for c in node.pool.idle} == {"127.0.0.1"}
    now_at[0] = "127.0.0.2"
    bounded(
        lambda: [c.address[1][0] for c in list(node.pool.idle)] == ["127.0.0.2"] * 2,
        what="the minimum at the new address",
    )
    assert pool_of(cache)["closed"] == {"moved": 2}
    assert cache.set("k", b"v") is True


def test_a_hanging_node_is_found_by_health_checks_alone(
    memcached: Start, client: MakeClient, bounded: Start
) -> None:
    """A stopped process keeps its connections open: only asking tells, and nobody has to call."""
    server = memcached()
    breaker = BreakerSettings(consecutive_failures=2, open_s=60.0, open_max_s=60.0)
    cache = client(
        server.address, maintenance_s=0.02, idle_check_s=0.02, op_timeout=0.5,
        connect_timeout=PATIENT_S, breaker=breaker,
    )  # fmt: skip
    fill(cache, 4)
    os.kill(server.pid, signal.SIGSTOP)
    (node,) = cache._nodes.values()
    bounded(lambda: node.breaker.status == "open", what="the breaker opening")
    bounded(lambda: pool_of(cache)["total"] == 0, what="the doomed connections closed")
    assert pool_of(cache)["closed"] == {"timeout": 2, "breaker_open": 2}
    assert node.requests == 0


def test_drain_lets_calls_end_and_admits_no_more(
    memcached: Start, relay: Start, client: MakeClient, bounded: Start
) -> None:
    """Those under way and those in the queue get their answers; whoever comes later is refused."""
    server = memcached()
    alone = connections_of(server.port)
    slow = relay(server.address, 0.0)
    cache = client(slow.address, pool_size=2, op_timeout=PATIENT_S, connect_timeout=PATIENT_S)
    cache.set("k", b"v")
    slow.delay_s = 0.1
    calls = [gevent.spawn(cache.get, "k") for _ in range(6)]
    bounded(lambda: pool_of(cache)["waiting"] == 4, what="a queue")
    draining = gevent.spawn(cache.drain, PATIENT_S)
    gevent.sleep(0)
    with pytest.raises(ClientClosed):
        cache.get("k")
    gevent.joinall([draining, *calls], timeout=30)
    assert [call.value for call in calls] == [b"v"] * 6
    assert list(draining.value.values()) == [0]
    assert pool_of(cache)["total"] == 0
    bounded(lambda: connections_of(server.port) == alone, what="all connections closed")


def test_drain_ends_though_a_call_does_not(byte_server: Start, client: MakeClient) -> None:
    """Its wait is bounded; what is left is told, and closes with its call."""
    gate = threading.Event()

    def swallow(connection: socket.socket) -> None:
        while connection.recv(100) and not gate.is_set():
            pass

    cache = client(
        byte_server(swallow).address, op_timeout=2.0, connect_timeout=2.0, protocol="text"
    )
    call = gevent.spawn(cache.get, "k")
    gevent.sleep(0.05)
    started = time.monotonic()
    (left,) = cache.drain(0.1).values()
    assert left == 1
    assert time.monotonic() - started < 1.8, "it waited for the call"
    gevent.joinall([call], timeout=10)
    assert isinstance(call.exception, MemcacheClientError)
    assert pool_of(cache)["total"] == 0
    gate.set()


def test_care_starts_with_the_first_connection_and_ends_with_close(
    memcached: Start, client: MakeClient
) -> None:
    """One greenlet per client that is used, none before and none when `close` has returned."""
    before = workers()
    server = memcached()
    cache = client(server.address, op_timeout=PATIENT_S, connect_timeout=PATIENT_S)
    gevent.sleep(0.01)
    assert workers() == before
    for _ in range(3):
        cache.get("k")
    gevent.sleep(0.01)
    assert workers() == before + 1
    cache.close()
    assert workers() == before
    with pytest.raises(ClientClosed):
        cache.get("k")
    gevent.sleep(0.01)
    assert workers() == before, "a call after close started it anew"


def test_a_client_dropped_without_close_is_collected(memcached: Start, bounded: Start) -> None:
    """Its worker keeps neither the client nor a node alive, and ends when it next looks."""
    before = workers()
    server = memcached()
    settings = ClientSettings(
        op_timeout=PATIENT_S, connect_timeout=PATIENT_S, maintenance_s=0.05, pool_minimum=1
    )
    cache = MemcacheClient([server.address], settings)
    cache.get("k")
    bounded(lambda: workers() == before + 1, what="the worker")
    (node,) = cache._nodes.values()
    node.pool.evict("test")  # an open socket that is collected warns, as it should
    node.pool.minimum = 0
    gone = weakref.ref(cache)
    del cache, node
    bounded(lambda: gc.collect() * 0 == 0 and gone() is None, what="the client collected")
    bounded(lambda: workers() == before, what="the worker's end")


THREADS = """
import _thread, sys, time
from client import MemcacheClient, ClientSettings
assert "gevent" not in sys.modules
settings = ClientSettings(op_timeout=10, connect_timeout=10, pool_minimum=3, maintenance_s=0.02)
client = MemcacheClient([("127.0.0.1", int(sys.argv[1]))], settings)
def idle(): return pool()["idle"] - pool()["in_care"]
def pool(): return list(client.snapshot().values())[0]["pool"]
def until(check):
    end = time.monotonic() + 20
    while not check():
        assert time.monotonic() < end, pool()
        time.sleep(0.01)
assert _thread._count() == 0
client.get("k")
until(lambda: idle() == 3)
assert _thread._count() == 1, "one thread cares for the client"
node, = client._nodes.values()
node.pool.evict("test")
until(lambda: idle() == 3 and pool()["created"] >= 6)
assert list(client.drain(5).values()) == [0]
assert pool()["total"] == 0
until(lambda: _thread._count() == 0)
"""


def test_care_under_plain_threads(memcached: Start) -> None:
    """Without gevent it is a thread: it keeps the minimum and ends with the client."""
    command = [sys.executable, "-W", "error", "-c", THREADS, str(memcached().port)]
    subprocess.run(command, check=True, timeout=60)


def test_unused_and_unclosed_clients_hold_nothing_up(memcached: Start) -> None:
    """A program that forgets `close` still ends."""
    forgetful = "\n".join(THREADS.splitlines()[:6]) + "\nclient.get('k')\n"
    command = [sys.executable, "-c", forgetful, str(memcached().port)]
    subprocess.run(command, check=True, timeout=60)
