"""Tests as toxiproxy-python's users write them, on its own classes and on ours, word for word."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
import toxiproxy as library
from pymemcache.client.base import Client
from toxiproxy.api import APIConsumer
from toxiproxy.exceptions import InvalidToxic, NotFound, ProxyExists
from toxiproxy.utils import can_connect_to

from cluster.node import spell
from cluster.toxiproxy import Proxy, Toxic, Toxiproxy
from cluster.toxiproxy_api import ToxiproxyTimeoutError

pytest_plugins = ["cluster.testing"]

NOBODY = 1  # a port on which nothing listens


@pytest.fixture(params=["the library's classes", "ours"])
def server(request: pytest.FixtureRequest, toxiproxy: Any) -> Iterator[Any]:
    theirs = request.param != "ours"
    made = library.Toxiproxy() if theirs else Toxiproxy()
    before = APIConsumer.host, APIConsumer.port
    made.update_api_consumer("127.0.0.1", toxiproxy.port)
    yield made
    made.destroy_all()
    assert made.proxies() == {}
    APIConsumer.host, APIConsumer.port = before
    if not theirs:
        made.close()


def at(proxy: Any) -> tuple[str, int]:
    host, port = proxy.listen.split(":")
    return host, int(port)


def test_a_proxy_is_created_found_and_destroyed(server: Any) -> None:
    """Name, upstream, listen and enabled are as asked; a lost one is None; words are no proxy."""
    proxy = server.create(upstream="localhost:3306", name="master", enabled=False)
    assert (proxy.name, proxy.upstream, proxy.enabled) == ("master", "localhost:3306", False)
    assert proxy.listen.startswith("127.0.0.1:")
    assert server.get_proxy("master").upstream == "localhost:3306"
    assert server.get_proxy("nobody") is None
    assert server.destroy("master") is False
    assert server.destroy(proxy) is True
    assert server.proxies() == {}
    with pytest.raises(NotFound):
        proxy.toxics()


def test_names_are_taken_once(server: Any) -> None:
    """Proxies and toxics alike: ProxyExists."""
    proxy = server.create(upstream="localhost:3306", name="master")
    with pytest.raises(ProxyExists):
        server.create(upstream="localhost:3306", name="master")
    proxy.add_toxic(type="latency", attributes={"latency": 123})
    with pytest.raises(ProxyExists):
        proxy.add_toxic(type="latency", attributes={"latency": 5})


def test_a_toxic_that_does_not_exist_is_invalid(server: Any) -> None:
    """InvalidToxic for an unknown type, NotFound for one that is not there."""
    proxy = server.create(upstream="localhost:3306", name="master")
    with pytest.raises(InvalidToxic):
        proxy.add_toxic(type="earthquake")
    with pytest.raises(NotFound):
        proxy.destroy_toxic("latency_downstream")


def test_a_proxy_goes_down_and_up_with_its_toxics(server: Any, memcached: Any) -> None:
    """`down()` closes the port for a block; toxics have the library's names and survive."""
    proxy = server.create(upstream=memcached().label, name="cache")
    proxy.add_toxic(type="latency", attributes={"latency": 123})
    proxy.add_toxic(type="timeout", stream="upstream", toxicity=0.5, name="hole")
    with proxy.down():
        assert proxy.enabled is False
        assert can_connect_to(*at(proxy)) is False
    assert proxy.enabled is True
    assert can_connect_to(*at(proxy)) is True
    toxic = proxy.get_toxic("latency_downstream")
    assert (toxic.type, toxic.stream, toxic.toxicity) == ("latency", "downstream", 1.0)
    assert toxic.attributes["latency"] == 123
    hole = proxy.toxics()["hole"]
    assert (hole.type, hole.stream, hole.toxicity) == ("timeout", "upstream", 0.5)
    assert proxy.destroy_toxic("hole") is True
    assert set(proxy.toxics()) == {"latency_downstream"}
    proxy.disable()
    assert server.reset() is True
    assert can_connect_to(*at(proxy)) is True
    assert proxy.toxics() == {}


