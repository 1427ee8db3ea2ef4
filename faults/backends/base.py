"""What a backend is: the one place that knows how a kind of fault is done to a node.

Rule: applied and felt are two things. `read_back` asks whoever holds the fault whether it is in
place; `observe` looks with a probe of the harness's own, the way a client would feel it. Every
method is bounded in time and raises FaultError in one line; none knows the journal or the guard.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from cluster.node import Address
from cluster.probe import ProbeError, SilentError, version
from faults.errors import FaultError
from faults.planned import PlannedFault

SILENCE_S = 0.5  # a healthy node on loopback answers within 1 ms, on a busy machine within 50
ANSWER_S = 3.0  # a node that was healed answers again within this; after a restart 50 ms
POLL_S = 0.02

T = TypeVar("T")


class Backend(Protocol):
    """One way to break nodes."""

    def needs(self, fault: PlannedFault) -> str:
        """Say what is missing to inject this fault, "" when nothing is."""

    def stand_in(self, fault: PlannedFault) -> str:
        """Say in plain words what is done instead where the real thing cannot be, "" if it can."""

    def undos(self, fault: PlannedFault) -> Mapping[str, Mapping[str, Any]]:
        """Give node -> undo for the guard, as things are before the injection."""

    def inject(self, fault: PlannedFault) -> None:
        """Break the fault's nodes; on an error some of them may be broken."""

    def read_back(self, fault: PlannedFault) -> str:
        """Give the evidence that it is in place, or raise."""

    def observe(self, fault: PlannedFault) -> str:
        """Give the evidence that a client would feel it, or raise."""

    def heal(self, fault: PlannedFault) -> None:
        """Mend the fault's nodes; a node that is not broken is fine."""

    def read_back_healed(self, fault: PlannedFault) -> str:
        """Give the evidence that it is gone, or raise."""

    def observe_healed(self, fault: PlannedFault) -> str:
        """Give the evidence that the nodes answer a client again, or raise."""

    def clean(self) -> list[str]:
        """Mend whatever of ours is still broken, whoever broke it; say what was."""

    def leftovers(self) -> list[str]:
        """Name whatever of ours is still broken, in one line each; raises nothing."""


def on_each(nodes: Sequence[str], work: Callable[[str], T]) -> list[T]:
    """Do the same for several nodes at once; raise the first failure once all have ended."""
    if len(nodes) == 1:
        return [work(nodes[0])]
    results: dict[str, T] = {}
    failures: dict[str, Exception] = {}

    def run(node: str) -> None:
        try:
            results[node] = work(node)
        except Exception as why:
            failures[node] = why

    threads = [threading.Thread(target=run, args=(node,), daemon=True) for node in nodes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for node in nodes:
        if node in failures:
            raise failures[node]
    return [results[node] for node in nodes]


def expect_silence(name: str, address: Address) -> str:
    """Give the evidence that a node takes a connection and does not answer, or raise."""
    try:
        version(address, SILENCE_S)
    except SilentError:
        return f"{name} took a connection and did not answer `version` within {SILENCE_S:g} s"
    except ProbeError as why:
        raise FaultError(f"{name} was to take a connection and stay silent, but {why}") from None
    raise FaultError(f"{name} was to stay silent, but answered")


def expect_answer(name: str, address: Address) -> str:
    """Give the evidence that a node answers, waiting for it a little, or raise."""
    began = time.monotonic()
    while True:
        left = began + ANSWER_S - time.monotonic()
        try:
            version(address, max(0.05, left))
            return f"{name} answers `version` again"
        except ProbeError as why:
            if left <= 0:
                raise FaultError(f"{name} does not answer again: {why}") from None
        time.sleep(POLL_S)
