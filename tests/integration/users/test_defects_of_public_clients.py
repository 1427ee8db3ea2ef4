"""What docs/public-clients.md says of libraries, without memquake: each row on real servers.

A library that has mended its defect fails here, and its row is due to be looked at again.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from typing import Any

import bmemcached
import gevent
import locust  # noqa: F401 - makes sockets cooperative, as in the product
import memcache
import pytest
from pymemcache.client.base import PooledClient
from pymemcache.client.hash import HashClient

TIMES = {"timeout": 5.0, "connect_timeout": 5.0}
KEYS = [f"k{index}" for index in range(30)]


@pytest.fixture
def node(memcached: Callable[..., Any]) -> Any:
    return memcached()


@pytest.fixture
def nodes(memcached: Callable[..., Any]) -> list[Any]:
    return [memcached() for _ in range(3)]


def holds(node: Any, key: str) -> bool:
    """Ask a server itself for a key."""
    with socket.create_connection(node.address, 5.0) as connection:
        connection.sendall(f"get {key}\r\n".encode())
        return connection.recv(4096).startswith(b"VALUE")


def cut_off(node: Any, call: Callable[[], Any]) -> None:
    """Make a call that is cut off by its own caller while the node stands still."""
    os.kill(node.pid, signal.SIGSTOP)
    try:
        for _ in range(100):  # the signal takes its time: calls before it are answered
            with gevent.Timeout(0.1, False):
                call()
                continue
            return
        pytest.fail("the node did not stand still")
    finally:
        os.kill(node.pid, signal.SIGCONT)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda at: memcache.Client([at], socket_timeout=5.0), id="python-memcached"),
        pytest.param(
            lambda at: bmemcached.DistributedClient([at], socket_timeout=5.0, raw_data=True),
            id="python-binary-memcached",
        ),
    ],
)
def test_a_call_after_one_that_was_cut_off_is_given_its_value(
    node: Any, make: Callable[[str], Any]
) -> None:
    """Only OSError closes the connection, and no reply is held against its request."""
    client = make(node.label)
    for key in ("cut", "next"):
        assert client.set(key, key.encode())
    cut_off(node, lambda: client.get("cut"))
    assert client.get("next") == b"cut"
    client.disconnect_all()


def test_a_call_that_is_cut_off_takes_its_slot_with_it(node: Any) -> None:
    """Pymemcache's pool gives back on Exception alone, which gevent.Timeout is not."""
    client = PooledClient(node.address, default_noreply=False, **TIMES)
    client.set("k", b"1")
    cut_off(node, lambda: client.get("k"))
    assert client.get("k") == b"1"
    assert len(client.client_pool.used) == 1  # with no call under way
    client.close()


def test_a_client_without_a_pool_raises_a_programming_error_after_a_cut(node: Any) -> None:
    """Django's PyMemcacheCache has this one: the reply's key was not asked for."""
    client = HashClient([node.address], default_noreply=False, **TIMES)
    for key in ("cut", "next"):
        client.set(key, b"1")
    cut_off(node, lambda: client.get("cut"))
    with pytest.raises(KeyError):
        client.get("next")
    client.close()


def test_a_hash_client_answers_for_a_node_that_it_does_not_ask(nodes: list[Any]) -> None:
    """Between its attempts: False for a count, None for a value, whatever ignore_exc says."""
    client = HashClient(
        [node.address for node in nodes], use_pooling=True, default_noreply=False, **TIMES
    )
    for key in KEYS:
        client.set(key, b"1")
    mine = next(key for key in KEYS if holds(nodes[0], key))
    nodes[0].stop()
    for _ in range(2):
        with pytest.raises(Exception):  # noqa: B017, PT011 - one for each attempt
            client.get(mine)
    assert client.incr(mine, 1) is False
    assert client.get(mine) is None
    client.close()


def test_a_count_after_a_restart_raises_a_value_error(memcached: Callable[..., Any]) -> None:
    """python-memcached takes the end of a connection for a line, and the line for a number."""
    node = memcached()
    client = memcache.Client([node.label], socket_timeout=5.0)
    client.set("n", b"1")
    node.stop()
    memcached(port=node.address[1])
    with pytest.raises(ValueError, match="invalid literal for int"):
        client.incr("n", 1)
    client.disconnect_all()


def test_a_node_that_does_not_answer_is_a_miss_and_a_zero(node: Any) -> None:
    """python-binary-memcached says the same of what is not there."""
    client = bmemcached.DistributedClient([node.label], socket_timeout=5.0, raw_data=True)
    client.set("k", b"1")
    node.stop()
    assert (client.get("k"), client.incr("k", 1), client.add("k", b"2")) == (None, 0, False)
    client.disconnect_all()


def test_the_first_batch_after_the_end_of_a_node_is_empty(nodes: list[Any]) -> None:
    """Pylibmc takes a broken connection for the end of all results, and the next one as given."""
    pylibmc = pytest.importorskip("pylibmc")
    client = pylibmc.Client([node.label for node in nodes])
    for key in KEYS:
        client.set(key, b"1")
    there = {key for key in KEYS if not holds(nodes[0], key)}
    nodes[0].stop()
    assert client.get_multi(KEYS) == {}
    assert set(client.get_multi(KEYS)) == there
    client.disconnect_all()


def test_a_receive_buffer_as_small_as_the_read_buffer(node: Any) -> None:
    """meta-memcache gives the kernel the size of its own: larger batches wait for 200 ms."""
    library = pytest.importorskip("meta_memcache_socket")
    with socket.create_connection(node.address, 5.0) as connection:
        usual = connection.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        library.MemcacheSocket(connection, 4096)
        found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    assert found <= 2 * 4096 < usual  # Linux gives twice what is asked for
