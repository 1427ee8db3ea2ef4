"""Failover on real memcached: a node is killed and comes back, nodes come and go under load."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

import gevent
import pytest
from pymemcache import serde

from client import (
    BreakerSettings,
    ConnectRefused,
    MemcacheClient,
    MemcacheClientError,
    OperationTimeout,
)
from client.failover import is_refusal
from tests.conftest import Server, ask, wait_until

MakeClient = Callable[..., MemcacheClient]
Start = Callable[..., Any]

PATIENT_S = 5.0  # of an operation: a busy machine is no failure
BACK_WITHIN_S = 20.0  # the breaker is open for 1.5 s at most; the rest is a busy machine
KEYS = [f"key{index}" for index in range(60)]


def kept_by(server: Server, key: str) -> int | None:
    """Give the seconds a key has left on a server, -1 for ever, None when it is not there."""
    answer = ask(server.port, b"mg %b t\r\n" % key.encode(), b"\r\n")
    return int(answer.split(b" t")[1]) if answer.startswith(b"HD ") else None


def count(server: Server, name: bytes) -> int:
    """Give one of a server's own statistics."""
    stats = ask(server.port, b"stats\r\n", b"END\r\n")
    return int(stats.split(b"STAT " + name + b" ")[1].split(b"\r\n")[0])


def stop(server: Server) -> None:
    """Kill a server and let this process see that its connections are gone."""
    server.stop()
    gevent.sleep(0.05)


def all_back(cache: MemcacheClient, server: Server, keys: list[str]) -> bool:
    """Write every key and say whether all of them are on the server itself."""
    return all(cache.set(key, b"back") for key in keys) and all(
        kept_by(server, key) == -1 for key in keys
    )


@pytest.mark.parametrize("protocol", ["text", "meta", "auto"])
@pytest.mark.parametrize("ring", ["ketama", "rendezvous"])
def test_rehash_while_a_node_is_dead_and_home_again(
    memcached: Start, client: MakeClient, protocol: str, ring: str
) -> None:
    """Its keys live on the next nodes of the ring; once it is back, all are its own again."""
    servers = {server.label: server for server in (memcached() for _ in range(3))}
    cache = client(
        *(server.address for server in servers.values()),
        ring=ring, failover="rehash", protocol=protocol, op_timeout=PATIENT_S,
    )  # fmt: skip
    homes = {key: cache.node_for(key) for key in KEYS}
    assert all(cache.set(key, b"first") for key in KEYS)
    dead = homes[KEYS[0]]
    lost = [key for key in KEYS if homes[key] == dead]
    healthy = [key for key in KEYS if homes[key] != dead]
    stop(servers[dead])

    for key in lost:
        assert cache.get(key) is None
        assert cache.set(key, b"second") is True
        assert cache.get(key) == b"second"
        assert cache.gat(key, 600) == b"second"
        assert cache.touch(key, 0) is True
        holders = [label for label in servers if label != dead and kept_by(servers[label], key)]
        assert holders == [cache._router.fallbacks(key.encode(), dead)[0].label]
    assert all(cache.get(key) == b"first" for key in healthy)
    assert {key: cache.node_for(key) for key in KEYS} == homes
    assert cache.get_many(KEYS) == dict.fromkeys(lost, b"second") | dict.fromkeys(healthy, b"first")
    assert cache.set_many(dict.fromkeys(KEYS, b"third")) == []
    assert cache.get(lost[0]) == b"third"
    assert cache.snapshot()[dead]["moved"] >= 5 * len(lost)
    assert all(said["moved"] == 0 for label, said in cache.snapshot().items() if label != dead)

    memcached(port=servers[dead].port)
    wait_until(
        lambda: all_back(cache, servers[dead], lost), within_s=BACK_WITHIN_S, what="every key home"
    )
    moved = cache.snapshot()[dead]["moved"]
    assert all(cache.get(key) == b"back" for key in lost)
    assert cache.snapshot()[dead]["moved"] == moved


def test_what_does_not_move_fails_with_its_node(memcached: Start, client: MakeClient) -> None:
    """Counters and tokens are nobody else's; a delete takes the copies and fails all the same."""
    servers = [memcached() for _ in range(2)]
    cache = client(*(s.address for s in servers), failover="rehash", op_timeout=PATIENT_S)
    key = next(key for key in KEYS if cache.node_for(key) == servers[0].label)
    assert cache.set(key, 7)
    stop(servers[0])
    assert cache.set(key, 1) is True
    assert kept_by(servers[1], key) == -1
    for call in (
        lambda: cache.incr(key, 1),
        lambda: cache.decr(key, 1),
        lambda: cache.gets(key),
        lambda: cache.gats(key, 5),
        lambda: cache.cas(key, b"x", b"1"),
        lambda: cache.get_or_lease(key, 5, protocol="meta"),
    ):
        with pytest.raises(MemcacheClientError) as refusal:
            call()
        assert is_refusal(refusal.value)
        assert refusal.value.node == servers[0].label
    assert cache.get(key) == b"1"
    with pytest.raises(MemcacheClientError):
        cache.delete(key)
    assert kept_by(servers[1], key) is None
    assert cache.set(key, 2) is True
    assert list(cache.delete_many([key]).failed) == [key]
    assert kept_by(servers[1], key) is None


