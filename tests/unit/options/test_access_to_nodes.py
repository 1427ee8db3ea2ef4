"""What `--nodes` want before they answer: each contradiction of the options in one line."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from cluster.addresses import parse_nodes
from cluster.direct import NodeAccess
from cluster.errors import ClusterError
from options.of_nodes import (
    ACCESS_OPTIONS,
    read_access,
    read_node_control,
    refuse_unix_behind_proxies,
)
from options.words import ConfigError


def options(nodes: str, **given: Any) -> Namespace:
    return Namespace(
        **{"nodes": nodes, "client": "memquake", **dict.fromkeys(ACCESS_OPTIONS, ""), **given}
    )


def read(said: Namespace) -> NodeAccess:
    return read_access(said, parse_nodes(said.nodes) if said.nodes else None)


@pytest.mark.parametrize(
    ("nodes", "given", "named"),
    [
        pytest.param("", {"tls_ca": "ca"}, "--tls-ca without --nodes", id="no nodes"),
        pytest.param(
            "a:1", {"tls_server_name": "a"}, "--tls-server-name without --tls-ca", id="no authority"
        ),
        pytest.param(
            "a:1",
            {"tls_ca": "ca", "tls_client_key": "k"},
            "--tls-client-key without --tls-client-cert",
            id="a key alone",
        ),
        pytest.param(
            "a:1,unix:/m", {"tls_ca": "ca"}, "encrypts no unix socket", id="tls on a unix socket"
        ),
        pytest.param("a:1", {"tls_ca": "nothing"}, "--tls-ca /", id="no such authority"),
        pytest.param("a:1", {"auth_token_file": "nothing"}, "nothing: No such", id="no such token"),
        pytest.param("a:1", {"auth_token_file": "~nobody-here/t"}, "~nobody-here", id="no home"),
    ],
)
def test_what_cannot_be_is_one_line(nodes: str, given: dict[str, str], named: str) -> None:
    """The option that is wrong, and the way out."""
    with pytest.raises((ConfigError, ClusterError)) as caught:
        read(options(nodes, **given))
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_client_without_a_way_to_give_a_token_is_named(tmp_path: Path) -> None:
    """A client of pymemcache's cannot; ours, and those of the user's own, are told the token."""
    token = tmp_path / "token"
    token.write_text("shop:s3cret\n")
    said = options("unix:/m", auth_token_file=str(token))
    assert read(said) == NodeAccess(auth_token_file=str(token))
    said.client = "pymemcache-hash"
    with pytest.raises(ConfigError, match="pymemcache-hash has no way to give a token"):
        read(said)


def test_nodes_that_want_nothing_need_nothing() -> None:
    """Neither a file nor an option."""
    assert read(options("a:1")) == read(options("")) == NodeAccess()


def test_a_unix_socket_has_no_network_to_break_and_no_host_to_control() -> None:
    """Faults of the network and agents of hosts are refused, with the node by its name."""
    with pytest.raises(ConfigError, match="unix:/m has none"):
        refuse_unix_behind_proxies(parse_nodes("a:1,unix:/m"), "node-blackhole")
    refuse_unix_behind_proxies(parse_nodes("a:1"), "node-blackhole")
    with pytest.raises(ConfigError, match="a unix socket has none"):
        read_node_control(options("unix:/m", node_control="."))
