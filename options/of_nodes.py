"""What the user said of given nodes: what they want first, who reaches them, who may treat them."""

from __future__ import annotations

import dataclasses
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from cluster.addresses import parse_host
from cluster.direct import NodeAccess
from cluster.node import Address, is_unix, spell
from options.words import ConfigError, path


def read_advertised(options: Namespace) -> str | None:
    """Give the host under which workers reach the proxies, None for where they listen."""
    if not options.proxy_advertise:
        return None
    if not options.nodes:
        raise ConfigError(
            "--proxy-advertise without --nodes: the embedded cluster serves this machine alone; "
            "give --nodes host:port,... as well, or leave --proxy-advertise out"
        )
    return parse_host(options.proxy_advertise, "--proxy-advertise")


def read_node_control(options: Namespace) -> Path | None:
    """Give the folder of the nodes' agents, None where there is none."""
    if not options.node_control:
        return None
    if not options.nodes:
        raise ConfigError(
            "--node-control without --nodes: the embedded cluster needs no agents; "
            "give --nodes host:port,... as well, or leave --node-control out"
        )
    if "unix:" in options.nodes:
        raise ConfigError(
            "--node-control knows nodes by their hosts, and a unix socket has none: give host:port"
        )
    folder = path(options, "node_control").absolute()
    try:
        is_there = folder.is_dir()
    except OSError:  # a name too long, a way there that is closed to us
        is_there = False
    if not is_there:
        raise ConfigError(
            f"--node-control {options.node_control} is no folder: give the one that the agents "
            "of the nodes (cluster/agent.sh) have their pipes in"
        )
    return folder


ACCESS_OPTIONS = tuple(field.name for field in dataclasses.fields(NodeAccess))


def read_access(options: Namespace, addresses: Sequence[Address] | None) -> NodeAccess:
    """Return what the nodes want before they answer; ConfigError, ClusterError.

    The files are opened, so that one that cannot be used is named before anything is started.
    """
    given = [name for name in ACCESS_OPTIONS if getattr(options, name)]
    if not given:
        return NodeAccess()
    flag = "--" + given[0].replace("_", "-")
    if addresses is None:
        raise ConfigError(
            f"{flag} without --nodes: the embedded cluster wants neither TLS nor a token; "
            f"give --nodes host:port,... as well, or leave {flag} out"
        )
    if given != ["auth_token_file"] and "tls_ca" not in given:
        raise ConfigError(
            f"{flag} without --tls-ca: nothing would be encrypted: give the authority of the "
            "nodes' certificates, a file in PEM"
        )
    if "tls_client_key" in given and "tls_client_cert" not in given:
        raise ConfigError(
            "--tls-client-key without --tls-client-cert: give the certificate that it belongs to"
        )
    sockets = [spell(address) for address in addresses if is_unix(address)]
    if "tls_ca" in given and sockets:
        raise ConfigError(
            f"--tls-ca with {sockets[0]} among --nodes: memcached encrypts no unix socket: "
            "leave one of the two out"
        )
    files = {
        name: str(path(options, name).absolute()) for name in given if name != "tls_server_name"
    }
    access = NodeAccess(**files, tls_server_name=options.tls_server_name or "")
    access.context()
    if access.token() is not None and options.client.startswith("pymemcache-"):
        raise ConfigError(
            f"--auth-token-file: {options.client} has no way to give a token: use another --client"
        )
    return access


def refuse_unix_behind_proxies(addresses: Sequence[Address] | None, scenario: str) -> None:
    """Raise ConfigError where a scenario breaks the network and a node has none."""
    for address in addresses or ():
        if is_unix(address):
            raise ConfigError(
                f"scenario {scenario} breaks the network to the nodes, and {spell(address)} has "
                "none: choose one that breaks the nodes themselves, or give host:port"
            )