def test_proxies_are_populated(server: Any, free_port: Callable[[], int]) -> None:
    """All at once; one with another address is replaced."""
    ports = [free_port(), free_port()]
    wanted = [
        {"name": f"p{n}", "upstream": "localhost:3306", "listen": f"127.0.0.1:{port}"}
        for n, port in enumerate(ports)
    ]
    assert [proxy.name for proxy in server.populate(wanted)] == ["p0", "p1"]
    wanted[0]["upstream"] = "localhost:3307"
    server.populate(wanted)
    assert server.get_proxy("p0").upstream == "localhost:3307"
    assert all(can_connect_to("127.0.0.1", port) for port in ports)


def test_whether_a_server_runs(server: Any, toxiproxy: Any) -> None:
    """`version()` is None where none does, and what the server says where one does."""
    assert server.running() is True
    assert b"2." in server.version()
    server.update_api_consumer("127.0.0.1", NOBODY)
    assert server.running() is False
    assert server.version() is None
    server.update_api_consumer("127.0.0.1", toxiproxy.port)


def test_a_script_runs_on_a_kit_of_ours(cluster_kit: Callable[..., Any]) -> None:
    """`kit.toxiproxy` and `kit.proxy` are the library's objects, in front of real nodes."""
    kit = cluster_kit(2)
    assert isinstance(kit.toxiproxy, library.Toxiproxy)
    proxy = kit.proxy("node1")
    assert isinstance(proxy, library.Proxy)
    assert kit.toxiproxy.get_proxy(proxy.name).upstream == spell(kit.node("node1").direct)
    with proxy.down():
        assert kit.live() == {"node2"}
    proxy.add_toxic(type="latency", attributes={"latency": 80, "jitter": 0})
    assert isinstance(proxy.get_toxic("latency_downstream"), library.toxic.Toxic)
    with closing(Client(kit.node("node1").address, timeout=5)) as cache:
        cache.get("k")
        began = time.monotonic()
        cache.get("k")
        assert time.monotonic() - began >= 0.08
    kit.toxiproxy.reset()
    assert kit.live() == {"node1", "node2"}


def test_two_servers_side_by_side(cluster_kit: Callable[..., Any]) -> None:
    """What one server is told the other does not hear, whatever the order of creation."""
    one, other = cluster_kit(1), cluster_kit(1)
    one.proxy("node1").add_toxic(type="timeout")
    other.proxy("node1").disable()
    assert set(one.proxy("node1").toxics()) == {"timeout_downstream"}
    assert other.proxy("node1").toxics() == {}
    assert one.proxy("node1").enabled
    one.proxy("node1").destroy_toxic("timeout_downstream")
    other.proxy("node1").enable()
    assert one.live() == other.live() == {"node1"}


def test_a_server_that_hangs_holds_no_script_up(toxiproxy: Any) -> None:
    """Every one of the library's calls ends within the deadline, and says so."""
    server = Toxiproxy(toxiproxy.url, deadline_s=0.2)
    proxy = server.create(upstream="localhost:3306", name="master")
    toxiproxy.process.send_signal(19)
    try:
        for call in (
            server.proxies,
            server.reset,
            server.destroy_all,
            lambda: server.create(upstream="localhost:3306", name="other"),
            lambda: server.populate([{"name": "p", "upstream": "localhost:1"}]),
            proxy.toxics,
            proxy.disable,
            proxy.destroy,
            lambda: proxy.add_toxic(type="latency"),
        ):
            began = time.monotonic()
            with pytest.raises(ToxiproxyTimeoutError, match=r"within 0\.2 s"):
                call()
            assert time.monotonic() - began < 5
        assert proxy.enabled, "what the server was not told is not so"
    finally:
        toxiproxy.process.send_signal(18)
    server.close()


def test_values_are_equal_by_their_parts() -> None:
    """A toxic from the library's words has the library's defaults."""
    made = Toxic.of({"type": "latency", "attributes": {"latency": 5}, "proxy": "cache"})
    assert made == Toxic(
        name="latency_downstream",
        type="latency",
        stream="downstream",
        toxicity=1.0,
        attributes={"latency": 5},
    )
    raw = {"name": "p", "listen": "127.0.0.1:7", "upstream": "127.0.0.1:1", "enabled": False}
    assert repr(Proxy(Toxiproxy(), raw)) == "<Proxy p 127.0.0.1:7 -> 127.0.0.1:1, disabled>"
