"""The servers' versions, as they tell them themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cluster.node import Node
from cluster.probe import version
from session.watch import server_versions


def test_every_node_that_answers_tells_its_version(
    memcached: Callable[..., Any], free_port: Callable[[], int]
) -> None:
    """One that does not is left out and holds nothing up."""
    there, gone = memcached().address, ("127.0.0.1", free_port())
    nodes = [Node(name=f"node{i}", address=at, direct=at) for i, at in enumerate((there, gone), 1)]
    assert server_versions(nodes) == {"node1": version(there, 1.0)}
    assert version(there, 1.0)[0].isdigit()
