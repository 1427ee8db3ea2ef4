"""`--nodes` is read item by item, and the item that cannot be used is named."""

from __future__ import annotations

import pytest

from cluster.addresses import is_wildcard, parse_host, parse_nodes, split_listen
from cluster.errors import ClusterError
from cluster.node import Node, spell


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        pytest.param("127.0.0.1:11211", [("127.0.0.1", 11211)], id="one IPv4"),
        pytest.param("a:1, b:2", [("a", 1), ("b", 2)], id="names, a space after the comma"),
        pytest.param("[::1]:11211", [("::1", 11211)], id="IPv6 in brackets"),
        pytest.param("Cache_1.Local:5", [("cache_1.local", 5)], id="a container's name"),
        pytest.param("unix:/run/M.sock", [("unix:/run/M.sock", 0)], id="a unix socket"),
        pytest.param(
            "unix:/a b:1,a:1", [("unix:/a b:1", 0), ("a", 1)], id="a unix socket beside a port"
        ),
    ],
)
def test_addresses_are_read(text: str, addresses: list[tuple[str, int]]) -> None:
    """Names, IPv4 and [IPv6] are taken, each with a port, and paths of unix sockets."""
    assert parse_nodes(text) == addresses
    assert ",".join(map(spell, addresses)).lower() == text.replace(", ", ",").lower()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        pytest.param("", "--nodes", id="nothing"),
        pytest.param("a:1,,b:2", "empty item", id="two commas"),
        pytest.param("a:1,", "empty item", id="a comma at the end"),
        pytest.param("justaname", "justaname", id="no port"),
        pytest.param(":11211", ":11211", id="no host"),
        pytest.param("a:b", "a:b", id="port is no number"),
        pytest.param("a:-1", "a:-1", id="negative port"),
        pytest.param("a:0", "port 0", id="port 0"),
        pytest.param("a:65536", "65536", id="port too large"),
        pytest.param("a:99999999999999", "a:99999999999999", id="port with many digits"),
        pytest.param("::1:11211", "::1:11211", id="IPv6 without brackets"),
        pytest.param("[::1]", "[::1]", id="IPv6 without port"),
        pytest.param("[nonsense]:1", "[nonsense]:1", id="brackets around nonsense"),
        pytest.param("300.1.1.1:1", "300.1.1.1", id="IPv4 out of range"),
        pytest.param("a b:1", "a b:1", id="a space inside"),
        pytest.param("http://a:1", "http://a:1", id="a URL"),
        pytest.param("a:1,b:2,a:1", "a:1 twice", id="the same node twice"),
        pytest.param("unix:m.sock", "unix:m.sock", id="a relative path"),
        pytest.param("unix:", "unix:", id="no path"),
        pytest.param("unix:/a\tb", "no absolute path", id="a path with a tab"),
        pytest.param("unix:/" + "x" * 107, "at most 107 bytes", id="a path too long for a socket"),
        pytest.param("unix:/m,unix:/m", "unix:/m twice", id="the same socket twice"),
        pytest.param("[::1]:1,[0:0::1]:1", "[::1]:1 twice", id="the same IPv6 in other words"),
    ],
)
def test_the_item_that_cannot_be_used_is_named(text: str, named: str) -> None:
    """One line that holds the item."""
    with pytest.raises(ClusterError) as caught:
        parse_nodes(text)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "address", "wild"),
    [
        pytest.param("127.0.0.1:80", ("127.0.0.1", 80), False, id="IPv4"),
        pytest.param("[::]:80", ("::", 80), True, id="every IPv6"),
        pytest.param("0.0.0.0:80", ("0.0.0.0", 80), True, id="every IPv4"),
        pytest.param(":80", ("", 80), True, id="no host"),
    ],
)
def test_listening_addresses_are_split(text: str, address: tuple[str, int], wild: bool) -> None:
    """Toxiproxy's own spelling, wildcards included."""
    assert split_listen(text) == address
    assert is_wildcard(address[0]) is wild


def test_a_node_survives_the_wire() -> None:
    """What a worker needs of a node goes through plain types and back."""
    node = Node(name="node1", address=("::1", 1), direct=("127.0.0.1", 2), proxy="p")
    assert Node.from_wire(node.to_wire()) == node
    assert node.label == spell(("::1", 1)) == "[::1]:1"


@pytest.mark.parametrize(
    ("text", "host"),
    [
        pytest.param("toxiproxy", "toxiproxy", id="a container's name"),
        pytest.param(" Proxy-0.Proxies.svc ", "proxy-0.proxies.svc", id="a service's name"),
        pytest.param("10.0.0.9", "10.0.0.9", id="IPv4"),
        pytest.param("[0:0::1]", "::1", id="IPv6 in brackets"),
        pytest.param("::1", "::1", id="IPv6 bare"),
    ],
)
def test_a_host_alone_is_read(text: str, host: str) -> None:
    """Without a port: the proxies have their own."""
    assert parse_host(text, "--proxy-advertise") == host


@pytest.mark.parametrize("text", ["a:1", "10.0.0.300", "a b", "http://a", "-a", "[::1]:80", " "])
def test_what_is_no_host_is_named(text: str) -> None:
    """One line that holds the option and what was given."""
    with pytest.raises(ClusterError) as caught:
        parse_host(text, "--proxy-advertise")
    assert str(caught.value).startswith(f"--proxy-advertise {text!r}")
