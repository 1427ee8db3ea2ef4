"""pymemcache's own clients behind the contract, with our timeouts.

Those `as_shipped` leave noreply as the library has it, the others have it off.
Each takes the contract's (nodes, settings).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pymemcache.client.base import Client, PooledClient
from pymemcache.client.hash import HashClient

Nodes = Sequence[tuple[str, int]]


def single(nodes: Nodes, settings: Any, **options: Any) -> Any:
    """Make a Client of the first node: one connection, for one caller at a time."""
    options = {"default_noreply": False, **_options(settings), **options}
    del options["max_pool_size"]
    return Client(nodes[0], **options)


def single_as_shipped(nodes: Nodes, settings: Any) -> Any:
    """Make a Client of the first node that does not wait for the answers to its writes."""
    return single(nodes, settings, default_noreply=True)


def pooled(nodes: Nodes, settings: Any, **options: Any) -> Any:
    """Make a PooledClient of the first node."""
    options = {"default_noreply": False, **options}
    return PooledClient(nodes[0], **_options(settings), **options)


def pooled_as_shipped(nodes: Nodes, settings: Any) -> Any:
    """Make a PooledClient of the first node that does not wait for the answers to its writes."""
    return pooled(nodes, settings, default_noreply=True)


def hashed(nodes: Nodes, settings: Any, **options: Any) -> Any:
    """Make a pooling HashClient of all nodes, with the library's own failover."""
    return HashClient(
        list(nodes), use_pooling=True, default_noreply=False, **_options(settings), **options
    )


def hashed_back_soon(nodes: Nodes, settings: Any) -> Any:
    """Make one that asks a dead node again after half a second instead of a minute."""
    return hashed(nodes, settings, dead_timeout=0.5, retry_attempts=0)


def _options(settings: Any) -> dict[str, Any]:
    return {
        "max_pool_size": settings.pool_size,
        "timeout": settings.op_timeout,
        "connect_timeout": settings.connect_timeout,
        "no_delay": True,
    }
