"""Given nodes are looked at before anything else; what was made for them is removed again."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from cluster.errors import ClusterError
from cluster.external import ExternalCluster
from cluster.probe import stats, version
from cluster.toxiproxy import Toxiproxy

Start = Callable[..., Any]


@contextmanager
def banner(text: bytes) -> Iterator[tuple[str, int]]:
    """Listen on loopback and greet everybody with the same words, or with silence."""
    server = socket.create_server(("127.0.0.1", 0))
    held: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            held.append(connection)
            if text:
                connection.sendall(text)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield server.getsockname()
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        for connection in held:
            connection.close()
        thread.join(2)


def test_without_proxies_load_goes_straight(memcached: Start) -> None:
    """Node names follow the order of the options."""
    servers = [memcached(), memcached()]
    with ExternalCluster([server.address for server in servers]) as cluster:
        assert [node.name for node in cluster.nodes] == ["node1", "node2"]
        assert [node.address for node in cluster.nodes] == [s.address for s in servers]
        assert all(node.proxy is None for node in cluster.nodes)


def test_an_own_toxiproxy_stands_in_front_and_goes_away(memcached: Start) -> None:
    """With network faults and no Toxiproxy given, one is started; the nodes are left alone."""
    server = memcached()
    with ExternalCluster([server.address], with_proxies=True) as cluster:
        (node,) = cluster.nodes
        assert node.direct == server.address != node.address
        assert stats(node.address, 1)["pid"] == server.pid
        cluster.check()
    with pytest.raises(OSError, match="listens"):
        version(node.address, 1)
    version(server.address, 1)


def test_existing_proxies_are_matched_and_kept(memcached: Start, toxiproxy: Any) -> None:
    """A proxy is known by where it sends to, in other words too; a missing one is made."""
    one, two = memcached(), memcached()
    api = Toxiproxy(toxiproxy.url)
    api.create(name="theirs", listen="127.0.0.1:0", upstream=f"localhost:{one.port}")
    api.create(name="stranger", listen="127.0.0.1:0", upstream="127.0.0.1:1")
    with ExternalCluster(
        [one.address, two.address], toxiproxy_url=toxiproxy.url, with_proxies=True
    ) as cluster:
        assert [node.proxy for node in cluster.nodes] == ["theirs", "memquake-node2"]
        assert [stats(n.address, 1)["pid"] for n in cluster.nodes] == [one.pid, two.pid]
    assert set(api.proxies()) == {"theirs", "stranger"}
    api.close()


def test_a_proxy_that_listens_everywhere_is_reached_by_the_host_of_its_server(
    memcached: Start, toxiproxy: Any
) -> None:
    """0.0.0.0 is no address to connect to from elsewhere."""
    server = memcached()
    api = Toxiproxy(toxiproxy.url)
    made = api.create(name="wide", listen="0.0.0.0:0", upstream=server.label)
    with ExternalCluster(
        [server.address], toxiproxy_url=toxiproxy.url, with_proxies=True
    ) as cluster:
        assert cluster.nodes[0].address == ("127.0.0.1", int(made.listen.rpartition(":")[2]))
    api.close()


def test_proxies_are_advertised_under_the_host_that_is_given(
    memcached: Start, toxiproxy: Any
) -> None:
    """They listen where `--proxy-bind` says; workers and the harness are told the other name."""
    server = memcached()
    with ExternalCluster(
        [server.address],
        toxiproxy_url=toxiproxy.url,
        proxy_bind="0.0.0.0",
        proxy_advertise="localhost",
        with_proxies=True,
    ) as cluster:
        (node,) = cluster.nodes
        assert node.address[0] == "localhost"
        assert node.label == f"localhost:{node.address[1]}"
        assert stats(node.address, 1)["pid"] == server.pid
        assert stats(("127.0.0.2", node.address[1]), 1)["pid"] == server.pid  # bound everywhere
    assert not Toxiproxy(toxiproxy.url).proxies()


def test_an_own_toxiproxy_is_advertised_as_well(memcached: Start) -> None:
    """Bound to one address of this machine and told under another name of it."""
    server = memcached()
    with ExternalCluster(
        [server.address], proxy_bind="127.0.0.3", proxy_advertise="127.0.0.3", with_proxies=True
    ) as cluster:
        assert cluster.nodes[0].address[0] == "127.0.0.3"
        assert stats(cluster.nodes[0].address, 1)["pid"] == server.pid


def test_without_proxies_nothing_is_advertised(memcached: Start) -> None:
    """Load goes straight to the nodes, which have names of their own."""
    server = memcached()
    with ExternalCluster([server.address], proxy_advertise="no-such-host.invalid") as cluster:
        assert cluster.nodes[0].address == server.address


def test_an_advertised_host_that_leads_nowhere_is_named(memcached: Start, toxiproxy: Any) -> None:
    """The way of the workers is gone once before they are told of it."""
    server = memcached()
    line = refusal(
        server.address,
        toxiproxy_url=toxiproxy.url,
        proxy_advertise="127.0.0.9",  # the proxies listen on 127.0.0.1 alone
        with_proxies=True,
    )
    assert "--proxy-advertise 127.0.0.9" in line
    assert "--proxy-bind" in line
    assert not Toxiproxy(toxiproxy.url).proxies()


def test_a_proxy_left_by_a_killed_run_is_moved_to_where_this_one_wants_it(
    memcached: Start, toxiproxy: Any
) -> None:
    """Its leftover listens where no worker of this run would find it."""
    server = memcached()
    api = Toxiproxy(toxiproxy.url)
    api.create(name="memquake-node1", listen="127.0.0.1:0", upstream=server.label)
    with ExternalCluster(
        [server.address],
        toxiproxy_url=toxiproxy.url,
        proxy_bind="127.0.0.4",
        proxy_advertise="127.0.0.4",
        with_proxies=True,
    ) as cluster:
        assert stats(cluster.nodes[0].address, 1)["pid"] == server.pid
        assert set(api.proxies()) == {"memquake-node1"}
    assert not api.proxies()
    api.close()


def test_a_leftover_that_still_holds_replies_back_is_healed_at_once(
    memcached: Start, toxiproxy: Any
) -> None:
    """A run that was killed with its guard left it; toxics of somebody else's are left alone."""
    server = memcached()
    api = Toxiproxy(toxiproxy.url)
    api.create(name="theirs", listen="0.0.0.0:0", upstream=server.label)
    api.add_toxic("theirs", "memquake-hole", "timeout", {"timeout": 0}, "downstream")
    api.add_toxic("theirs", "slow", "latency", {"latency": 1}, "downstream")
    with ExternalCluster(
        [server.address],
        toxiproxy_url=toxiproxy.url,
        proxy_advertise="127.0.0.1",
        with_proxies=True,
    ) as cluster:
        version(cluster.nodes[0].address, 1)
        assert [toxic.name for toxic in api.proxy("theirs").known_toxics] == ["slow"]
    assert set(api.proxies()) == {"theirs"}
    api.close()


