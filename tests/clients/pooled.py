"""pymemcache's clients of which one object serves all users of a process.

    locust --client tests.clients.pooled:retrying ...

Thin adapters: they give pymemcache's names and results to what the library does, and no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pymemcache.client.hash import HashClient
from pymemcache.client.retrying import RetryingClient

Address = tuple[str, int]


def _hash(nodes: Sequence[Address], settings: Any, **more: Any) -> HashClient:
    return HashClient(
        list(nodes),
        use_pooling=True,
        max_pool_size=settings.pool_size,
        timeout=settings.op_timeout,
        connect_timeout=settings.connect_timeout,
        default_noreply=False,
        **more,
    )


def retrying(nodes: Sequence[Address], settings: Any) -> RetryingClient:
    """Return a RetryingClient over a HashClient, both as they come: two attempts a call."""
    return RetryingClient(_hash(nodes, settings))


def ignore_exc(nodes: Sequence[Address], settings: Any) -> HashClient:
    """Return a HashClient that gives a miss, or False, where a node failed."""
    return _hash(nodes, settings, ignore_exc=True)
