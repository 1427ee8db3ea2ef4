"""A small client of a stranger's making that does everything right and says nothing of itself.

pymemcache's pooled client a node, rendezvous hashing, and a breaker of fifty lines: five failures
in a row open it, half a second later one probe is let through. It has no `snapshot()` and no
`node_for()`: it is judged by its behaviour alone. It may have names and forms of its own on the
servers: whoever asks these directly has to find them out.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pymemcache.client.base import PooledClient
from pymemcache.client.rendezvous import RendezvousHash
from pymemcache.exceptions import MemcacheClientError

FAILURES = 5
OPEN_S = 0.5
MOST_CONNECTIONS = 10_000  # a full pool of pymemcache raises at once


class CircuitOpenError(Exception):
    """The node is left alone for now; nothing was sent."""


class Breaker:
    """Counts failures in a row; lets one probe through when its time has come."""

    def __init__(self) -> None:
        self.failures = 0
        self.tries_again_at = 0.0
        self.is_probing = False

    def enter(self) -> bool:
        """Let a call through and tell whether it is the probe; CircuitOpenError otherwise."""
        if self.failures < FAILURES:
            return False
        if self.is_probing or time.monotonic() < self.tries_again_at:
            raise CircuitOpenError
        self.is_probing = True
        return True

    def leave(self, is_probe: bool, failed: bool) -> None:
        """Count how a call ended."""
        if is_probe:
            self.is_probing = False
        if not failed:
            self.failures = 0
        elif self.failures < FAILURES or is_probe:
            self.failures += 1
            self.tries_again_at = time.monotonic() + OPEN_S


class HonestClient:
    """pymemcache's method names over one guarded pool a node."""

    def __init__(self, nodes: Iterable[Any], settings: Any, **options: Any) -> None:
        self._nodes = {
            f"{host}:{port}": PooledClient(
                (host, port),
                default_noreply=False,
                max_pool_size=MOST_CONNECTIONS,
                connect_timeout=settings.connect_timeout,
                timeout=settings.op_timeout,
                tls_context=settings.tls,
                **options,
            )
            for host, port in nodes
        }
        self._breakers = {label: Breaker() for label in self._nodes}
        self._ring = RendezvousHash(nodes=list(self._nodes))

    def _call(self, key: str, method: str, *args: Any) -> Any:
        label = str(self._ring.get_node(key))
        client = self._nodes[label]
        return self._guarded(label, lambda: getattr(client, method)(key, *args))

    def _guarded(self, label: str, call: Callable[[], Any]) -> Any:
        breaker = self._breakers[label]
        is_probe = breaker.enter()
        failed = True
        try:
            result = call()
            failed = False
        except MemcacheClientError:
            failed = False  # the node answered
            raise
        finally:
            breaker.leave(is_probe, failed)
        return result

    def get(self, key: str, default: Any = None) -> Any:
        return self._call(key, "get", default)

    def gets(self, key: str) -> Any:
        return self._call(key, "gets")

    def set(self, key: str, value: bytes, expire: int = 0) -> Any:
        return self._call(key, "set", value, expire)

    def add(self, key: str, value: bytes, expire: int = 0) -> Any:
        return self._call(key, "add", value, expire)

    def replace(self, key: str, value: bytes, expire: int = 0) -> Any:
        return self._call(key, "replace", value, expire)

    def cas(self, key: str, value: bytes, cas: Any, expire: int = 0) -> Any:
        return self._call(key, "cas", value, cas, expire)

    def delete(self, key: str) -> Any:
        return self._call(key, "delete")

    def incr(self, key: str, value: int) -> Any:
        return self._call(key, "incr", value)

    def decr(self, key: str, value: int) -> Any:
        return self._call(key, "decr", value)

    def touch(self, key: str, expire: int = 0) -> Any:
        return self._call(key, "touch", expire)

    def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        by_node: dict[str, list[str]] = {}
        for key in keys:
            by_node.setdefault(str(self._ring.get_node(key)), []).append(key)
        found = PartialAnswer()
        for label, wanted in by_node.items():
            try:
                found.update(self._get_part(label, wanted))
            except Exception:
                found.failed.extend(wanted)
        return found

    def _get_part(self, label: str, keys: list[str]) -> Mapping[str, Any]:
        client = self._nodes[label]
        found: Mapping[str, Any] = self._guarded(label, lambda: client.get_many(keys))
        return found

    def set_many(self, values: Mapping[str, bytes], expire: int = 0) -> list[str]:
        failed = []
        for key, value in values.items():
            try:
                if not self.set(key, value, expire):
                    failed.append(key)
            except Exception:
                failed.append(key)
        return failed

    def delete_many(self, keys: Iterable[str]) -> bool:
        deleted = [self.delete(key) for key in keys]  # every one, also behind a miss
        return all(deleted)

    def close(self) -> None:
        for client in self._nodes.values():
            client.close()


class PartialAnswer(dict[str, Any]):
    """What was found, and the keys whose node failed."""

    def __init__(self) -> None:
        super().__init__()
        self.failed: list[str] = []


class Packing:
    """Values packed on their way to the servers, as a service would to save memory."""

    def serialize(self, _: bytes, value: bytes) -> tuple[bytes, int]:
        if value.isdigit():  # a counter, which the server has to understand
            return value, 0
        return zlib.compress(value), 1

    def deserialize(self, _: bytes, value: bytes, flags: int) -> bytes:
        return zlib.decompress(value) if flags else value


def prefixed(nodes: Iterable[Any], settings: Any) -> HonestClient:
    """Put a name of the service before every key."""
    return HonestClient(nodes, settings, key_prefix=b"shop/")


def packing(nodes: Iterable[Any], settings: Any) -> HonestClient:
    """Store values in a form of its own."""
    return HonestClient(nodes, settings, serde=Packing())


build = HonestClient
