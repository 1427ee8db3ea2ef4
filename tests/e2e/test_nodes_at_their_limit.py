"""Nodes that take fewer connections than a client would open.

No honest client is convicted, and one that fills a node itself is.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from memquake.paths import CHECKOUT
from tests.e2e.controls import convicted

Start = Callable[..., Any]


CROWDED = ["--scenario", "none", "-u", "60", "--target-rate", "1500", "-t", "15s"]
FILLED = [
    "--scenario",
    "none",
    "-u",
    "10",
    "--target-rate",
    "400",
    "-t",
    "20s",
    "--pool-size",
    "10",
]
HONEST = "tests.e2e.honest_client:build"


@pytest.fixture
def small_nodes(memcached_with: Start, free_port: Callable[[], int]) -> Callable[[list[str]], str]:
    """Return a function that starts three nodes with some fifteen places; gives their addresses."""

    def start(options: list[str]) -> str:
        addresses = [("127.0.0.1", free_port()) for _ in range(3)]
        for host, port in addresses:

            def listens(port: int = port) -> bool:
                with socket.socket() as probe:
                    return probe.connect_ex(("127.0.0.1", port)) == 0

            memcached_with(
                listens, "-l", host, "-p", str(port), "-U", "0", "-c", "28", *options
            )  # fmt: skip
        return ",".join(f"{host}:{port}" for host, port in addresses)

    return start


@pytest.mark.prove
@pytest.mark.parametrize("options", [[], ["-o", "no_maxconns_fast"]], ids=["refuses", "silent"])
@pytest.mark.parametrize("client", ["memquake", "pymemcache-hash", HONEST])
def test_no_honest_client_is_convicted_of_a_nodes_limit(
    run_locust: Start, small_nodes: Callable[[list[str]], str], client: str, options: list[str]
) -> None:
    """Whatever fails for it, the verdict is no FAIL, and what it is names the node's limit."""
    nodes = small_nodes(options)
    arguments = [*CROWDED, "--nodes", nodes, "--client", client]
    result = run_locust(arguments, timeout_s=90, cwd=CHECKOUT)
    assert result.verdict is not None, str(result)
    assert not [c for c in result.verdict["checks"] if c["verdict"] == "FAIL"], str(result)
    if options and result.exit_code == 0:
        return  # a node that only stays silent is met by fewer: what it serves was enough
    assert "at its limit of connections (max_connections 28)" in " ".join(
        [*result.verdict["notes"], *(check["why"] for check in result.verdict["checks"])]
    ), str(result)


@pytest.mark.prove
def test_a_client_that_fills_a_node_by_itself_is_convicted(
    run_locust: Start, small_nodes: Callable[[list[str]], str]
) -> None:
    """It loses a connection now and then, until the nodes of somebody else have no place left."""
    nodes = small_nodes(["-c", "128"])
    client = "tests.e2e.broken_pools:loses_connections"
    arguments = [*FILLED, "--nodes", nodes, "--client", client]
    result = run_locust(arguments, timeout_s=90, cwd=CHECKOUT)
    assert "error_budget" in convicted(result.verdict), str(result)
    assert result.verdict is not None
    assert "the client held" in " ".join(result.verdict["notes"]), str(result)
