"""The way to the load processes, and waiting until all that live have done as they were told.

A process that is lost is not waited for; one that does not answer is named.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

from faults.errors import FaultError

ANSWER_S = 5.0  # beyond the time in which a process that died is known to be lost (4 s)
POLL_S = 0.05

Words = Mapping[str, Any]


class Link(Protocol):
    """The way to the load processes."""

    def order(self, order: Words) -> None:
        """Tell every process, those that come later too: id, kind, attributes, seed, for_s."""

    def withdraw(self, order_id: str) -> None:
        """Tell every process to end it; one that is not known is fine."""

    def orders(self, kinds: Collection[str]) -> list[str]:
        """Give the ids of the orders of these kinds that stand."""

    def heard(self, order_id: str) -> Mapping[str, Words | None]:
        """Give every living process's newest word on an order, None where it is not in force.

        A process that has not yet answered since the orders last changed is `"silent": True`.
        """


def await_words(
    link: Link,
    order_id: str,
    is_so: Callable[[Words | None], bool],
    problem: str,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Mapping[str, Words | None]:
    """Wait until it is so in every living process, and give their words; FaultError."""
    deadline = clock() + ANSWER_S
    while True:
        words = link.heard(order_id)
        missing = [
            name for name, word in words.items() if (word or {}).get("silent") or not is_so(word)
        ]
        if not missing and words:
            return words
        if clock() >= deadline:
            who = ", ".join(missing) or "no load process"
            raise FaultError(f"{who} {problem} within {ANSWER_S:g} s")
        sleep(POLL_S)


def count_processes(processes: int) -> str:
    """Give the number with its noun."""
    return f"{processes} load process" + ("es" if processes != 1 else "")