@pytest.mark.parametrize("protocol", ["text", "meta"])
def test_gutter_keeps_for_a_short_while_and_only_in_need(
    memcached: Start, client: MakeClient, protocol: str
) -> None:
    """It sees nothing while all is well, never keeps longer than told, and is left at once."""
    servers, gutter = [memcached() for _ in range(2)], memcached()
    cache = client(
        *(server.address for server in servers),
        failover="gutter", gutter_nodes=[gutter.address], gutter_ttl_s=90,
        protocol=protocol, op_timeout=PATIENT_S, serde=serde.pickle_serde,
    )  # fmt: skip
    lost = [key for key in KEYS if cache.node_for(key) == servers[0].label]
    assert all(cache.set(key, {"is": key}) for key in KEYS)
    assert count(gutter, b"cmd_get") == count(gutter, b"cmd_set") == count(gutter, b"cmd_meta") == 0
    stop(servers[0])

    for key, expire in zip(lost, itertools.cycle([0, 3600, 30, int(time.time()) + 3600])):
        assert cache.get(key) is None
        assert cache.set(key, [expire], expire) is True
        assert cache.get(key) == [expire]
        kept = kept_by(gutter, key)
        assert kept is not None
        assert 0 < kept <= (30 if expire == 30 else 90)
    assert cache.touch(lost[0], 0) is True
    assert cache.gat(lost[0], 3600) == [0]
    assert 0 < (kept_by(gutter, lost[0]) or 0) <= 90
    assert cache.set(lost[0], 1, -1) is True
    assert cache.get(lost[0]) is None
    assert cache.set_many(dict.fromkeys(KEYS, 5)) == []
    assert cache.get_many(KEYS) == dict.fromkeys(KEYS, 5)
    assert all(0 < (kept_by(gutter, key) or 0) <= 90 for key in lost)
    assert not any(kept_by(gutter, key) for key in KEYS if key not in lost)

    memcached(port=servers[0].port)
    wait_until(
        lambda: all_back(cache, servers[0], lost), within_s=BACK_WITHIN_S, what="every key home"
    )
    assert all(cache.get(key) == b"back" for key in lost)
    said = cache.snapshot()
    assert said[servers[0].label]["moved"] > 0
    assert said[gutter.label]["pool"]["in_use"] == 0


def test_all_others_dead_too_is_the_first_nodes_error(
    free_port: Callable[[], int], client: MakeClient
) -> None:
    """Each is asked once, and the caller is told about the key's own node."""
    ports = {free_port() for _ in range(20)}
    nodes = [("127.0.0.1", port) for port in itertools.islice(ports, 4)]
    cache = client(*nodes, failover="rehash", failover_attempts=2, op_timeout=PATIENT_S)
    with pytest.raises(ConnectRefused) as refusal:
        cache.set("k", b"v")
    assert refusal.value.node == cache.node_for("k")
    assert sum(said["requests"] for said in cache.snapshot().values()) == 3


def test_a_black_hole_is_left_only_when_its_breaker_is_open(
    memcached: Start, byte_server: Start, client: MakeClient
) -> None:
    """A timeout may have happened: it is told, not repeated. Once open, the others answer."""
    hole = byte_server(lambda connection: connection.recv(1) and time.sleep(30)).address
    good = memcached()
    cache = client(
        hole, good.address,
        failover="rehash", op_timeout=0.3, protocol="text",
        breaker=BreakerSettings(consecutive_failures=3, open_s=60, open_max_s=60),
    )  # fmt: skip
    key = next(key for key in KEYS if cache.node_for(key) != good.label)
    for _ in range(3):
        with pytest.raises(OperationTimeout):
            cache.set(key, b"v")
    assert kept_by(good, key) is None
    assert cache.set(key, b"v") is True
    assert cache.get(key) == b"v"
    assert kept_by(good, key) == -1


def test_nodes_come_and_go_under_load(memcached: Start, client: MakeClient) -> None:
    """No call fails for it; others' keys stay where they are; a removed node is left alone."""
    servers = [memcached() for _ in range(3)]
    cache = client(*(server.address for server in servers[:2]), op_timeout=PATIENT_S, pool_size=4)
    assert all(cache.set(key, key.encode()) for key in KEYS)
    homes = {key: cache.node_for(key) for key in KEYS}
    is_over = False
    done = 0

    def work(share: int) -> None:
        nonlocal done
        for key in itertools.cycle(KEYS[share:] + KEYS[:share]):
            if is_over:
                return
            assert cache.get(key) in (key.encode(), None)
            assert cache.set(key, key.encode())
            done += 1

    workers = [gevent.spawn(work, share) for share in range(20)]  # more than there are connections
    try:
        for _ in range(10):
            before = done
            wait_until(lambda at=before + 50: done > at, what="calls under way")  # type: ignore[misc]
            cache.add_node(servers[2].address)
            moved = {key for key in KEYS if cache.node_for(key) != homes[key]}
            assert {cache.node_for(key) for key in moved} == {servers[2].label}
            before = done
            wait_until(lambda at=before + 50: done > at, what="calls under way")  # type: ignore[misc]
            cache.remove_node(servers[2].address)
            assert {key: cache.node_for(key) for key in KEYS} == homes
    finally:
        is_over = True
        gevent.joinall(workers, timeout=30, raise_error=True)
    assert all(worker.dead for worker in workers)
    assert servers[2].label not in cache.snapshot()
    # The one connection that is left asks the question.
    wait_until(lambda: count(servers[2], b"curr_connections") <= 2, what="no connection kept")
    kept = count(servers[2], b"curr_connections")
    assert kept == count_when_unused(memcached())
    held = sum(said["pool"]["total"] for said in cache.snapshot().values())
    assert held <= 8


def count_when_unused(server: Server) -> int:
    """Give what a server that nobody uses says of its connections."""
    return count(server, b"curr_connections")
