"""All nodes at once: opening connections before they are needed, and the orderly end.

A client that warms up pays for names, connects and greetings before its first caller does. A node
that cannot be reached is reported and not raised: the others are warm all the same. The end is the
reverse: nobody new, then time for what is under way, one deadline for all.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from client.breaker import IGNORED
from client.errors import ConnectTimeout, MemcacheClientError
from client.tending import Tended

WARM_UP_S = 5.0  # a dozen connects one after the other on a node half a second away
ANSWER_WITHIN_S = 1.0  # a connect may overrun its deadline by what the process stalls


class Warmed(Tended, Protocol):
    """What warming needs of a node."""

    label: str


@dataclass(frozen=True, kw_only=True)
class WarmUp:
    """What warming up one node came to."""

    opened: int  # connections made; fewer than asked for when some were open already
    error: MemcacheClientError | None = None  # what ended it early


def warm_up(node: Tended, count: int, deadline: float) -> WarmUp:
    """Open connections until `count` are open, one after the other, each by the breaker's leave."""
    opened = 0
    permit = 0
    try:
        while True:
            permit = node.breaker.acquire()
            was_missing = node.pool.open_spare(count, deadline)
            node.breaker.done(permit, IGNORED)  # a connect alone proves little
            if not was_missing:
                return WarmUp(opened=opened)
            opened += 1
            permit = 0
    except MemcacheClientError as error:
        node.settle(error, permit, None)
        return WarmUp(opened=opened, error=error)
    except BaseException as error:
        node.settle(error, permit, None)
        raise


def warm_up_all(nodes: Sequence[Warmed], count: int | None, timeout_s: float) -> dict[str, WarmUp]:
    """Warm up all nodes at once, each to `count` connections or to its minimum, at least one."""
    late = ConnectTimeout("not warm within the time given")
    results = {node.label: WarmUp(opened=0, error=late) for node in nodes}

    def run(node: Warmed) -> None:
        wanted = count if count is not None else max(node.pool.minimum, 1)
        results[node.label] = warm_up(node, wanted, node.clock() + timeout_s)

    threads = [
        threading.Thread(target=run, args=(node,), name=f"warm up {node.label}", daemon=True)
        for node in nodes
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout_s + ANSWER_WITHIN_S)
    return dict(results)


def drain_all(nodes: Sequence[Warmed], timeout_s: float) -> dict[str, int]:
    """Close all pools after up to `timeout_s` for what is in use; tell what still is."""
    for node in nodes:
        node.pool.stop()  # all at once: a caller refused here must not find another node open
    still: dict[str, int] = {}
    for node in nodes:
        started = node.clock()
        still[node.label] = node.pool.drain(timeout_s)
        timeout_s = max(timeout_s - (node.clock() - started), 0.0)
    return still
