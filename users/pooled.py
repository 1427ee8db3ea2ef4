"""The comparison client `pymemcache-pooled`: one PooledClient a node behind a rendezvous ring.

What many services wrote for themselves: the library's pool, no breaker, no failover. It is here to
be judged like any other, so it repairs nothing of what pymemcache does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

from pymemcache.client.base import PooledClient

from client.addresses import label_of


class PartialMapping(dict[str, Any]):
    """What a batch read found, and in `failed` the keys whose node failed, with the reason."""

    def __init__(self) -> None:
        super().__init__()
        self.failed: dict[str, Exception] = {}


class PooledRing:
    """PooledClients by node, under pymemcache's method names."""

    def __init__(self, clients: Mapping[str, PooledClient]) -> None:
        self._clients = dict(clients)
        self._labels = [(label, label.encode()) for label in clients]

    def node_for(self, key: str) -> str:
        """Give "host:port" of the key's node: the highest of the nodes' scores for it."""
        suffix = key.encode()
        return max(
            self._labels,
            key=lambda item: blake2b(item[1] + b"/" + suffix, digest_size=8).digest(),
        )[0]

    def _of(self, key: str) -> PooledClient:
        return self._clients[self.node_for(key)]

    def get(self, key: str, default: Any = None) -> Any:
        """Read a key."""
        return self._of(key).get(key, default)

    def gets(self, key: str) -> Any:
        """Read a key with its cas token."""
        return self._of(key).gets(key)

    def set(self, key: str, value: bytes, expire: int = 0) -> Any:
        """Store a value."""
        return self._of(key).set(key, value, expire)

    def add(self, key: str, value: bytes, expire: int = 0) -> Any:
        """Store a value where there is none."""
        return self._of(key).add(key, value, expire)

    def replace(self, key: str, value: bytes, expire: int = 0) -> Any:
        """Store a value where there is one."""
        return self._of(key).replace(key, value, expire)

    def cas(self, key: str, value: bytes, cas: Any, expire: int = 0) -> Any:
        """Store a value where nobody else has since `gets`."""
        return self._of(key).cas(key, value, cas, expire)

    def delete(self, key: str) -> Any:
        """Remove a key."""
        return self._of(key).delete(key)

    def incr(self, key: str, value: int) -> Any:
        """Add to a counter."""
        return self._of(key).incr(key, value)

    def decr(self, key: str, value: int) -> Any:
        """Take from a counter."""
        return self._of(key).decr(key, value)

    def touch(self, key: str, expire: int = 0) -> Any:
        """Give a key a new time to live."""
        return self._of(key).touch(key, expire)

    def get_many(self, keys: Iterable[str]) -> PartialMapping:
        """Read a batch, node by node; keys of a node that fails are in `.failed`."""
        found = PartialMapping()
        for label, part in self._split(keys).items():
            try:
                found.update(self._clients[label].get_many(part))
            except Exception as error:
                found.failed.update(dict.fromkeys(part, error))
        return found

    def set_many(self, values: Mapping[str, bytes], expire: int = 0) -> list[str]:
        """Store a batch, node by node. Gives the keys that failed."""
        failed: list[str] = []
        for label, part in self._split(values).items():
            try:
                failed += self._clients[label].set_many({key: values[key] for key in part}, expire)
            except Exception:
                failed += part
        return failed

    def delete_many(self, keys: Iterable[str]) -> bool:
        """Remove a batch, node by node."""
        for label, part in self._split(keys).items():
            self._clients[label].delete_many(part)
        return True

    def _split(self, keys: Iterable[str]) -> dict[str, list[str]]:
        parts: dict[str, list[str]] = {}
        for key in keys:
            parts.setdefault(self.node_for(key), []).append(key)
        return parts

    def close(self) -> None:
        """Close the connections of all nodes."""
        for client in self._clients.values():
            client.close()


def build_pooled(nodes: Sequence[Any], make_client: Callable[[Any], PooledClient]) -> PooledRing:
    """Build the ring over `nodes`, one client each."""
    return PooledRing({label_of(node): make_client(node) for node in nodes})
