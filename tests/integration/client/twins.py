"""Broken twins of the client: each has one part that does what a careless one would.

A detector that its twin survives is no detector. All twins are in this file because they lean on
the inside of the client, and a change there may have to be followed here. They take the contract's
(nodes, settings). `swapped` puts a broken class where the client makes the part.
"""

from __future__ import annotations

import _socket
import contextlib
import dataclasses
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from unittest import mock

from client import BreakerOpen, ClientSettings, MemcacheClient, MemcacheClientError, build
from client.breaker import FAILURE, IGNORED, Breaker
from client.connector import Connector
from client.node import Node
from client.resolver import Resolver

Nodes = Sequence[tuple[str, int]]


@contextlib.contextmanager
def swapped(part: type, broken: type) -> Iterator[None]:
    """Put `broken` wherever a module of the client names `part`."""
    with contextlib.ExitStack() as stack:
        for name, module in list(sys.modules.items()):
            if name.startswith("client.") and getattr(module, part.__name__, None) is part:
                stack.enter_context(mock.patch.object(module, part.__name__, broken))
        yield


def _with(part: type, broken: type) -> Callable[[Nodes, Any], MemcacheClient]:
    def make(nodes: Nodes, settings: Any) -> MemcacheClient:
        with swapped(part, broken):
            return build(nodes, settings)

    make.__name__ = broken.__name__
    return make


def _is_foreign(error: BaseException) -> bool:
    return not isinstance(error, MemcacheClientError)


class ReusingNode(Node):
    """Gives the connection back to the pool although a reply may still come."""

    def settle(self, error: BaseException, permit: int, connection: Any) -> None:
        if not _is_foreign(error) or connection is None:
            super().settle(error, permit, connection)
            return
        if permit:
            self.breaker.done(permit, IGNORED)
        self.pool.release(connection, self.clock())


reuses_after_kill = _with(Node, ReusingNode)


class ForgetfulNode(Node):
    """Frees what a failed call held, but not what a killed one did: `except Exception`."""

    def settle(self, error: BaseException, permit: int, connection: Any) -> None:
        if not _is_foreign(error):
            super().settle(error, permit, connection)


leaks_slots = _with(Node, ForgetfulNode)


class _Swallowing(MemcacheClient):
    def get(self, key: Any, default: Any = None) -> Any:
        try:
            return super().get(key, default)
        except BaseException as error:
            if _is_foreign(error):
                raise MemcacheClientError("the breaker opened") from error
            raise


def swallows_timeouts(nodes: Nodes, settings: Any) -> MemcacheClient:
    """Turn whatever ends a call into an error of the client's."""
    return _Swallowing(nodes, ClientSettings.of(settings))


class WallClockBreaker(Breaker):
    """Measures its open time with a clock that people and daemons set."""

    _until = 0.0

    def acquire(self) -> int:
        if self.status == "open":
            self._until = self._until or time.time() + 0.1
            if time.time() < self._until:
                raise BreakerOpen
        self._until = 0.0
        return super().acquire()


stays_open = _with(Breaker, WallClockBreaker)


class EndlessLeaseBreaker(Breaker):
    """Waits for ever for a probe that does not report."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "lease_s": 1e9})


class ProbeLosingNode(Node):
    """Gives a killed call's connection back, but not its permit."""

    def settle(self, error: BaseException, permit: int, connection: Any) -> None:
        super().settle(error, 0 if _is_foreign(error) else permit, connection)


loses_probes = _with(Node, ProbeLosingNode)


def stays_half_open(nodes: Nodes, settings: Any) -> MemcacheClient:
    """Lose permits of probes and have no lease on them."""
    with swapped(Node, ProbeLosingNode), swapped(Breaker, EndlessLeaseBreaker):
        return build(nodes, settings)


def _told(**breaker: Any) -> Callable[[Nodes, Any], MemcacheClient]:
    def make(nodes: Nodes, settings: Any) -> MemcacheClient:
        told = ClientSettings.of(settings)
        changed = dataclasses.replace(told.breaker, **breaker)
        return MemcacheClient(nodes, dataclasses.replace(told, breaker=changed))

    return make


admits_everybody = _told(half_open_probes=100_000)  # half-open is as good as closed
never_opens = _told(consecutive_failures=10**9, minimum_calls=10**9)


