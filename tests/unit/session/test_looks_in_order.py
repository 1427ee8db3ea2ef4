"""Looks at a node that are asked for at the same moment come one after the other."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import gevent
from gevent.lock import BoundedSemaphore

from cluster.node import Address, Node
from session.node_monitor import NodeMonitor
from session.watch import ServerLooks, look_at_all

NODE = Node(name="node1", address=("127.0.0.1", 1), direct=("127.0.0.1", 1))
YIELDS = 20


class LateOnce:
    """Counts up; its first answer is on its way while the hub turns many times."""

    def __init__(self) -> None:
        self._asked = 0

    def stats(self, _: Address, __: float) -> dict[str, int]:
        """Return statistics as of the moment of the question."""
        self._asked += 1
        asked = self._asked
        if asked == 1:
            for _turn in range(YIELDS):
                gevent.sleep(0)
        return {"pid": 7, "time": 1_000, "uptime": 100, "cmd_get": 10 * asked}


def test_two_looks_at_once_are_no_reset_of_the_statistics() -> None:
    """The older one would come last, with lower counts than the younger one."""
    run: Any = SimpleNamespace(
        look_gate=BoundedSemaphore(),
        cluster=SimpleNamespace(nodes=[NODE]),
        reader=LateOnce(),
        servers=ServerLooks(),
        monitor=NodeMonitor(),
        journal=SimpleNamespace(note=lambda *_, **__: None),
    )
    gevent.joinall([gevent.spawn(look_at_all, run) for _ in range(2)], raise_error=True)
    assert run.monitor.events(0.0) == []
