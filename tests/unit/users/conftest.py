"""Fakes for users: a clock, a client in memory, a recorder that keeps all, Locust's event."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from client.operation import Operation
from users.context import LoadContext, LoadSettings
from users.origin import Origin


class Clock:
    """A clock that moves only when told, or by `step` at every look."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.step = 0.0

    def __call__(self) -> float:
        self.now += self.step
        return self.now


class MemoryClient:
    """A client that keeps its keys in a dictionary; `override` replaces a method."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.data: dict[str, bytes] = {}
        self.ends: dict[str, float] = {}
        self._clock = clock or Clock()

    def override(self, **methods: Callable[..., Any]) -> MemoryClient:
        for name, method in methods.items():
            setattr(self, name, method)
        return self

    def get(self, key: str) -> Any:
        return self._there(key)

    def _there(self, key: str) -> Any:
        if self.ends.get(key, math.inf) <= self._clock.now:
            self.data.pop(key, None)
        return self.data.get(key)

    def set(self, key: str, value: bytes, expire: int = 0) -> Any:
        self.data[key] = value
        self.ends[key] = self._clock.now + expire if expire else math.inf
        return True

    def add(self, key: str, value: bytes, expire: int = 0) -> Any:
        if key in self.data:
            return False
        return self.set(key, value)

    def delete(self, key: str) -> Any:
        return self.data.pop(key, None) is not None

    def incr(self, key: str, by: int) -> Any:
        if key not in self.data:
            return None
        self.data[key] = b"%d" % (int(self.data[key]) + by)
        return int(self.data[key])

    def get_many(self, keys: list[str]) -> Any:
        return {key: value for key in keys if (value := self._there(key)) is not None}


@dataclass
class KeepingRecorder:
    """Takes what the real recorder takes and keeps it."""

    operations: list[Operation] = field(default_factory=list)
    wrong: list[dict[str, Any]] = field(default_factory=list)
    findings: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    batches: list[tuple[str, float, int]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    nothing: list[tuple[str, list[str]]] = field(default_factory=list)
    kinds: list[tuple[str, str, str, str]] = field(default_factory=list)
    sent: list[float] = field(default_factory=list)
    samples: list[tuple[tuple[str, ...], dict[str, Any]]] = field(default_factory=list)
    errors: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    paced: bool = False

    def record(self, *values: Any) -> bool:
        operation = Operation(*values)
        self.operations.append(operation)
        return operation.is_failure or operation.service_s >= 0.005

    def wants_sample(self, kind: tuple[str, ...], started: float, took_s: float) -> bool:
        return True

    def sample(
        self, kind: tuple[str, ...], started: float, took_s: float, detail: dict[str, Any]
    ) -> None:
        self.samples.append((kind, detail))

    def error(self, kind: str, detail: Any) -> None:
        self.errors.append((kind, detail()))

    def wrong_value(self, evidence: dict[str, Any]) -> None:
        self.wrong.append(evidence)

    def finding(self, kind: str, detail: dict[str, Any]) -> None:
        self.findings.append((kind, detail))

    def batch_failed(self, node: str, started: float, keys: int) -> None:
        self.batches.append((node, started, keys))

    def batch_asked(self, nodes: list[str], started: float) -> None:
        self.asked.extend(nodes)

    def batch_gave_nothing(self, how: str, nodes: list[str], started: float) -> None:
        self.nothing.append((how, sorted(set(nodes))))

    def raised(self, op: str, node: str, outcome: str, kind: str, started: float) -> str:
        self.kinds.append((op, node, outcome, kind))
        return kind

    def pacing(self, at: float, sent: int = 0) -> None:
        self.sent.append(at)


@dataclass
class Stage:
    """One user's surroundings."""

    clock: Clock
    client: MemoryClient
    recorder: KeepingRecorder
    events: list[dict[str, Any]]
    load: LoadContext
    environment: Any

    def user(self, kind: type[Any]) -> Any:
        """Make a user of this kind that has joined the run and need not prepare."""
        user = kind(self.environment)
        user.join(self.load)
        user._is_ready = True
        return user


@pytest.fixture
def stage() -> Stage:
    """Give a user's surroundings without sockets or time."""
    clock, recorder = Clock(), KeepingRecorder()
    client = MemoryClient(clock)
    events: list[dict[str, Any]] = []
    load = LoadContext(
        client=client,
        recorder=recorder,  # type: ignore[arg-type]  # a fake with the methods users call
        nodes=[],
        settings=LoadSettings(),
        origin=Origin(0.05, sleep=lambda _: None),
        clock=clock,
    )
    request = SimpleNamespace(fire=lambda **event: events.append(event))
    environment = SimpleNamespace(events=SimpleNamespace(request=request), memquake=load)
    return Stage(clock, client, recorder, events, load, environment)