class CredulousBreaker(Breaker):
    """Believes failures of calls that began in a state that is long over."""

    def done(self, permit: int, verdict: int, *args: Any, **kwargs: Any) -> bool:
        if verdict == FAILURE:
            if self.status == "half_open":
                self.open()
                return True
            permit = self.permit or permit
        return super().done(permit, verdict, *args, **kwargs)


believes_old_news = _with(Breaker, CredulousBreaker)


class _Locking(MemcacheClient):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lock = threading.Lock()

    def get(self, key: Any, default: Any = None) -> Any:
        with self._lock:
            return super().get(key, default)


def locks_across_io(nodes: Nodes, settings: Any) -> MemcacheClient:
    """Hold a lock while a call runs, as pybreaker's `call` does."""
    return _Locking(nodes, ClientSettings.of(settings))


class _NodeByNode(MemcacheClient):
    def get_many(self, keys: Any) -> Any:
        result: dict[Any, Any] = {}
        shares: dict[str, list[Any]] = {}
        for key in keys:
            shares.setdefault(self.node_for(key), []).append(key)
        for share in shares.values():
            result.update(super().get_many(share))
        return result


def asks_node_by_node(nodes: Nodes, settings: Any) -> MemcacheClient:
    """Wait for one node's part of a batch before it asks the next."""
    return _NodeByNode(nodes, ClientSettings.of(settings))


class PatientConnector(Connector):
    """Its connections give every byte a deadline of its own."""

    def connect(self, deadline: float) -> Any:
        connection = super().connect(deadline)
        kind: Any = type(connection)

        class Patient(kind):
            __slots__ = ()

            def read_before(self, deadline: float) -> bytes:
                result: bytes = super().read_before(self._clock() + self._op_timeout)
                return result

        connection.__class__ = Patient
        return connection


drips = _with(Connector, PatientConnector)


class BlockingResolver(Resolver):
    """Calls C's getaddrinfo where it stands, with everybody else waiting."""

    def addresses(self, *_: Any) -> Any:
        infos = _socket.getaddrinfo(self._host, self._port)
        return tuple((info[0], info[4]) for info in infos)


blocks_the_hub = _with(Resolver, BlockingResolver)


class ForeverResolver(Resolver):
    """Asks for a name once in its life."""

    def addresses(self, *args: Any, **kwargs: Any) -> Any:
        if not hasattr(self, "_forever"):
            self._forever = super().addresses(*args, **kwargs)
        return self._forever

    def current_addresses(self) -> Any:
        return getattr(self, "_forever", ())


keeps_addresses = _with(Resolver, ForeverResolver)


class TrustingConnector(Connector):
    """Its connections are never found stale."""

    def connect(self, deadline: float) -> Any:
        connection = super().connect(deadline)
        kind: Any = type(connection)

        class Trusted(kind):
            __slots__ = ()
            is_stale = False

        connection.__class__ = Trusted
        return connection


trusts_idle_connections = _with(Connector, TrustingConnector)


class DropsDeadNodes:
    """Takes a node that failed off the ring for a while, and puts it back as if nothing was."""

    OUT_S = 0.5

    def __init__(self, nodes: Nodes, settings: Any) -> None:
        self._clients = [build([node], settings) for node in nodes]
        self._out_until = dict.fromkeys(range(len(nodes)), 0.0)

    def _call(self, verb: str, key: str, *args: Any) -> Any:
        order = sorted(range(len(self._clients)), key=lambda at: zlib.crc32(f"{at}{key}".encode()))
        for at in order:
            if time.monotonic() < self._out_until[at]:
                continue
            try:
                return getattr(self._clients[at], verb)(key, *args)
            except MemcacheClientError:
                self._out_until[at] = time.monotonic() + self.OUT_S
        raise MemcacheClientError("no node left")

    def get(self, key: str) -> Any:
        return self._call("get", key)

    def set(self, key: str, value: Any) -> Any:
        return self._call("set", key, value)

    def close(self) -> None:
        for client in self._clients:
            client.close()


class _Masking(MemcacheClient):
    def get(self, key: Any, default: Any = None) -> Any:
        try:
            return super().get(key, default)
        except MemcacheClientError:
            return default

    def get_many(self, keys: Any) -> Any:
        return dict(super().get_many(keys))

    def set(self, *args: Any, **kwargs: Any) -> bool:
        try:
            return super().set(*args, **kwargs)
        except MemcacheClientError:
            return True


def masks_failures(nodes: Nodes, settings: Any) -> MemcacheClient:
    """Call every failure a miss and every write a success: `ignore_exc` and noreply."""
    return _Masking(nodes, ClientSettings.of(settings))
