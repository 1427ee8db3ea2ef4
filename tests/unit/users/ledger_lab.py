"""A writer with one key, and three servers in memory that can be asked directly."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cluster.node import Node
from users.accounts import Accounts
from users.audit import CONFIRM_AFTER_S
from users.location import LocationError
from users.steady import LONG_TTL_S
from users.values import make

NAMES = ("node1", "node2", "node3")
SIZE = 100
START_S = 1_000.0


class Servers:
    """Three servers in memory that are asked directly; `out` are those that cannot be."""

    def __init__(self) -> None:
        self.data: dict[str, dict[str, bytes]] = {name: {} for name in NAMES}
        self.out: set[str] = set()

    def connect(self, node: Node, timeout_s: float) -> Any:
        return Line(self, node.name)


class Line:
    def __init__(self, servers: Servers, name: str) -> None:
        self._servers, self._name = servers, name

    def fetch(self, keys: Iterable[str]) -> dict[str, bytes]:
        if self._name in self._servers.out:
            raise LocationError(f"{self._name} is out")
        held = self._servers.data[self._name]
        return {key: held[key] for key in keys if key in held}

    def close(self) -> None:
        """Nothing to close."""


class Lab:
    """One writer with a key `k` on node1, version 1, and the servers' word at hand."""

    def __init__(self) -> None:
        self.now = START_S
        nodes = [Node(name=name, address=("h", 1), direct=("h", 1)) for name in NAMES]
        self.servers = Servers()
        self.accounts = Accounts(nodes, {"k": "node1", "n": "node1"}, clock=lambda: self.now)
        self.accounts.auditor._connect = self.servers.connect
        self.accounts._epoch = lambda: START_S - 10.0
        self.book = self.accounts.open_book("w0.1")
        self.accounts.keys["k"] = self.book
        self.book.known("k", 1, make("k", "w0.1", 1, SIZE), self.now - 20, LONG_TTL_S)
        self.holds(1)

    def holds(self, version: int | None, on: str = "node1") -> None:
        """Let a server have a version of the key, or none."""
        if version is None:
            self.servers.data[on].pop("k", None)
        else:
            self.servers.data[on]["k"] = make("k", "w0.1", version, SIZE)

    def writes(self, version: int) -> None:
        """Have a write acknowledged."""
        self.book.begin("k", version)
        value = make("k", "w0.1", version, SIZE)
        self.book.acknowledged("k", version, value, self.now, LONG_TTL_S)
        self.accounts.wrote(self.book, "k")

    def reads(self, version: int | None) -> None:
        """Let a read through the client give a version, or a miss."""
        value = None if version is None else make("k", "w0.1", version, SIZE)
        self.accounts.look(self.book, "k", self.book.pages["k"], value)

    def asks(self, seconds: float = 3 * CONFIRM_AFTER_S) -> None:
        """Let time go by with a turn to every node each tenth of a second."""
        for _ in range(round(seconds * 10)):
            self.now += 0.1
            for name in NAMES:
                self.accounts.auditor.turn(name)

    def report(self) -> dict[str, Any]:
        return self.accounts.finish(0.0)