def test_a_proxy_left_disabled_is_opened(memcached: Start, toxiproxy: Any) -> None:
    """What a killed run left behind does not spoil the next."""
    server = memcached()
    api = Toxiproxy(toxiproxy.url)
    api.create(name="theirs", listen="127.0.0.1:0", upstream=server.label)
    api.set_enabled("theirs", False)
    with ExternalCluster(
        [server.address], toxiproxy_url=toxiproxy.url, with_proxies=True
    ) as cluster:
        version(cluster.nodes[0].address, 1)
    api.close()


def refusal(address: tuple[str, int], **options: Any) -> str:
    with pytest.raises(ClusterError) as caught:
        ExternalCluster([address], **options).start()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_closed_port_is_named(free_port: Callable[[], int]) -> None:
    """One line with the address."""
    port = free_port()
    assert f"nobody listens on 127.0.0.1:{port}" in refusal(("127.0.0.1", port))


def test_a_name_that_does_not_resolve_is_named() -> None:
    """One line with the name."""
    assert "no-such-host.invalid cannot be resolved" in refusal(("no-such-host.invalid", 1))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n", id="another protocol"),
        pytest.param(b"-ERR unknown command\r\n", id="a cache of another make"),
        pytest.param(b"VERSION\r\n", id="a version without number"),
    ],
)
def test_something_that_is_not_memcached_is_named(text: bytes) -> None:
    """Whatever it says, it does not answer `version`."""
    with banner(text) as address:
        assert "is not memcached" in refusal(address)


def test_two_names_of_one_server_are_refused(memcached: Start) -> None:
    """One line that names both."""
    port = memcached().port
    with pytest.raises(ClusterError, match=f"localhost:{port} are the same server"):
        ExternalCluster([("127.0.0.1", port), ("localhost", port)]).start()


def test_a_toxiproxy_that_is_dead_is_named(memcached: Start, free_port: Callable[[], int]) -> None:
    """One line with the URL."""
    url = f"http://127.0.0.1:{free_port()}"
    line = refusal(memcached().address, toxiproxy_url=url, with_proxies=True)
    assert "--toxiproxy-url" in line
    assert url in line


def test_a_toxiproxy_that_is_something_else_is_named(memcached: Start) -> None:
    """A memcached is no Toxiproxy, and neither is a web server."""
    server = memcached()
    assert "--toxiproxy-url" in refusal(server.address, toxiproxy_url=server.url)
    with banner(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi") as (host, port):
        line = refusal(server.address, toxiproxy_url=f"http://{host}:{port}")
        assert "is not Toxiproxy" in line


@pytest.mark.parametrize("url", ["localhost:8474", "http://", "http://a:b", "ftp://a:1"])
def test_a_toxiproxy_url_that_is_none_is_named(memcached: Start, url: str) -> None:
    """One line with what was given."""
    assert url in refusal(memcached().address, toxiproxy_url=url)


def test_an_address_of_another_machine_cannot_be_bound(memcached: Start) -> None:
    """`--proxy-bind` must be an address of this machine."""
    line = refusal(memcached().address, proxy_bind="192.0.2.1", with_proxies=True)
    assert "192.0.2.1" in line
