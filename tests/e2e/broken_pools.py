"""Clients that are honest but for one fault in how they treat connections, time or a breaker."""

from __future__ import annotations

import itertools
from typing import Any

from gevent.lock import BoundedSemaphore
from pymemcache.client.base import Client

from client import build
from tests.e2e import honest_client
from tests.e2e.broken_clients import WrongValueNowAndThen
from tests.e2e.honest_client import CircuitOpenError, HonestClient


class SlotLeak(HonestClient):
    """A pool of twenty slots a node; a call that fails never gives its slot back."""

    def __init__(self, nodes: Any, settings: Any) -> None:
        super().__init__(nodes, settings)
        self._slots = {label: BoundedSemaphore(20) for label in self._nodes}
        self._wait_s = settings.op_timeout

    def _guarded(self, label: str, call: Any) -> Any:
        slots = self._slots[label]
        if not slots.acquire(timeout=self._wait_s):
            raise TimeoutError(f"no slot for {label}")
        result = super()._guarded(label, call)
        slots.release()
        return result


class LateHeal(HonestClient):
    """A breaker that stays open for 20 s."""

    def _guarded(self, label: str, call: Any) -> Any:
        breaker = self._breakers[label]
        failures = breaker.failures
        try:
            return super()._guarded(label, call)
        except CircuitOpenError:
            raise
        except Exception:
            if failures + 1 >= honest_client.FAILURES:
                breaker.tries_again_at += 20.0
            raise


class StaleAfterHeal(HonestClient):
    """Keeps every connection it ever made and hands them out in turn, dead ones too."""

    def __init__(self, nodes: Any, settings: Any) -> None:
        super().__init__(nodes, settings)
        self._ends = {
            label: [
                KeepsDeadSocket(
                    client.server,
                    default_noreply=False,
                    connect_timeout=settings.connect_timeout,
                    timeout=settings.op_timeout,
                )
                for _ in range(200)
            ]
            for label, client in self._nodes.items()
        }
        self._free = {label: list(ends) for label, ends in self._ends.items()}

    def _call(self, key: str, method: str, *args: Any) -> Any:
        label = str(self._ring.get_node(key))
        free = self._free[label]
        client = free.pop(0)
        try:
            return self._guarded(label, lambda: getattr(client, method)(key, *args))
        finally:
            free.append(client)

    def close(self) -> None:
        super().close()
        for ends in self._ends.values():
            for client in ends:
                client.really_close()


class KeepsDeadSocket(Client):
    """Looks at a dead connection forty times before it makes a new one."""

    tries = 0

    def close(self) -> None:
        self.tries += 1
        if self.tries % 40 == 0:
            super().close()

    def really_close(self) -> None:
        super().close()


class LosesConnections(HonestClient):
    """A pool that loses a connection with every fifth get: nothing uses it again or closes it."""

    def __init__(self, nodes: Any, settings: Any) -> None:
        super().__init__(nodes, settings)
        self._gets = itertools.count(1)

    def get(self, key: str, default: Any = None) -> Any:
        value = super().get(key, default)
        if next(self._gets) % 5 == 0:
            self._nodes[str(self._ring.get_node(key))].client_pool.get()
        return value


slot_leak = SlotLeak
loses_connections = LosesConnections
late_heal = LateHeal
stale_after_heal = StaleAfterHeal


def rare_wrong_value(nodes: Any, settings: Any) -> WrongValueNowAndThen:
    return WrongValueNowAndThen(build(nodes, settings), 100_000)
