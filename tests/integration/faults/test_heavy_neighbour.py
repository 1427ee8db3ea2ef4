"""A heavy neighbour is proven by what it gets of its node, even when the node tells nobody else."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from cluster.node import Node
from faults.backends import memcached_crowd
from faults.backends.memcached_crowd import HeavyNeighbour
from faults.errors import FaultError
from faults.planned import PlannedFault


class Silent:
    """A listener that takes connections and has no word for anybody."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        host, port = self.socket.getsockname()[:2]
        self.node = Node(name="node1", address=(host, port), direct=(host, port))


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Silent]:
    monkeypatch.setattr(memcached_crowd, "SEEN_WITHIN_S", 0.3)  # it stays silent however long
    listener = Silent()
    yield listener
    listener.socket.close()


class ToldNeighbour(HeavyNeighbour):
    """A heavy neighbour whose helper says what a test wants."""

    def __init__(self, node: Node, **report: float) -> None:
        super().__init__()
        self._written[node.name] = 0
        self._told = report

    def _helper(self, fault: PlannedFault, node: Node) -> Any:
        return SimpleNamespace(report=lambda: {"elapsed_s": 1.0, **self._told})


def test_a_node_too_busy_for_its_numbers_is_slow_by_what_the_neighbour_has_got(
    silent: Silent,
) -> None:
    """It is at its limit, and that is the fault's effect."""
    fault: Any = SimpleNamespace(attributes={"rate": 1000.0, "size": 1000}, duration_s=0.0)
    slow = ToldNeighbour(silent.node, answered=9, mean_s=0.4)
    assert "no answer for anybody else" in slow.observe(fault, silent.node)


@pytest.mark.parametrize(
    ("answered", "mean_s"), [pytest.param(0, 0.0, id="dead"), pytest.param(9, 0.001, id="not slow")]
)
def test_silence_alone_proves_no_heavy_neighbour(
    silent: Silent, answered: int, mean_s: float
) -> None:
    """A node that has given the neighbour nothing, or all at once, is silent for another reason."""
    fault: Any = SimpleNamespace(attributes={"rate": 1000.0, "size": 1000}, duration_s=0.0)
    with pytest.raises(FaultError, match="starved"):
        ToldNeighbour(silent.node, answered=answered, mean_s=mean_s).observe(fault, silent.node)
