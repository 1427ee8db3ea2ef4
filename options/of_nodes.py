"""What the user said of given nodes: who reaches them, and who may treat them."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from cluster.addresses import parse_host
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
